//! Counters of refusals, for operators. The protocol does not depend on them.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

use crate::errors::Reason;

/// The numbers of refused completions and evictions, by [`Reason`].
///
/// [`Ring::refusals`](crate::Ring::refusals) returns them. They do not include the drop of a
/// [`Permit`](crate::Permit) whose position was completed or evicted before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusals {
    /// The number of refusals with [`Reason::Foreign`].
    pub foreign: u64,
    /// The number of refusals with [`Reason::Stale`].
    pub stale: u64,
    /// The number of refusals with [`Reason::Duplicate`].
    pub duplicate: u64,
    /// The number of refusals with [`Reason::Evicted`].
    pub evicted: u64,
    /// The number of refusals with [`Reason::Abandoned`].
    pub abandoned: u64,
    /// The number of refusals with [`Reason::Settled`].
    pub settled: u64,
    /// The number of refusals with [`Reason::Unreserved`].
    pub unreserved: u64,
}

#[cfg(feature = "pool")]
impl Refusals {
    /// Adds two sets of numbers.
    pub(crate) fn plus(self, other: Refusals) -> Refusals {
        Refusals {
            foreign: self.foreign + other.foreign,
            stale: self.stale + other.stale,
            duplicate: self.duplicate + other.duplicate,
            evicted: self.evicted + other.evicted,
            abandoned: self.abandoned + other.abandoned,
            settled: self.settled + other.settled,
            unreserved: self.unreserved + other.unreserved,
        }
    }
}

/// One counter per reason. Loom does not model them, since they are not part of the protocol.
#[derive(Default)]
pub(crate) struct Counters([AtomicU64; 7]);

impl Counters {
    /// Counts a refusal.
    pub(crate) fn count(&self, reason: Reason) {
        // ORDERING: refusals:count: Relaxed; the number matters alone.
        self.0[reason as usize].fetch_add(1, Relaxed);
    }

    /// Adds the counters of another ring to these.
    #[cfg(feature = "pool")]
    pub(crate) fn add(&self, other: &Counters) {
        for (sum, count) in self.0.iter().zip(&other.0) {
            // ORDERING: refusals:other: Relaxed; as `refusals:count`.
            let count = count.load(Relaxed);
            // ORDERING: refusals:add: Relaxed; as `refusals:count`.
            sum.fetch_add(count, Relaxed);
        }
    }

    /// Returns the present numbers.
    pub(crate) fn read(&self) -> Refusals {
        // ORDERING: refusals:read: Relaxed; as `refusals:count`.
        let count = |reason: Reason| self.0[reason as usize].load(Relaxed);
        Refusals {
            foreign: count(Reason::Foreign),
            stale: count(Reason::Stale),
            duplicate: count(Reason::Duplicate),
            evicted: count(Reason::Evicted),
            abandoned: count(Reason::Abandoned),
            settled: count(Reason::Settled),
            unreserved: count(Reason::Unreserved),
        }
    }
}
