//! The reasons why an item has no value.

use std::fmt;

/// The reason why an item was delivered without a value, at its place.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Gap {
    /// The last attempt failed, or a worker reported that no attempt will succeed.
    Failed {
        /// The number of attempts.
        attempts: u32,
        /// The error of the last attempt.
        error: String,
    },
    /// Workers took the item in every attempt, and at last none of them answered.
    NoAnswer {
        /// The number of attempts.
        attempts: u32,
        /// The error of the last attempt of which a worker reported one.
        last_error: Option<String>,
    },
    /// The task does not fit into a message.
    TaskTooLarge {
        /// The number of bytes of the task.
        given: u64,
        /// The largest number of bytes.
        allowed: u64,
    },
    /// The result does not fit into a message.
    ResultTooLarge {
        /// The number of bytes of the result.
        given: u64,
        /// The largest number of bytes.
        allowed: u64,
    },
    /// The task or the result could not be turned into bytes or back.
    Payload {
        /// The error.
        error: String,
    },
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Gap::Failed { attempts, error } => write!(f, "attempt {attempts} failed: {error}"),
            Gap::NoAnswer { attempts, last_error: None } => {
                write!(f, "no worker answered in {attempts} attempts")
            }
            Gap::NoAnswer { attempts, last_error: Some(error) } => {
                write!(f, "no worker answered attempt {attempts}; an earlier one failed: {error}")
            }
            Gap::TaskTooLarge { given, allowed } => {
                write!(f, "the task has {given} bytes, and a message has room for {allowed}")
            }
            Gap::ResultTooLarge { given, allowed } => {
                write!(f, "the result has {given} bytes, and a message has room for {allowed}")
            }
            Gap::Payload { error } => write!(f, "the payload cannot be converted: {error}"),
        }
    }
}

impl std::error::Error for Gap {}
