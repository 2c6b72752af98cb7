//! A waker that counts its calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};

/// The number of calls of a waker.
#[derive(Default)]
pub(crate) struct WakeCounter(AtomicUsize);

impl WakeCounter {
    /// Returns a counter, and a waker whose calls it counts.
    pub(crate) fn new() -> (Arc<WakeCounter>, Waker) {
        let wake_counter = Arc::new(WakeCounter::default());
        (Arc::clone(&wake_counter), Waker::from(wake_counter))
    }

    /// Returns the number of calls.
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for WakeCounter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}
