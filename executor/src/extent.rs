//! How far a stream has come.

use std::sync::atomic;
use std::sync::atomic::Ordering::Relaxed;

use crossbeam_utils::CachePadded;

use crate::primitive::AtomicU64;

/// While a stream may have more items.
const UNKNOWN: u64 = u64::MAX;

pub(crate) struct Extent {
    /// How many items have run.
    finished: CachePadded<AtomicU64>,
    /// How many were pulled, once there will be no more.
    total: AtomicU64,
    /// How many were pulled. It orders nothing, and models need not see it.
    pulled: atomic::AtomicU64,
}

impl Extent {
    pub(crate) fn new() -> Extent {
        Extent {
            finished: CachePadded::new(AtomicU64::new(0)),
            total: AtomicU64::new(UNKNOWN),
            pulled: atomic::AtomicU64::new(0),
        }
    }

    /// To be called by whoever holds the feed, when so many more were pulled. Returns the index of the first.
    pub(crate) fn pull(&self, items: usize) -> u64 {
        let first = self.pulled();
        // ORDERING: extent:pull: Relaxed; changed by the one who holds the feed, and told to those who ask.
        self.pulled.store(first + items as u64, Relaxed);
        first
    }

    pub(crate) fn pulled(&self) -> u64 {
        // ORDERING: extent:pulled: Relaxed; as `extent:pull`.
        self.pulled.load(Relaxed)
    }

    /// To be called by the one who had the feed last.
    pub(crate) fn end(&self) {
        // ORDERING: extent:end: Relaxed; set once. What comes before it is the business of `hub:rest`.
        self.total.store(self.pulled(), Relaxed);
    }

    /// To be called after so many have run.
    pub(crate) fn finish(&self, items: usize) {
        // ORDERING: extent:finish: Relaxed; it is as large as the total once and for all, as `extent:end`.
        self.finished.fetch_add(items as u64, Relaxed);
    }

    pub(crate) fn finished(&self) -> u64 {
        // ORDERING: extent:finished: Relaxed; as `extent:finish`.
        self.finished.load(Relaxed)
    }

    /// Whether all have run, and there will be no more.
    pub(crate) fn is_done(&self) -> bool {
        // ORDERING: extent:total: Relaxed; as `extent:end`.
        self.total.load(Relaxed) == self.finished()
    }
}
