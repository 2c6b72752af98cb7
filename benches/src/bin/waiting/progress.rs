//! The progress of a run, which the watchdog reads.

use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_utils::CachePadded;

/// One counter per party. Only its party stores to it.
#[derive(Default)]
pub(crate) struct Progress {
    pub(crate) reserved: Counter,
    pub(crate) completed: Counter,
    pub(crate) delivered: Counter,
}

#[derive(Default)]
pub(crate) struct Counter(CachePadded<AtomicU64>);

impl Counter {
    pub(crate) fn set(&self, count: u64) {
        self.0.store(count, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
