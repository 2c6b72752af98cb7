//! A waker that counts its calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};

/// The number of calls of a waker.
#[derive(Default)]
pub(crate) struct Tally(AtomicUsize);

impl Tally {
    /// Returns a counter, and a waker whose calls it counts.
    pub(crate) fn new() -> (Arc<Tally>, Waker) {
        let tally = Arc::new(Tally::default());
        (Arc::clone(&tally), Waker::from(tally))
    }

    /// Returns the number of calls.
    pub(crate) fn wakes(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Tally {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}
