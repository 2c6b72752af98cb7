//! The outcome of one attempt at an item.

use std::time::Duration;

/// The outcome of one attempt at an item. [`Requests`](crate::Requests) has an example.
///
/// A `Result` converts into an outcome without a retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptOutcome<U, E> {
    /// The item has its value.
    Done(U),
    /// The item has failed, and another attempt would not help.
    Failed(E),
    /// The attempt failed, and another one may succeed: the service had no capacity, or a call
    /// failed by chance.
    Retry {
        /// The error of the attempt. The last error is kept for an item that gets no further
        /// attempt.
        error: E,
        /// The wait before the next attempt, such as a `Retry-After` header says. Without it,
        /// [`Retry`](crate::Retry) decides.
        after: Option<Duration>,
    },
}

impl<U, E> AttemptOutcome<U, E> {
    /// Returns the outcome with its value changed by `f`, if it has one.
    pub fn map<V>(self, f: impl FnOnce(U) -> V) -> AttemptOutcome<V, E> {
        match self {
            AttemptOutcome::Done(value) => AttemptOutcome::Done(f(value)),
            AttemptOutcome::Failed(error) => AttemptOutcome::Failed(error),
            AttemptOutcome::Retry { error, after } => AttemptOutcome::Retry { error, after },
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
        }
    }
}

impl<U, E> From<Result<U, E>> for AttemptOutcome<U, E> {
    fn from(result: Result<U, E>) -> Self {
        result.map_or_else(AttemptOutcome::Failed, AttemptOutcome::Done)
    }
}
