//! How often a ring said no, and why. A view for operators; nothing depends on it.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

use crate::errors::Reason;

/// Refused completions and evictions, by [`Reason`]. From [`Ring::refusals`](crate::Ring::refusals).
///
/// A [`Permit`](crate::Permit) that is dropped in vain is not counted: nobody asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusals {
    /// [`Reason::Foreign`].
    pub foreign: u64,
    /// [`Reason::Stale`].
    pub stale: u64,
    /// [`Reason::Duplicate`].
    pub duplicate: u64,
    /// [`Reason::Evicted`].
    pub evicted: u64,
    /// [`Reason::Abandoned`].
    pub abandoned: u64,
    /// [`Reason::Settled`].
    pub settled: u64,
    /// [`Reason::Unreserved`].
    pub unreserved: u64,
}

#[cfg(feature = "pool")]
impl Refusals {
    /// The sums.
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

/// One counter per reason. Loom does not model them: they are no part of the protocol.
#[derive(Default)]
pub(crate) struct Counters([AtomicU64; 7]);

impl Counters {
    pub(crate) fn count(&self, reason: Reason) {
        // ORDERING: refusals:count: Relaxed; only the number matters.
        self.0[reason as usize].fetch_add(1, Relaxed);
    }

    /// Adds up to another ring's counters.
    #[cfg(feature = "pool")]
    pub(crate) fn add(&self, other: &Counters) {
        for (sum, count) in self.0.iter().zip(&other.0) {
            // ORDERING: refusals:other: Relaxed; as `refusals:count`.
            let count = count.load(Relaxed);
            // ORDERING: refusals:add: Relaxed; as `refusals:count`.
            sum.fetch_add(count, Relaxed);
        }
    }

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
