//! Whose turn it is: that of the work which workers have served for the shortest time.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::primitive::AtomicU64;

/// How long workers have served some work, in nanoseconds.
#[derive(Default)]
pub(crate) struct Account(AtomicU64);

impl Account {
    pub(crate) fn served(&self) -> u64 {
        // ORDERING: account:served: Relaxed; a number.
        self.0.load(Relaxed)
    }

    pub(crate) fn charge(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        // ORDERING: account:charge: Relaxed; as `account:served`.
        self.0.fetch_add(nanos, Relaxed);
    }

    /// Work that is new, or had nothing to do for a while, has no claim to the time that others had meanwhile.
    pub(crate) fn catch_up(&self, served: u64) {
        // ORDERING: account:catch-up: Relaxed; as `account:served`.
        self.0.fetch_max(served, Relaxed);
    }
}
