//! What a job says of one attempt.

use std::time::Duration;

/// What came of one attempt at an item. [`Requests`](crate::Requests) has an example.
///
/// A `Result` is one, too, by `From`: then nothing is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer<U, E> {
    /// The item has its value.
    Done(U),
    /// The item has failed, and another attempt would not help.
    Failed(E),
    /// The service had no capacity, or no luck: worth another attempt.
    Again {
        /// What went wrong. The last one is kept for when there is no further attempt.
        error: E,
        /// How long to wait before the next attempt, as a `Retry-After` says; else [`Retry`](crate::Retry) decides.
        after: Option<Duration>,
    },
}

impl<U, E> Answer<U, E> {
    /// With another value, if it has one.
    pub fn map<V>(self, f: impl FnOnce(U) -> V) -> Answer<V, E> {
        match self {
            Answer::Done(value) => Answer::Done(f(value)),
            Answer::Failed(error) => Answer::Failed(error),
            Answer::Again { error, after } => Answer::Again { error, after },
        }
    }

    /// With another error, if it has one.
    pub fn map_err<F>(self, f: impl FnOnce(E) -> F) -> Answer<U, F> {
        match self {
            Answer::Done(value) => Answer::Done(value),
            Answer::Failed(error) => Answer::Failed(f(error)),
            Answer::Again { error, after } => Answer::Again { error: f(error), after },
        }
    }
}

impl<U, E> From<Result<U, E>> for Answer<U, E> {
    fn from(result: Result<U, E>) -> Self {
        result.map_or_else(Answer::Failed, Answer::Done)
    }
}
