//! The reasons why an operation at a NATS server failed.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use crate::link::LinkError;

/// The reason why an operation of a [`NatsLink`](crate::NatsLink) failed.
///
/// The operations of [`Link`](crate::Link) return it inside of [`LinkError::Unavailable`].
#[derive(Debug)]
#[non_exhaustive]
pub enum NatsError {
    /// The name of the job is empty, or has a character that the server does not allow.
    JobName {
        /// The name.
        given: String,
    },
    /// There was no answer in time. The operation may have happened.
    NoAnswer {
        /// The operation.
        operation: NatsOperation,
        /// The time limit.
        after: Duration,
    },
    /// The client or the server reported an error. The operation may have happened.
    Refused {
        /// The operation.
        operation: NatsOperation,
        /// The error of the client `async-nats`.
        source: Box<dyn Error + Send + Sync>,
    },
    /// Some streams of a job may be left, or their messages.
    Left {
        /// The names of the streams. A bucket is a stream, too.
        streams: Vec<String>,
        /// The first error.
        source: Box<NatsError>,
    },
}

/// An operation at a NATS server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NatsOperation {
    /// The connection.
    Connect,
    /// The search for the streams, the consumers and the bucket, and their creation.
    Open,
    /// The publication of a message.
    Publish,
    /// The wait for messages.
    Receive,
    /// The acknowledgement of a message.
    Acknowledge,
    /// The read of the entry.
    Load,
    /// The change of the entry.
    Store,
    /// The deletion of the messages and the entry.
    Clear,
    /// The deletion of the streams and the bucket.
    Remove,
}

impl NatsError {
    pub(super) fn refused(
        operation: NatsOperation,
        error: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> NatsError {
        NatsError::Refused { operation, source: error.into() }
    }
}

impl fmt::Display for NatsOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NatsOperation::Connect => "connect to the server",
            NatsOperation::Open => "open the streams and the bucket",
            NatsOperation::Publish => "publish a message",
            NatsOperation::Receive => "receive messages",
            NatsOperation::Acknowledge => "acknowledge a message",
            NatsOperation::Load => "load the entry",
            NatsOperation::Store => "store the entry",
            NatsOperation::Clear => "clear the job",
            NatsOperation::Remove => "remove the job",
        })
    }
}

impl fmt::Display for NatsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NatsError::JobName { given } => {
                write!(f, "the name {given:?} of the job is not made of letters, digits, - and _")
            }
            NatsError::NoAnswer { operation, after } => {
                write!(f, "cannot {operation}: no answer within {after:?}")
            }
            NatsError::Refused { operation, source } => write!(f, "cannot {operation}: {source}"),
            NatsError::Left { streams, source } => {
                let streams = streams.join(", ");
                write!(f, "{source}. Try again, or delete these streams: {streams}")
            }
        }
    }
}

impl Error for NatsError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            NatsError::Refused { source, .. } => Some(&**source),
            NatsError::Left { source, .. } => Some(&**source),
            NatsError::JobName { .. } | NatsError::NoAnswer { .. } => None,
        }
    }
}

impl From<NatsError> for LinkError {
    fn from(error: NatsError) -> LinkError {
        LinkError::Unavailable(Box::new(error))
    }
}
