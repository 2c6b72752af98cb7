//! Wakes the threads that run a batch of requests, after a change outside of the batch.

use std::sync::{Arc, Weak};
use std::task::Wake;

use crate::primitive::{AtomicWaker, Mutex, lock};
use crate::scheduler::{Limited, Rest};
use crate::unwind::catch_panic;

/// Wakes the threads that run a batch, when its source may have an item again, its rate limiter has
/// opened, or its limit of the concurrency has changed. It keeps no value of the user alive, so any
/// thread may use it.
pub(crate) struct BatchWaker {
    rest: Arc<Rest>,
    /// The cell for the waker of the consumer, if the consumer has to run the items.
    consumer: Mutex<Weak<AtomicWaker>>,
}

impl BatchWaker {
    /// Returns the waker of a batch that has this rest.
    pub(crate) fn new(rest: &Arc<Rest>) -> Arc<BatchWaker> {
        Arc::new(BatchWaker { rest: Arc::clone(rest), consumer: Mutex::default() })
    }

    #[cfg(test)]
    pub(crate) fn rest(&self) -> &Rest {
        &self.rest
    }

    /// Notes that the consumer has to run the items, and leaves its waker in `cell`. The consumer
    /// looks for work afterwards.
    pub(crate) fn wake_consumer_by(&self, cell: &Arc<AtomicWaker>) {
        *lock(&self.consumer) = Arc::downgrade(cell);
    }

    /// Ends the rest of the batch, and wakes a worker. Also wakes the consumer if it has to run the
    /// items.
    pub(crate) fn wake(&self) {
        self.rest.wake_by_ref();
        // After the rest has ended. A consumer that locks the cell later finds the batch awake.
        let consumer = lock(&self.consumer).upgrade();
        consumer.into_iter().for_each(|consumer| catch_panic(|| consumer.wake()));
    }
}

impl Limited for BatchWaker {
    fn limit_changed(&self) {
        self.wake();
    }
}
