//! The progress of a stream or queue on its producing side.

use std::sync::atomic::Ordering::Relaxed;

use crossbeam_utils::CachePadded;

use crate::primitive::{AtomicU64, hints};

/// The total while a stream may have more items.
const UNKNOWN: u64 = u64::MAX;

pub(crate) struct StreamProgress {
    /// The number of items that have run.
    finished: CachePadded<AtomicU64>,
    /// The number of items that were pulled, once no more will come.
    total: AtomicU64,
    /// The number of items that were pulled. It orders nothing, and models need not see it.
    pulled: hints::AtomicU64,
}

impl StreamProgress {
    pub(crate) fn new() -> StreamProgress {
        StreamProgress {
            finished: CachePadded::new(AtomicU64::new(0)),
            total: AtomicU64::new(UNKNOWN),
            pulled: hints::AtomicU64::new(0),
        }
    }

    /// Counts items that were pulled and returns the index of the first. Called by the puller.
    pub(crate) fn pull(&self, items: usize) -> u64 {
        let first = self.pulled();
        // ORDERING: stream_progress:pull: Relaxed; changed by the puller, and shown to users.
        self.pulled.store(first + items as u64, Relaxed);
        first
    }

    pub(crate) fn pulled(&self) -> u64 {
        // ORDERING: stream_progress:pulled: Relaxed; as `stream_progress:pull`.
        self.pulled.load(Relaxed)
    }

    /// Declares that no more items will come. Called by the last puller.
    pub(crate) fn end(&self) {
        // ORDERING: stream_progress:end: Relaxed; set once. `scheduler:ran` orders what comes
        // before it.
        self.total.store(self.pulled(), Relaxed);
    }

    /// Counts items that have run.
    pub(crate) fn finish(&self, items: usize) {
        // ORDERING: stream_progress:finish: Relaxed; it reaches the total once and stays there, as
        // `stream_progress:end`.
        self.finished.fetch_add(items as u64, Relaxed);
    }

    pub(crate) fn finished(&self) -> u64 {
        // ORDERING: stream_progress:finished: Relaxed; as `stream_progress:finish`.
        self.finished.load(Relaxed)
    }

    /// Returns `true` if all items have run and no more will come.
    pub(crate) fn is_done(&self) -> bool {
        // ORDERING: stream_progress:total: Relaxed; as `stream_progress:end`.
        self.total.load(Relaxed) == self.finished()
    }
}
