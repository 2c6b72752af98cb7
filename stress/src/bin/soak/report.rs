//! The counts of all rounds.

use std::fmt;

use crate::calls::Calls;
use crate::drop_panics::DropPanics;
use crate::traffic::Answers;
use reorder_ring::Reason;

#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) rounds: u64,
    pub(crate) traffic: Answers,
    pub(crate) drop_panics: DropPanics,
    pub(crate) calls: Calls,
    /// The peak memory in KiB.
    pub(crate) peak: u64,
}

impl Report {
    /// Panics if an answer never occurred, for such an answer was not checked.
    pub(crate) fn assert_all(&self) {
        self.traffic.assert_all();
        self.drop_panics.assert_all();
        self.calls.assert_all();
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { rounds, traffic, drop_panics, calls, peak } = self;
        writeln!(f, "soak: {rounds} rounds")?;
        writeln!(
            f,
            "soak: pool: {} completed, {} delivered, {} gaps, {} cancelled, {} forged; \
             at most {} rings and {} KiB waited to be freed",
            traffic.accepted,
            traffic.delivered,
            traffic.gaps,
            traffic.cancelled,
            traffic.forged,
            traffic.most_rings,
            traffic.most_deferred_bytes / 1024,
        )?;
        write!(f, "soak: refused:")?;
        use Reason::{Abandoned, Duplicate, Evicted, Foreign, Settled, Stale};
        for reason in [Foreign, Stale, Duplicate, Evicted, Abandoned, Settled] {
            write!(f, " {} {reason:?}", traffic.refused[reason as usize])?;
        }
        writeln!(f, "\nsoak: values with panicking drops: {drop_panics:?}")?;
        writeln!(f, "soak: executor: {calls:?}")?;
        write!(f, "soak: nothing lost, leaked or misdelivered; at most {peak} KiB of memory")
    }
}
