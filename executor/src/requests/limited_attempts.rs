//! The number of attempts of a batch that may run at the same time.

use std::sync::Arc;
use std::task::Wake;

use crate::primitive::AtomicWaker;
use crate::scheduler::{ConcurrencyLimit, Limited, Rest};
use crate::unwind::catch_panic;

/// The part of a batch that learns of a new limit. The batch keeps it alive.
pub(crate) struct LimitedAttempts {
    rest: Arc<Rest>,
    consumer: Arc<AtomicWaker>,
}

impl LimitedAttempts {
    /// Registers a batch that has this rest and this cell for the waker of its consumer.
    pub(crate) fn new(
        limit: &ConcurrencyLimit,
        rest: &Arc<Rest>,
        consumer: &Arc<AtomicWaker>,
    ) -> Arc<LimitedAttempts> {
        let (rest, consumer) = (Arc::clone(rest), Arc::clone(consumer));
        let limited = Arc::new(LimitedAttempts { rest, consumer });
        limit.notify(&limited);
        limited
    }
}

impl Limited for LimitedAttempts {
    fn limit_changed(&self) {
        self.rest.wake_by_ref();
        // The consumer may have to run the attempts.
        catch_panic(|| self.consumer.wake());
    }
}
