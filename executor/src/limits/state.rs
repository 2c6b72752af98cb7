//! The limits of one call, shared by its workers and its caller or consumer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::limits::budget::Budget;
use crate::limits::current::Waiter;
use crate::limits::policy::{LimitPolicy, Limits};
use crate::limits::timing::TimingLog;
use crate::memory;
use crate::primitive::{AtomicU64, now};
use std::sync::atomic::Ordering::Relaxed;

/// The number of bits of a word that hold a time in microseconds. The other bits tell items with
/// the same place apart.
const TIME_BITS: u32 = 48;

pub(crate) struct LimitState {
    pub(crate) policy: LimitPolicy,
    /// The job in which the caller waits for this call.
    pub(crate) waiter: Waiter,
    /// The budget of a call whose items have weights.
    pub(crate) budget: Option<Arc<Budget>>,
    /// The log of a timed call.
    pub(crate) timing_log: Option<TimingLog>,
    epoch: Instant,
    /// The start times of the items in the window, one place for each slot. It is empty if the
    /// window is 0.
    started: Box<[AtomicU64]>,
    /// The numbers of attempts at the items of the window that are over. It is empty if items have
    /// one attempt.
    attempts: Box<[AtomicU64]>,
}

impl LimitState {
    /// Returns the state for a window of `window` items, a power of two. The window is 0 if no
    /// consumer gives up on items.
    ///
    /// If the outcomes are in order by key, the outstanding items may have distant indices. Then
    /// the table of keys knows the start times.
    pub(crate) fn new(limits: Limits, window: usize) -> LimitState {
        let by_key = limits.key_window.is_some();
        LimitState {
            budget: limits.weight.map(|limit| Arc::new(Budget::new(limit))),
            timing_log: limits
                .timed
                .then(|| if by_key { TimingLog::sparse() } else { TimingLog::new(window) }),
            attempts: memory::filled(
                if limits.counts_attempts && !by_key { window } else { 0 },
                || AtomicU64::new(0),
            ),
            policy: LimitPolicy::new(limits),
            waiter: Waiter::new(),
            epoch: now(),
            started: memory::filled(if by_key { 0 } else { window }, || AtomicU64::new(0)),
        }
    }

    /// Returns the time if the policy needs it.
    pub(crate) fn now(&self) -> Option<Instant> {
        self.policy.is_timed().then(now)
    }

    fn place(&self, index: u64) -> Option<(&AtomicU64, u64)> {
        place_in(&self.started, index)
    }

    /// Notes the number of attempts at an item, before its outcome is delivered.
    pub(crate) fn note_attempts(&self, index: u64, attempts: u32) {
        let Some((place, lap)) = place_in(&self.attempts, index) else { return };
        // ORDERING: limit_state:note_attempts: Relaxed; the completion of the item's position comes
        // next, and orders it for the consumer.
        place.store(lap << 32 | u64::from(attempts), Relaxed);
    }

    /// Returns the number of attempts at an item whose outcome was taken, if it was noted.
    pub(crate) fn attempts(&self, index: u64) -> Option<u32> {
        let (place, lap) = place_in(&self.attempts, index)?;
        // ORDERING: limit_state:attempts: Relaxed; as `limit_state:note_attempts`.
        let word = place.load(Relaxed);
        (word >> 32 == lap & u64::from(u32::MAX)).then_some(word as u32)
    }

    /// Returns `true` if the attempts at an item were noted, or those at a later item in its place.
    pub(crate) fn is_over(&self, index: u64) -> bool {
        let Some((place, lap)) = place_in(&self.attempts, index) else { return false };
        // ORDERING: limit_state:is_over: Relaxed; a job that sees it late runs for longer.
        let word = place.load(Relaxed);
        word > 0 && word >> 32 >= lap & u64::from(u32::MAX)
    }

    /// Returns `true` if items may have several attempts.
    pub(crate) fn counts_attempts(&self) -> bool {
        !self.attempts.is_empty()
    }

    /// Records that an item started, and when, if the policy needs the time.
    pub(crate) fn start(&self, index: u64, at: Option<Instant>) {
        let Some((place, lap)) = self.place(index) else { return };
        let time = at.map_or(0, |at| at.saturating_duration_since(self.epoch).as_micros());
        // Rounded up, so that the consumer does not give up too early. Never 0.
        let time = time as u64 + 1;
        // ORDERING: limit_state:start: Relaxed; one word, which tells the item that it belongs to.
        // A consumer that misses it assumes that the item has not started, and asks again.
        place.store(lap << TIME_BITS | time & ((1 << TIME_BITS) - 1), Relaxed);
    }

    /// Returns when an item of the window started, if it has. The instant has no meaning if the
    /// policy does not need it.
    pub(crate) fn started(&self, index: u64) -> Option<Instant> {
        let (place, lap) = self.place(index)?;
        // ORDERING: limit_state:started: Relaxed; as `limit_state:start`.
        let word = place.load(Relaxed);
        let time = word & ((1 << TIME_BITS) - 1);
        let is_of_lap = word >> TIME_BITS == lap & (u64::MAX >> TIME_BITS);
        (is_of_lap && time > 0).then(|| self.epoch + Duration::from_micros(time))
    }
}

/// Returns the place of an item, and how often the places were used before.
fn place_in(places: &[AtomicU64], index: u64) -> Option<(&AtomicU64, u64)> {
    let place = places.get(index as usize & places.len().wrapping_sub(1))?;
    Some((place, index / places.len() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_that_of_its_lap() {
        let limits = Limits { item_timeout: Some(Duration::from_secs(1)), ..Limits::default() };
        let limits = LimitState::new(limits, 4);
        let at = limits.epoch + Duration::from_nanos(1_500);
        assert_eq!(limits.started(2), None);
        limits.start(2, Some(at));
        let noted = limits.started(2).expect("it has started");
        assert!(at <= noted && noted - at <= Duration::from_micros(1), "never too early");
        assert_eq!((limits.started(6), limits.started(3)), (None, None));
        limits.start(6, Some(limits.epoch));
        assert_eq!(limits.started(2), None);
        assert!(limits.started(6).is_some());
        let far = 6 + 4 * (1 << 16);
        assert_eq!(
            limits.started(far),
            limits.started(6),
            "laps are told apart within 2^16 of them"
        );
    }

    #[test]
    fn a_start_is_noted_without_a_time() {
        let limits = LimitState::new(Limits::default(), 4);
        assert_eq!(limits.now(), None);
        limits.start(5, None);
        assert!(limits.started(5).is_some());
        assert_eq!((limits.started(1), limits.started(0)), (None, None));
    }

    #[test]
    fn attempts_are_those_of_their_lap() {
        let limits = LimitState::new(Limits { counts_attempts: true, ..Limits::default() }, 4);
        assert!(limits.counts_attempts());
        limits.note_attempts(2, 7);
        assert_eq!([2, 6, 1].map(|index| limits.attempts(index)), [Some(7), None, Some(0)]);
        limits.note_attempts(6, u32::MAX);
        assert_eq!([2, 6].map(|index| limits.attempts(index)), [None, Some(u32::MAX)]);
        assert_eq!([1, 2, 6, 10].map(|index| limits.is_over(index)), [false, true, true, false]);
        let limits = LimitState::new(Limits::default(), 4);
        limits.note_attempts(2, 7);
        assert_eq!((limits.attempts(2), limits.counts_attempts()), (None, false));
    }

    #[test]
    fn without_a_window_nothing_is_noted() {
        let limits = LimitState::new(Limits::default(), 0);
        limits.start(0, Some(limits.epoch));
        assert_eq!(limits.started(0), None);
    }
}
