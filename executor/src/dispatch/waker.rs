//! Wakes the threads of a call of a dispatcher, after a change outside of the call.

use std::sync::{Arc, Weak};
use std::task::Wake;

use crate::primitive::{AtomicWaker, Mutex, lock};
use crate::scheduler::{Limited, Rest};
use crate::unwind::catch_panic;

/// Wakes the threads that run a call of a dispatcher: when its source may have an item again, a
/// shared resource is free, or a limit has changed. It keeps no value of the user alive, so any
/// thread may use it.
pub(super) struct CallWaker {
    rest: Arc<Rest>,
    /// The cell for the waker of the consumer, if the consumer has to run the items.
    consumer: Mutex<Weak<AtomicWaker>>,
}

impl CallWaker {
    /// Returns the waker of a call that has this rest.
    pub(super) fn new(rest: &Arc<Rest>) -> Arc<CallWaker> {
        Arc::new(CallWaker { rest: Arc::clone(rest), consumer: Mutex::default() })
    }

    /// Notes that the consumer has to run the items, and leaves its waker in `cell`. The consumer
    /// looks for work afterwards.
    pub(super) fn wake_consumer_by(&self, cell: &Arc<AtomicWaker>) {
        *lock(&self.consumer) = Arc::downgrade(cell);
    }

    /// Lets a worker ask the dispatcher again, after a change. Also wakes the consumer if it has to
    /// run the items.
    fn wake_threads(&self) {
        self.rest.wake_by_ref();
        // After the rest has ended. A consumer that locks the cell later finds the call awake.
        let consumer = lock(&self.consumer).upgrade();
        consumer.into_iter().for_each(|consumer| catch_panic(|| consumer.wake()));
    }
}

impl Wake for CallWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.wake_threads();
    }
}

impl Limited for CallWaker {
    fn limit_changed(&self) {
        self.wake_threads();
    }
}
