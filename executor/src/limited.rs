//! What the workers and the consumer of a stream with limits share.

use std::time::{Duration, Instant};

use crate::policy::{Course, Limits};
use crate::primitive::{AtomicU64, now};
use crate::timing::Clock;
use std::sync::atomic::Ordering::Relaxed;

/// So many bits of a word are a time in microseconds; the others tell laps apart.
const TIME_BITS: u32 = 48;

pub(crate) struct Limited {
    pub(crate) course: Course,
    /// Where instants are noted that are to be reported.
    pub(crate) clock: Option<Clock>,
    epoch: Instant,
    /// When the items of the window started, one place for each slot; none if items have no time of their own.
    started: Box<[AtomicU64]>,
}

impl Limited {
    /// For a window of so many items, a power of two.
    pub(crate) fn new(limits: Limits, window: usize) -> Limited {
        let places = if limits.item_timeout.is_some() { window } else { 0 };
        Limited {
            clock: limits.timed.then(|| Clock::new(window)),
            course: Course::new(limits),
            epoch: now(),
            started: (0..places).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// The time, if anybody needs it.
    pub(crate) fn now(&self) -> Option<Instant> {
        self.course.is_timed().then(now)
    }

    fn place(&self, index: u64) -> Option<(&AtomicU64, u64)> {
        let place = self.started.get(index as usize & self.started.len().wrapping_sub(1))?;
        Some((place, index / self.started.len() as u64))
    }

    /// Notes when an item started.
    pub(crate) fn start(&self, index: u64, at: Option<Instant>) {
        let (Some((place, lap)), Some(at)) = (self.place(index), at) else { return };
        // Rounded up, so that no item is given up too early, and never 0.
        let time = at.saturating_duration_since(self.epoch).as_micros() as u64 + 1;
        // ORDERING: limited:start: Relaxed; one word, which says itself which lap it is of. Whoever misses it takes
        // the item for one that has not started, and looks again.
        place.store(lap << TIME_BITS | time & ((1 << TIME_BITS) - 1), Relaxed);
    }

    /// When an item of the window started, if it has.
    pub(crate) fn started(&self, index: u64) -> Option<Instant> {
        let (place, lap) = self.place(index)?;
        // ORDERING: limited:started: Relaxed; as `limited:start`.
        let word = place.load(Relaxed);
        let time = word & ((1 << TIME_BITS) - 1);
        let is_of_lap = word >> TIME_BITS == lap & (u64::MAX >> TIME_BITS);
        (is_of_lap && time > 0).then(|| self.epoch + Duration::from_micros(time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_that_of_its_lap() {
        let limits = Limits { item_timeout: Some(Duration::from_secs(1)), ..Limits::default() };
        let limited = Limited::new(limits, 4);
        let at = limited.epoch + Duration::from_nanos(1_500);
        assert_eq!(limited.started(2), None);
        limited.start(2, Some(at));
        let noted = limited.started(2).expect("it has started");
        assert!(at <= noted && noted - at <= Duration::from_micros(1), "never too early");
        assert_eq!((limited.started(6), limited.started(3)), (None, None));
        limited.start(6, Some(limited.epoch));
        assert_eq!(limited.started(2), None);
        assert!(limited.started(6).is_some());
        let far = 6 + 4 * (1 << 16);
        assert_eq!(
            limited.started(far),
            limited.started(6),
            "laps are told apart within 2^16 of them"
        );
    }

    #[test]
    fn without_a_timeout_nothing_is_noted() {
        let limited = Limited::new(Limits::default(), 4);
        limited.start(0, Some(limited.epoch));
        assert_eq!(limited.started(0), None);
        assert_eq!(limited.now(), None);
    }
}
