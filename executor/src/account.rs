//! Whose turn it is: that of the work which workers have served for the shortest time.
//!
//! Numbers that order nothing: models need not see them.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// What a hub knows of work that was published.
#[derive(Default)]
pub(crate) struct Account {
    /// Numbered by the hub, from 1 on.
    id: AtomicU64,
    /// How long workers have served it, in nanoseconds.
    served: AtomicU64,
}

impl Account {
    pub(crate) fn id(&self) -> u64 {
        // ORDERING: account:id: Relaxed; told to those who ask.
        self.id.load(Relaxed)
    }

    /// To be called once, when the work is published.
    pub(crate) fn open(&self, id: u64, served: u64) {
        // ORDERING: account:open: Relaxed; as `account:id`.
        self.id.store(id, Relaxed);
        self.catch_up(served);
    }

    pub(crate) fn served(&self) -> u64 {
        // ORDERING: account:served: Relaxed; a number.
        self.served.load(Relaxed)
    }

    pub(crate) fn charge(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        // ORDERING: account:charge: Relaxed; as `account:served`.
        self.served.fetch_add(nanos, Relaxed);
    }

    /// Work that is new, or had nothing to do for a while, has no claim to the time that others had meanwhile.
    pub(crate) fn catch_up(&self, served: u64) {
        // ORDERING: account:catch-up: Relaxed; as `account:served`.
        self.served.fetch_max(served, Relaxed);
    }
}
