//! The cost of items for each type of job, across calls.
//!
//! The costs are hints. If a type of job is known to be cheap, the caller of a batch runs it
//! without sharing it.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::primitive::hints::AtomicU64;
use crate::primitive::whole_nanos;

/// The number of places. Job types that share a place overwrite each other.
const JOB_TYPES: usize = 64;
/// The number of items whose cost is kept, to represent fractions of nanoseconds.
const SAMPLE: u32 = 1 << 10;

/// A type of job, named by the address of code that was compiled for it alone.
#[derive(Clone, Copy)]
pub(crate) struct JobType(usize);

impl JobType {
    pub(crate) fn of_code(code: *const ()) -> JobType {
        JobType(code.addr())
    }

    /// Returns its place, and a tag that tells it from other job types there.
    fn place(self) -> (usize, u32) {
        let mixed = (self.0 as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed as usize >> 16 & (JOB_TYPES - 1), (mixed >> 32) as u32)
    }
}

/// One word for each place: the tag of a job type, and the nanoseconds of a sample, in 32 bits
/// each.
pub(crate) struct CostHistory([AtomicU64; JOB_TYPES]);

impl CostHistory {
    pub(crate) fn new() -> CostHistory {
        CostHistory(std::array::from_fn(|_| AtomicU64::new(0)))
    }

    /// Returns the time that `items` items should take, if items of this job type ran before.
    #[inline]
    pub(crate) fn expect(&self, job_type: JobType, items: usize) -> Option<Duration> {
        let (place, tag) = job_type.place();
        // ORDERING: cost_history:expect: Relaxed; a hint.
        let word = self.0[place].load(Relaxed);
        let nanos = u64::from(word as u32).saturating_mul(items as u64) / u64::from(SAMPLE);
        ((word >> 32) as u32 == tag && word != 0).then(|| Duration::from_nanos(nanos))
    }

    /// Records that `items` items, at least 1, took `took`.
    ///
    /// A cost of up to twice the known one, or down to half of it, changes nothing. So callers that
    /// run the same type of job at the same time write no cache line that they share.
    #[inline]
    pub(crate) fn record(&self, job_type: JobType, items: usize, took: Duration) {
        let (place, tag) = job_type.place();
        let sample = whole_nanos(took).saturating_mul(u64::from(SAMPLE)) / items as u64;
        let sample = u32::try_from(sample).unwrap_or(u32::MAX);
        // ORDERING: cost_history:known: Relaxed; a hint.
        let word = self.0[place].load(Relaxed);
        let (known_tag, known) = ((word >> 32) as u32, word as u32);
        if known_tag != tag || !(known / 2..=known.saturating_mul(2)).contains(&sample) {
            // ORDERING: cost_history:record: Relaxed; a hint.
            self.0[place].store(u64::from(tag) << 32 | u64::from(sample), Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_kind_costs_is_scaled_to_its_items() {
        let (history, job_type) = (CostHistory::new(), JobType(4096));
        assert_eq!(history.expect(job_type, 5), None);
        history.record(job_type, 64, Duration::from_nanos(96));
        assert_eq!(history.expect(job_type, 64), Some(Duration::from_nanos(96)));
        assert_eq!(history.expect(job_type, 1_000_000), Some(Duration::from_nanos(1_500_000)));
        history.record(job_type, 64, Duration::from_nanos(192));
        history.record(job_type, 64, Duration::from_nanos(48));
        assert_eq!(history.expect(job_type, 64), Some(Duration::from_nanos(96)));
        history.record(job_type, 64, Duration::from_nanos(193));
        assert_eq!(history.expect(job_type, 64), Some(Duration::from_nanos(193)));
        history.record(job_type, 1, Duration::MAX);
        assert!(
            history.expect(job_type, 1).unwrap() > Duration::from_millis(4),
            "the most it keeps"
        );
    }

    #[test]
    fn kinds_are_not_mistaken_for_each_other() {
        let history = CostHistory::new();
        let job_types = || (0..2 * JOB_TYPES).map(|job_type| JobType(4096 + 16 * job_type));
        for (job_type, nanos) in job_types().zip(1..) {
            history.record(job_type, 1, Duration::from_nanos(nanos));
        }
        let known = job_types().zip(1..).filter_map(|(job_type, nanos)| {
            let expected = history.expect(job_type, 1)?;
            assert_eq!(expected, Duration::from_nanos(nanos));
            Some(())
        });
        assert!((1..=JOB_TYPES).contains(&known.count()));
    }
}
