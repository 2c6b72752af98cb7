//! The word of the server: closings of the service, and the number of requests that it still takes.
//!
//! A closing ends a jitter after the stated instant. Then the limiter probes the service. At first
//! it lets one attempt in flight. Each answer that arrives raises this number by one, so it doubles
//! with each round trip, as the congestion window of TCP does in slow start. An attempt from before
//! the closing neither counts as in flight nor raises the number.
//!
//! | event | attempts in flight, at most |
//! |---|---|
//! | before the first closing | no limit |
//! | a closing | 0 until it ends, then 1 |
//! | an attempt of this closing ends with an answer | 1 more |
//! | an attempt ends with `Retry`, or without a result | the same |

use std::time::{Duration, Instant};

use crate::limiter::later;

/// The part of a closing by which its end is later at most: a 32nd. It spreads clients that were
/// refused together, and costs little.
const JITTER: u32 = 32;

/// The closings of a service.
pub(super) struct Closing {
    /// The number of closings.
    pub(super) number: u64,
    since: Instant,
    until: Option<Instant>,
    /// The share of the jitter, from 0 to 1.
    chance: f64,
    /// The part of a closing that is the longest jitter.
    jitter: u32,
    /// The attempts in flight since the last closing, and their maximum.
    in_flight: u64,
    window: u64,
    /// The length of all closings, each with its longest jitter.
    pub(super) total: Duration,
    /// The number of attempts that the server takes until the instant.
    remaining: Option<(u64, Instant)>,
}

impl Closing {
    pub(super) fn new(now: Instant) -> Closing {
        Closing {
            number: 0,
            since: now,
            until: None,
            chance: 0.0,
            jitter: JITTER,
            in_flight: 0,
            window: u64::MAX,
            total: Duration::ZERO,
            remaining: None,
        }
    }

    /// Leaves the jitter out, for simulations in whole milliseconds.
    #[cfg(test)]
    pub(super) fn without_jitter(&mut self) {
        self.jitter = u32::MAX;
    }

    /// Closes the service. Returns the instant at which it opens again.
    pub(super) fn close(
        &mut self,
        until: Instant,
        now: Instant,
        chance: impl FnOnce() -> f64,
    ) -> Option<Instant> {
        if until <= now {
            return None;
        }
        let mut known = self.until.map_or(Duration::ZERO, |until| self.longest(until - self.since));
        if self.until.is_none_or(|until| until <= now) {
            known = Duration::ZERO;
            self.number += 1;
            self.since = now;
            self.chance = chance();
            self.in_flight = 0;
            self.window = 1;
        }
        let until = self.until.map_or(until, |known| known.max(until));
        self.until = Some(until);
        let length = until.saturating_duration_since(self.since);
        self.total = self.total.saturating_add(self.longest(length).saturating_sub(known));
        Some(later(until, (length / self.jitter).mul_f64(self.chance)))
    }

    /// Returns the longest time until the service opens, if it is closed for `time`.
    fn longest(&self, time: Duration) -> Duration {
        time.saturating_add(time / self.jitter)
    }

    /// Returns `true` if the service was never closed, and told no number of remaining attempts.
    pub(super) fn is_unlimited(&self) -> bool {
        self.window == u64::MAX && self.remaining.is_none()
    }

    /// Returns `true` if no attempt starts before one ends.
    pub(super) fn is_full(&self) -> bool {
        self.in_flight >= self.window
    }

    /// Returns the instant at which the server takes attempts again, if it takes no more now.
    pub(super) fn reset(&self) -> Option<Instant> {
        self.remaining.filter(|&(attempts, _)| attempts == 0).map(|(_, reset)| reset)
    }

    /// Counts an attempt. Returns the instant of a reset that has passed.
    pub(super) fn dispatched(&mut self, now: Instant) -> Option<Instant> {
        self.in_flight += 1;
        let passed = self.remaining.filter(|&(_, reset)| reset <= now).map(|(_, reset)| reset);
        if passed.is_some() {
            self.remaining = None;
        } else if let Some((attempts, _)) = &mut self.remaining {
            *attempts = attempts.saturating_sub(1);
        }
        passed
    }

    /// Counts the end of an attempt that was dispatched after this number of closings.
    pub(super) fn ended(&mut self, number: u64, is_answered: bool) {
        if number == self.number {
            self.in_flight = self.in_flight.saturating_sub(1);
            self.window = self.window.saturating_add(u64::from(is_answered));
        }
    }

    /// Sets the number of attempts that the server takes until `reset`, after the attempt that says
    /// so. The server may not have counted the other attempts in flight.
    pub(super) fn set_remaining(&mut self, attempts: u64, reset: Instant) {
        let others = self.in_flight.saturating_sub(1);
        self.remaining = Some((attempts.saturating_sub(others), reset));
    }
}

/// The end of an attempt, as far as it says something about the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Done,
    /// The item failed, for a reason of its own.
    Failed,
    /// The service had no capacity, or the call failed by chance.
    Retry,
    /// The service refuses all attempts for this time.
    Closed(Duration),
    /// The attempt panicked, or was dropped.
    None,
}
