//! What all rounds have met.

use std::fmt;

use crate::calls::Calls;
use crate::fragile::Fragile;
use crate::traffic::Answers;
use reorder_ring::Reason;

#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) rounds: u64,
    pub(crate) traffic: Answers,
    pub(crate) fragile: Fragile,
    pub(crate) calls: Calls,
    /// In KiB.
    pub(crate) peak: u64,
}

impl Report {
    /// What was never met was not checked.
    pub(crate) fn assert_all(&self) {
        self.traffic.assert_all();
        self.fragile.assert_all();
        self.calls.assert_all();
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { rounds, traffic, fragile, calls, peak } = self;
        writeln!(f, "soak: {rounds} rounds")?;
        writeln!(
            f,
            "soak: pool: {} completed, {} delivered, {} gaps, {} cancelled, {} forged; {} rings and {} KiB to be \
             freed at the most",
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
        writeln!(f, "\nsoak: fragile values: {fragile:?}")?;
        writeln!(f, "soak: executor: {calls:?}")?;
        write!(f, "soak: nothing lost, leaked or misdelivered; {peak} KiB of memory at the most")
    }
}
