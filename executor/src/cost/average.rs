//! The average cost of the items of a stream.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::primitive::hints::AtomicU32;
use crate::primitive::whole_nanos;

/// The value before any item was measured.
const UNKNOWN: u32 = u32::MAX;
/// The weight of the past: the number of measurements that the average goes back to. A single
/// outlier must not decide.
const MEMORY: u32 = 8;

/// A moving average. It orders nothing, and models need not see it.
pub(crate) struct AverageCost {
    nanos: AtomicU32,
}

impl AverageCost {
    pub(crate) fn unknown() -> AverageCost {
        AverageCost { nanos: AtomicU32::new(UNKNOWN) }
    }

    /// Adds a measurement: `items` items, at least 1, took `took`.
    pub(crate) fn record(&self, items: u32, took: Duration) {
        let each = u32::try_from(whole_nanos(took) / u64::from(items)).unwrap_or(UNKNOWN);
        // ORDERING: average:load: Relaxed; a hint. Of two that measure at the same time, one is
        // lost.
        let before = self.nanos.load(Relaxed);
        let average = match before {
            UNKNOWN => each,
            before => before - before / MEMORY + each / MEMORY,
        };
        let average = average.min(UNKNOWN - 1);
        if average != before {
            // ORDERING: average:record: Relaxed; as `average:load`.
            self.nanos.store(average, Relaxed);
        }
    }

    /// Returns `true` if items were measured, and their average is below `most`.
    pub(crate) fn is_below(&self, most: Duration) -> bool {
        // ORDERING: average:below: Relaxed; as `average:load`.
        u64::from(self.nanos.load(Relaxed)) < whole_nanos(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: Duration = Duration::from_micros(50);

    fn measured(micros: &[u64]) -> bool {
        let cost = AverageCost::unknown();
        micros.iter().for_each(|&micros| cost.record(1, Duration::from_micros(micros)));
        cost.is_below(MOST)
    }

    #[test]
    fn nothing_is_known_before_the_first_item_which_decides() {
        assert!(!measured(&[]));
        assert!(measured(&[49]));
        assert!(!measured(&[50]));
    }

    #[test]
    fn one_dear_item_among_cheap_ones_is_an_exception() {
        assert!(measured(&[25, 51]));
        assert!(measured(&[25, 200]));
        assert!(!measured(&[25, 10_000]), "nobody should wait for another one of these");
    }

    #[test]
    fn what_lasts_is_believed() {
        assert!(!measured(&[1, 100, 100, 100, 100, 100, 100]));
        let mut later = vec![10_000];
        later.extend([1; 60]);
        assert!(measured(&later));
    }

    #[test]
    fn the_longest_item_is_not_unknown() {
        let cost = AverageCost::unknown();
        cost.record(1, Duration::MAX);
        cost.record(256, Duration::from_micros(1));
        assert!(!cost.is_below(MOST), "as it would be if that were taken for the first");
        (0..200).for_each(|_| cost.record(256, Duration::from_micros(1)));
        assert!(cost.is_below(MOST));
    }

    #[test]
    fn items_that_were_measured_together_share_the_time() {
        let cost = AverageCost::unknown();
        cost.record(100, Duration::from_micros(100));
        assert!(
            cost.is_below(Duration::from_micros(2)) && !cost.is_below(Duration::from_micros(1))
        );
    }
}
