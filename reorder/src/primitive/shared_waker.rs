//! A waker with a reference count, whose clone and drop run no user code.
//!
//! The waker cell of the ring clones a waker, and drops the previous one, in the middle of a
//! change. A panic there would leave the cell locked, and all later waits without a wake-up. The
//! clone and the drop of a reference count cannot panic.

use core::task::Waker;

use alloc::sync::Arc;
use alloc::task::Wake;

/// The waker that a wait registers in the ring's cell.
pub(crate) struct SharedWaker(Waker);

impl SharedWaker {
    /// Wraps `waker`.
    pub(crate) fn new(waker: Waker) -> Arc<SharedWaker> {
        Arc::new(SharedWaker(waker))
    }

    /// Wraps `waker`. If the last wrapper wakes the same task, it is returned again.
    pub(crate) fn wrap(waker: &Waker, last: Option<&Arc<SharedWaker>>) -> Arc<SharedWaker> {
        match last {
            Some(last) if last.0.will_wake(waker) => Arc::clone(last),
            _ => SharedWaker::new(waker.clone()),
        }
    }
}

impl Wake for SharedWaker {
    fn wake(self: Arc<Self>) {
        self.0.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.wake_by_ref();
    }
}

#[cfg(all(test, not(reorder_loom)))]
mod tests {
    use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use super::*;

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    #[test]
    fn each_way_to_wake_wakes_the_task() {
        let wakes = Arc::new(Wakes::default());
        let waker = Waker::from(SharedWaker::new(Waker::from(Arc::clone(&wakes))));
        waker.wake_by_ref();
        assert_eq!(wakes.0.load(Relaxed), 1);
        waker.wake();
        assert_eq!(wakes.0.load(Relaxed), 2);
    }
}
