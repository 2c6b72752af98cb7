//! Whether the items of a stream are so cheap that its consumer runs them faster than it could take their
//! outcomes from others.
//!
//! It takes a row of measurements to believe that, and one to give it up; then it takes a row twice as long
//! to believe it again. So where dear items come between cheap ones, these are shared: of a number of items,
//! the consumer meets few dear ones alone.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::primitive::{AtomicBool, AtomicU32};

/// What it costs to bring an outcome from a worker to the consumer, within a chunk of the usual size, the
/// pull and the look at the clock included.
const HAND_OFF: Duration = Duration::from_nanos(6);
/// How many items must be measured together to tell such small times.
const ENOUGH: u32 = 32;
/// How many measurements in a row it takes at first, and at the most.
const ROW: (u32, u32) = (32, 1024);

/// Hints, of which a lost one does no harm.
pub(crate) struct Trust {
    given: AtomicBool,
    row: AtomicU32,
    needed: AtomicU32,
}

impl Trust {
    pub(crate) fn new() -> Trust {
        Trust {
            given: AtomicBool::new(false),
            row: AtomicU32::new(0),
            needed: AtomicU32::new(ROW.0),
        }
    }

    pub(crate) fn is_given(&self) -> bool {
        // ORDERING: trust:given: Relaxed; ordered by the fences in `hub`, as what is claimable.
        self.given.load(Relaxed)
    }

    /// Learns that `count` items took so long. `true` if this ends the trust.
    pub(crate) fn learn(&self, count: u32, took: Duration) -> bool {
        let given = self.is_given();
        if took < count.max(ENOUGH) * HAND_OFF {
            // ORDERING: trust:row: Relaxed; a hint.
            let row = self.row.load(Relaxed).saturating_add(1);
            // ORDERING: trust:longer: Relaxed; a hint.
            self.row.store(row, Relaxed);
            // ORDERING: trust:needed: Relaxed; a hint.
            if !given && row >= self.needed.load(Relaxed) {
                // ORDERING: trust:give: Relaxed; the consumer is woken after it.
                self.given.store(true, Relaxed);
            }
            return false;
        }
        // ORDERING: trust:over: Relaxed; a hint.
        self.row.store(0, Relaxed);
        if given {
            // ORDERING: trust:again: Relaxed; a hint.
            let needed = self.needed.load(Relaxed);
            // ORDERING: trust:double: Relaxed; a hint.
            self.needed.store((2 * needed).min(ROW.1), Relaxed);
            // ORDERING: trust:end: Relaxed; whoever ends it fences and looks for sleepers.
            self.given.store(false, Relaxed);
        }
        given
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: Duration = Duration::from_nanos(300);
    const DEAR: Duration = Duration::from_micros(50);

    /// How many cheap chunks it takes.
    fn row(trust: &Trust) -> u32 {
        let cheap = |_: &u32| {
            assert!(!trust.learn(128, CHEAP));
            trust.is_given()
        };
        (1..).find(cheap).unwrap()
    }

    #[test]
    fn it_is_given_after_a_row_and_ends_at_once_and_then_takes_twice_as_long() {
        let trust = Trust::new();
        for needed in [32, 64, 128, 256, 512, 1024, 1024] {
            assert!((1..needed).all(|_| !trust.learn(128, CHEAP) && !trust.is_given()));
            assert_eq!(row(&trust), 1);
            assert!(trust.learn(128, DEAR) && !trust.is_given());
            assert!(!trust.learn(128, DEAR), "it has ended before");
        }
    }

    #[test]
    fn dear_items_between_cheap_ones_are_never_trusted() {
        let trust = Trust::new();
        for chunk in 0..10_000 {
            trust.learn(128, if chunk % 30 == 0 { DEAR } else { CHEAP });
            assert!(!trust.is_given());
        }
    }

    #[test]
    fn few_items_count_if_they_take_no_time() {
        let trust = Trust::new();
        assert!((0..ROW.0).all(|_| !trust.learn(1, Duration::from_nanos(100))));
        assert!(trust.is_given());
        assert!(trust.learn(1, Duration::from_micros(1)));
    }
}
