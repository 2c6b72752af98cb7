//! The interface between a stream and its handle, whatever its source and its job are.

use std::any::Any;
use std::fmt::Debug;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::Instant;

use crate::io::{Delivered, Overdue};
use crate::outcome::Stop;
use crate::primitive::AtomicWaker;
use crate::scheduler::{Published, Scheduler, TimeSlice};

/// A consumer that runs items of its own stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Helper {
    /// It saves time: workers run the items as well.
    Volunteer,
    /// It is a worker: all other workers may be waiting for it.
    Worker,
    /// The executor has no workers any more, or they do not know the stream.
    Alone,
}

/// The reaction of a consumer to a head that it gives up.
pub(crate) enum Skip {
    /// It evicts the head.
    Evict,
    /// It takes the outcomes that all items have now. The stream orders outcomes by key. `true` if
    /// this call gave outcomes to items.
    Stopped(bool),
    /// It takes the outcome that the head has now.
    Completed,
    /// It waits. Another thread gives the head its outcome, or one more attempt.
    Ending,
}

/// The statistics of any dispatcher.
pub(crate) trait AnyStats: Debug + Send + Sync + UnwindSafe + RefUnwindSafe {
    fn as_any(&self) -> &dyn Any;
    fn into_any(self: Box<Self>) -> Box<dyn Any>;
}

impl<T: Debug + Send + Sync + UnwindSafe + RefUnwindSafe + 'static> AnyStats for T {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

pub(crate) trait StreamWork: Published {
    /// Runs one chunk on the consumer's thread. Returns `false` if nothing was claimable.
    ///
    /// A volunteer does not pull, because it would deliver nothing while the source blocks it.
    fn help(&self, slice: &TimeSlice<'_>, helper: Helper) -> bool;

    /// Returns `true` if [`help`](StreamWork::help) would find something that a consumer may claim.
    fn helps(&self, _helper: Helper) -> bool {
        self.claimable()
    }

    /// Returns `true` if a consumer that helps would soon be back: items were measured to be cheap,
    /// and the source promises more.
    fn is_cheap(&self) -> bool {
        false
    }

    /// Tells the pullers that the consumer has made space. The consumer also calls this before it
    /// waits.
    fn notify_space(&self, scheduler: &Scheduler);

    /// Changes the window, and tells the threads that wait for space. Returns the new window, which
    /// is at most the capacity of the ring.
    fn set_window(&self, items: usize, scheduler: &Scheduler) -> usize;

    /// Ends the pulling, and drops the source unless a thread is pulling.
    fn cancel(&self);

    /// Does the same as [`cancel`](StreamWork::cancel), for a consumer that takes the items that
    /// were pulled. An item that waits for another attempt gets its failure, with its last error.
    fn stop(&self, _stop: Stop) {
        self.cancel();
    }

    /// Returns `true` after [`cancel`](StreamWork::cancel).
    fn is_cancelled(&self) -> bool;

    /// Ends the work on an item that the consumer gives up.
    fn skip(&self, _index: u64, _stop: Stop) -> Skip {
        Skip::Evict
    }

    /// Returns `true` if the stream orders outcomes by key. Then an item gets its position when its
    /// outcome can be taken.
    fn is_by_key(&self) -> bool {
        false
    }

    /// Gives up the items whose time is up, if the stream orders outcomes by key.
    fn give_up_overdue(&self) -> Overdue {
        Overdue::default()
    }

    /// Returns the instant at which something becomes claimable, if that is known. Asked by a
    /// consumer that must run the items.
    fn next_due(&self) -> Option<Instant> {
        None
    }

    /// Returns the statistics of the dispatcher, if the stream has one.
    fn stats(&self) -> Option<Box<dyn AnyStats>> {
        None
    }

    /// Returns the maximum number of jobs that ran at the same time, if the stream counts it.
    fn peak_concurrency(&self) -> Option<usize> {
        None
    }

    /// Returns the cell in which the consumer leaves its waker while it waits.
    fn consumer(&self) -> &AtomicWaker;

    /// Returns the counter in which the consumer publishes its position.
    fn delivered(&self) -> &Delivered;
}
