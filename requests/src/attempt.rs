//! An attempt and its outcome, as the job of the user sees them.

use std::fmt;
use std::time::{Duration, Instant};

use crate::dispatcher::AttemptId;
use reorder_executor::dispatch::JobContext;

/// An attempt at an item of [`Requests`](crate::Requests), as its job sees it.
#[derive(Clone)]
pub struct Attempt {
    pub(crate) job: JobContext,
    pub(crate) id: AttemptId,
    pub(crate) is_hedge: bool,
}

impl Attempt {
    /// Returns the index of the item in its batch, from 0 on.
    pub fn index(&self) -> u64 {
        self.id.index
    }

    /// Returns the number of the attempt at this item, from 1 on.
    pub fn number(&self) -> u32 {
        self.id.number
    }

    /// Returns `true` if this attempt started while another one at the same item was running, as a
    /// [hedge](crate::Hedge). It may tell the service so, which can then prefer other requests.
    pub fn is_hedge(&self) -> bool {
        self.is_hedge
    }

    /// Returns `true` if the outcome of this attempt is not needed, or will not count, for the
    /// reasons that [`Job::should_stop`](reorder_executor::Job::should_stop) lists, or because the
    /// attempt has exceeded its [time-out](crate::Retry::attempt_timeout), or because
    /// [another attempt](crate::Hedge) has won. The time of an item counts from its first attempt.
    ///
    /// # Progress
    ///
    /// As [`Job::should_stop`](reorder_executor::Job::should_stop).
    pub fn should_stop(&self) -> bool {
        self.job.should_stop()
    }

    /// Sets the weight with which this item counts in the [budget](crate::BatchBuilder::weight) of
    /// its batch: the weight of the result. It counts until the outcome is taken, also during
    /// further attempts. [`RequestsExt`](crate::RequestsExt) has an example.
    ///
    /// * A smaller weight makes room when the attempt ends. If it is set later, it makes room when
    ///   another attempt ends, or when the next outcome is taken.
    /// * A greater weight may exceed the limit. Then later items wait for longer.
    /// * Without a budget, this does nothing.
    ///
    /// # Progress
    ///
    /// Blocking: it takes a lock that is held for a few instructions.
    pub fn set_weight(&self, weight: u64) {
        self.job.set_weight(weight);
    }

    /// Returns the earliest deadline of the batch, of the item, and of the
    /// [attempt](crate::Retry::attempt_timeout), or `None` if there is no deadline. From then on,
    /// the outcome does not count.
    pub fn deadline(&self) -> Option<Instant> {
        self.job.deadline()
    }
}

impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempt")
            .field("index", &self.index())
            .field("number", &self.number())
            .finish_non_exhaustive()
    }
}

/// The outcome of one attempt at an item. [`Requests`](crate::Requests) has an example.
///
/// A `Result` converts into an outcome without a retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptOutcome<U, E> {
    /// The item has its value.
    Done(U),
    /// The item has failed, and another attempt would not help.
    Failed(E),
    /// The attempt failed, and another attempt may succeed: the service had no capacity, or a call
    /// failed by chance.
    Retry {
        /// The error of the attempt. The last error is kept for an item that gets no further
        /// attempt.
        error: E,
        /// The wait before the next attempt, such as the value of a `Retry-After` header. If it is
        /// `None`, [`Retry`](crate::Retry) decides.
        after: Option<Duration>,
    },
    /// The service refuses the requests of all clients for a time, as an answer 429 or 503 with a
    /// `Retry-After` says. The limiter closes for all batches that share it, as
    /// [`close_until`](crate::RateLimiter::close_until) does. Without a limiter, the batch alone
    /// waits.
    ///
    /// The item keeps its place, and the attempt does not count in its [`Retry`](crate::Retry). The
    /// closing, with its longest jitter, extends the budget of time of each item that has started,
    /// in all batches. A timeout or a deadline of an item goes on. So does [`Attempt::number`].
    ///
    /// An `after` of zero closes nothing, as a `Retry-After: 0` says. Then the outcome is a `Retry`
    /// whose wait [`Retry`](crate::Retry) decides.
    Closed {
        /// The error of the attempt, as for a retry.
        error: E,
        /// The time from the end of the attempt during which the service is closed.
        after: Duration,
    },
}

impl<U, E> AttemptOutcome<U, E> {
    /// Returns the outcome with its value changed by `f`, if it has one.
    pub fn map<V>(self, f: impl FnOnce(U) -> V) -> AttemptOutcome<V, E> {
        match self {
            AttemptOutcome::Done(value) => AttemptOutcome::Done(f(value)),
            AttemptOutcome::Failed(error) => AttemptOutcome::Failed(error),
            AttemptOutcome::Retry { error, after } => AttemptOutcome::Retry { error, after },
            AttemptOutcome::Closed { error, after } => AttemptOutcome::Closed { error, after },
        }
    }

    /// Returns the outcome with its error changed by `f`, if it has one.
    pub fn map_err<F>(self, f: impl FnOnce(E) -> F) -> AttemptOutcome<U, F> {
        match self {
            AttemptOutcome::Done(value) => AttemptOutcome::Done(value),
            AttemptOutcome::Failed(error) => AttemptOutcome::Failed(f(error)),
            AttemptOutcome::Retry { error, after } => {
                AttemptOutcome::Retry { error: f(error), after }
            }
            AttemptOutcome::Closed { error, after } => {
                AttemptOutcome::Closed { error: f(error), after }
            }
        }
    }
}

impl<U, E> AttemptOutcome<U, E> {
    /// Returns a retry for a closing that takes no time. Otherwise the item would be tried again
    /// and again, without a wait and without an end.
    pub(crate) fn without_empty_closing(self) -> Self {
        match self {
            AttemptOutcome::Closed { error, after: Duration::ZERO } => {
                AttemptOutcome::Retry { error, after: None }
            }
            other => other,
        }
    }
}

impl<U, E> From<Result<U, E>> for AttemptOutcome<U, E> {
    fn from(result: Result<U, E>) -> Self {
        result.map_or_else(AttemptOutcome::Failed, AttemptOutcome::Done)
    }
}
