//! A waker that counts its calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Wake, Waker};

/// The number of calls of a waker. Loom does not see it, so that it orders nothing.
#[derive(Debug, Default)]
pub struct WakeCounter(AtomicUsize);

impl WakeCounter {
    /// Returns a counter, and a waker whose calls it counts.
    pub fn new() -> (Arc<WakeCounter>, Waker) {
        let wakes = Arc::new(WakeCounter::default());
        (Arc::clone(&wakes), Waker::from(wakes))
    }

    /// Returns the number of calls.
    pub fn count(&self) -> usize {
        self.0.load(Relaxed)
    }
}

impl Wake for WakeCounter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}
