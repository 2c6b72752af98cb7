//! The rate limiter that the batches of one service share.

use std::fmt;
use std::ptr;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::primitive::{Mutex, lock};
use crate::requests::throttle::{Throttle, ThrottleError};
use crate::scheduler::Scheduler;

/// The duration that stands for "never". Every clock can represent this instant.
const FAR: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// Returns `at + by`, or `at` if the clock cannot represent it.
pub(crate) fn later(at: Instant, by: Duration) -> Instant {
    at.checked_add(by.min(FAR)).unwrap_or(at)
}

/// Limits the rate of attempts at one service, for all batches that go
/// [through](crate::Requests::through) it. Clones are the same limiter.
///
/// The time between two dispatches is at least the pace, and at least the delay of the
/// [`Throttle`]. An idle limiter saves nothing up, so there is no burst at the start or after a
/// pause. The wait of a retry runs at the same time as the wait at the limiter.
///
/// ```
/// use std::time::Duration;
/// use reorder_executor::{RateLimiter, Throttle};
///
/// let throttle = Throttle::new(Duration::ZERO, Duration::from_secs(5), Duration::from_millis(10));
/// let pace = Duration::from_millis(20);
/// let limiter = RateLimiter::builder().pace(pace).throttle(throttle).build()?;
/// assert_eq!(limiter.delay(), Duration::ZERO);
/// # Ok::<(), reorder_executor::ThrottleError>(())
/// ```
#[derive(Clone)]
pub struct RateLimiter(Arc<Shared>);

struct Shared {
    settings: RateLimiterBuilder,
    state: Mutex<State>,
    /// The schedulers whose batches go through it.
    schedulers: Mutex<Vec<Weak<Scheduler>>>,
}

struct State {
    /// When an attempt was dispatched last.
    last: Option<Instant>,
    delay: Duration,
    /// The share of the jitter that the next delay has, from 0 to 1.
    chance: f64,
    /// The number of times that the throttle has backed off.
    round: u64,
    random: fastrand::Rng,
}

/// The settings of a [`RateLimiter`]. Made by [`RateLimiter::builder`].
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct RateLimiterBuilder {
    pace: Duration,
    throttle: Option<Throttle>,
}

/// An attempt that was let through, for the answer to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dispatch {
    round: u64,
}

/// Until when nothing is let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closed {
    /// The instant at which the pace allows the next dispatch.
    pub(crate) paced: Instant,
    pub(crate) open: Instant,
}

impl RateLimiterBuilder {
    /// Sets the minimum time between two dispatches. The default is zero.
    pub fn pace(mut self, pace: Duration) -> Self {
        self.pace = pace;
        self
    }

    /// Sets a throttle, which adapts that time to the outcomes of attempts. There is none by
    /// default.
    pub fn throttle(mut self, throttle: Throttle) -> Self {
        self.throttle = Some(throttle);
        self
    }

    /// Builds the limiter.
    ///
    /// # Errors
    ///
    /// [`ThrottleError`] if the throttle would never back off, or never recover.
    pub fn build(self) -> Result<RateLimiter, ThrottleError> {
        self.throttle.as_ref().map_or(Ok(()), Throttle::check)?;
        Ok(RateLimiter::with(self, fastrand::Rng::new()))
    }
}

impl RateLimiter {
    /// Returns a builder with default settings.
    pub fn builder() -> RateLimiterBuilder {
        RateLimiterBuilder::default()
    }

    /// Returns a limiter that allows everything.
    pub(crate) fn unlimited() -> RateLimiter {
        RateLimiter::with(RateLimiter::builder(), fastrand::Rng::with_seed(0))
    }

    fn with(settings: RateLimiterBuilder, random: fastrand::Rng) -> RateLimiter {
        let delay = settings.throttle.as_ref().map_or(Duration::ZERO, Throttle::floor);
        let state = State { last: None, delay, chance: 0.0, round: 0, random };
        let (state, schedulers) = (Mutex::new(state), Mutex::default());
        RateLimiter(Arc::new(Shared { settings, state, schedulers }))
    }

    /// Returns the current delay of the throttle between two dispatches, without jitter. Zero
    /// without a throttle.
    ///
    /// # Progress
    ///
    /// Blocking: it takes a lock that is held for a few instructions.
    pub fn delay(&self) -> Duration {
        lock(&self.0.state).delay
    }

    /// Returns `Ok` if an attempt could be dispatched now.
    pub(crate) fn check(&self, now: Instant) -> Result<(), Closed> {
        self.is_open(&lock(&self.0.state), now)
    }

    /// Dispatches an attempt, if the limiter allows it now.
    pub(crate) fn dispatch(&self, now: Instant) -> Result<Dispatch, Closed> {
        let mut state = lock(&self.0.state);
        self.is_open(&state, now)?;
        state.last = state.last.max(Some(now));
        if self.0.settings.throttle.as_ref().is_some_and(Throttle::has_jitter) {
            state.chance = state.random.f64();
        }
        Ok(Dispatch { round: state.round })
    }

    /// Registers a scheduler, before its first batch goes through the limiter.
    pub(crate) fn register(&self, scheduler: &Arc<Scheduler>) {
        let mut schedulers = lock(&self.0.schedulers);
        schedulers.retain(|known| known.strong_count() > 0);
        if !schedulers.iter().any(|known| ptr::eq(known.as_ptr(), Arc::as_ptr(scheduler))) {
            schedulers.push(Arc::downgrade(scheduler));
        }
    }

    /// Records whether the service had capacity for an attempt. Returns the new delay.
    pub(crate) fn record(&self, dispatch: Dispatch, had_capacity: bool) -> Duration {
        let mut state = lock(&self.0.state);
        let before = state.delay;
        if let (Some(throttle), true) = (&self.0.settings.throttle, dispatch.round == state.round) {
            if had_capacity {
                state.delay = throttle.shorter(state.delay);
            } else {
                state.delay = throttle.longer(state.delay);
                state.round += 1;
            }
        }
        let delay = state.delay;
        drop(state);
        if delay < before {
            // The limiter opens earlier than the timers of waiting batches assume.
            let schedulers: Vec<_> =
                lock(&self.0.schedulers).iter().filter_map(Weak::upgrade).collect();
            schedulers.iter().for_each(|scheduler| scheduler.idle.notify_work());
        }
        delay
    }

    fn is_open(&self, state: &State, now: Instant) -> Result<(), Closed> {
        let RateLimiterBuilder { pace, throttle } = self.0.settings;
        let delay = throttle.map_or(Duration::ZERO, |it| it.jittered(state.delay, state.chance));
        let interval = delay.max(pace);
        let Some(last) = state.last.filter(|_| !interval.is_zero()) else { return Ok(()) };
        let closed = Closed { paced: later(last, pace), open: later(last, interval) };
        if closed.open <= now { Ok(()) } else { Err(closed) }
    }
}

impl fmt::Debug for RateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimiter")
            .field("pace", &self.0.settings.pace)
            .field("throttle", &self.0.settings.throttle)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::primitive::{Parker, now};

    #[test]
    fn workers_are_told_when_it_opens_earlier_than_they_know() {
        let parker = Parker::new();
        let scheduler = Arc::new(Scheduler::new(vec![parker.unparker()], false));
        let throttle =
            Throttle::new(Duration::ZERO, Duration::from_secs(9), Duration::from_secs(3));
        let limiter = RateLimiter::builder().throttle(throttle).build().unwrap();
        limiter.register(&scheduler);
        limiter.register(&scheduler);
        assert_eq!(lock(&limiter.0.schedulers).len(), 1);
        let start = now();
        let first = limiter.dispatch(start).unwrap();
        assert_eq!(limiter.record(first, false), Duration::from_secs(3));
        assert_eq!(
            limiter.record(first, true),
            Duration::from_secs(3),
            "that is of an earlier round"
        );
        scheduler.idle.start_searching();
        assert!(scheduler.try_sleep(0));
        let second = limiter.dispatch(start + Duration::from_secs(3)).unwrap();
        assert!(scheduler.idle.should_wake(), "nobody was told yet");
        assert_eq!(limiter.record(second, true), Duration::ZERO);
        assert!(!scheduler.idle.should_wake(), "the one who slept is on its way");
    }
}
