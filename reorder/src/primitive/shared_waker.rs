//! A waker, in a wrapper whose clone and drop run none of its own code.
//!
//! The cell in the ring clones a waker, and drops the one before, while it is half changed: a panic
//! there would leave it so for good, and every later wait without a wake-up. It never comes to that
//! if all it ever clones or drops is a reference count.

use core::task::Waker;

use alloc::sync::Arc;
use alloc::task::Wake;

/// What a wait leaves in the ring's cell.
pub(crate) struct SharedWaker(Waker);

impl SharedWaker {
    pub(crate) fn new(waker: Waker) -> Arc<SharedWaker> {
        Arc::new(SharedWaker(waker))
    }

    /// A wrapper of `waker`: the last one, if it wakes the same task, or a new one.
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
