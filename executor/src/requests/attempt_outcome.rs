//! What a job says of one attempt.

use std::time::Duration;

/// What came of one attempt at an item. [`Requests`](crate::Requests) has an example.
///
/// A `Result` is one, too, by `From`: then nothing is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptOutcome<U, E> {
    /// The item has its value.
    Done(U),
    /// The item has failed, and another attempt would not help.
    Failed(E),
    /// The service had no capacity, or no luck: worth another attempt.
    Retry {
        /// What went wrong. The last one is kept for when there is no further attempt.
        error: E,
        /// How long to wait before the next attempt, as a `Retry-After` says; else [`Retry`](crate::Retry) decides.
        after: Option<Duration>,
    },
}

impl<U, E> AttemptOutcome<U, E> {
    /// With another value, if it has one.
    pub fn map<V>(self, f: impl FnOnce(U) -> V) -> AttemptOutcome<V, E> {
        match self {
            AttemptOutcome::Done(value) => AttemptOutcome::Done(f(value)),
            AttemptOutcome::Failed(error) => AttemptOutcome::Failed(error),
            AttemptOutcome::Retry { error, after } => AttemptOutcome::Retry { error, after },
        }
    }

    /// With another error, if it has one.
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
