//! Tasks and results as values, and how they become bytes.

use std::fmt::Display;
use std::time::Duration;

use bytes::Bytes;
use reorder_ring::TicketBits;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// An item of an owner, as a worker gets it.
///
/// A job may run more than once for one item, even at the same time. The [`ticket`](Task::ticket)
/// is the same in each run. A job with effects of its own uses it to recognise a repetition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task<T> {
    /// The value that the owner made for the item.
    pub value: T,
    pub(crate) ticket: TicketBits,
    pub(crate) attempt: u32,
}

impl<T> Task<T> {
    /// Returns the index of the item in the owner's source.
    pub fn index(&self) -> u64 {
        // The lower half of a ticket is its position, and a job's first position is 0.
        u128::from(self.ticket) as u64
    }

    /// Returns the ticket of the item: its index, and the identity of its job.
    pub fn ticket(&self) -> TicketBits {
        self.ticket
    }

    /// Returns the number of this attempt, from 1 on.
    ///
    /// A repetition after the death of a worker may have the same number.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }
}

/// The outcome of a job.
///
/// A job may also return a [`Result`]: an error asks for another attempt at once.
///
/// ```
/// use reorder_remote::AttemptOutcome;
///
/// let parsed: AttemptOutcome<u32> = "17".parse().into();
/// assert_eq!(parsed, AttemptOutcome::Done(17));
/// let failed: AttemptOutcome<u32> = "x".parse().into();
/// assert!(matches!(failed, AttemptOutcome::Retry { error, .. } if error.contains("invalid")));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptOutcome<R> {
    /// The job has a value.
    Done(R),
    /// The attempt failed, and another one may succeed.
    Retry {
        /// The error. Its first 1,024 bytes reach the owner.
        error: String,
        /// The time before the next attempt, in whole milliseconds, at most a day.
        after: Duration,
    },
    /// No attempt will succeed. The item becomes a gap.
    Failed {
        /// The error. Its first 1,024 bytes reach the owner.
        error: String,
    },
}

impl<R, E: Display> From<Result<R, E>> for AttemptOutcome<R> {
    fn from(result: Result<R, E>) -> AttemptOutcome<R> {
        match result {
            Ok(value) => AttemptOutcome::Done(value),
            Err(error) => AttemptOutcome::Retry { error: error.to_string(), after: Duration::ZERO },
        }
    }
}

/// Returns the bytes of a task or a result, or the text of the error.
pub(crate) fn encode<T: Serialize>(value: &T) -> Result<Bytes, String> {
    postcard::to_allocvec(value).map(Bytes::from).map_err(|error| error.to_string())
}

/// Returns the task or the result with these bytes, or the text of the error.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        Ok((_, rest)) => Err(format!("{} bytes too many: the types differ", rest.len())),
        Err(error) => Err(error.to_string()),
    }
}
