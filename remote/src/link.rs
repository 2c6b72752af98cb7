//! The link between an owner or a worker and an engine that stores messages.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::time::Duration;

use bytes::Bytes;

/// Connects an owner or a worker to an engine that stores messages, such as a NATS server.
///
/// A link belongs to one job. All its owners and workers use the same two channels, and one entry
/// that holds the lease and the watermark.
///
/// # What an engine must give
///
/// * It stores a published message, and hands it to one receiver at a time.
/// * A message that is not acknowledged comes again after a time, from the same stored copy. Each
///   [`Acknowledgement::Progress`] starts this time again.
/// * It keeps one entry, which [`store`](Link::store) replaces only if it is unchanged.
///
/// # What it need not give
///
/// Messages may be lost, doubled, delayed, swapped and damaged. An acknowledgement may be lost. The
/// engine may forget all that it stores, the entry included. The owner notices, and asks again.
///
/// # What an implementation ensures
///
/// * **Every future ends**, by a time limit of its own if the engine does not answer. After an
///   error, the operation may have happened or not.
/// * Futures may be dropped at any time. A message that was received by such a future comes again.
pub trait Link: Send + Sync + 'static {
    /// A handle by which a received message is acknowledged.
    type Receipt: Clone + Send + Sync + 'static;

    /// Returns the largest message that the engine accepts, in bytes.
    fn max_message(&self) -> usize;

    /// Stores a message, and returns when the engine has confirmed it.
    ///
    /// The engine may drop a message if it has stored one with this id lately.
    fn publish(
        &self,
        channel: Channel,
        id: MessageId,
        body: Bytes,
    ) -> impl Future<Output = Result<(), LinkError>> + Send;

    /// Waits until there is a message, for some seconds at most. Then it returns the messages that
    /// are there, at most `most`, or none.
    fn receive(
        &self,
        channel: Channel,
        most: usize,
    ) -> impl Future<Output = Result<Vec<Message<Self::Receipt>>, LinkError>> + Send;

    /// Acknowledges a message. The engine need not confirm it.
    fn acknowledge(
        &self,
        receipt: &Self::Receipt,
        with: Acknowledgement,
    ) -> impl Future<Output = Result<(), LinkError>> + Send;

    /// Returns the entry, or `None` if there is none.
    fn load(&self) -> impl Future<Output = Result<Option<Entry>, LinkError>> + Send;

    /// Replaces the entry if its revision is `expected`, or if there is none and `expected` is
    /// `None`. Returns the new revision, or `None` if the entry was not as expected.
    fn store(
        &self,
        value: Bytes,
        expected: Option<u64>,
    ) -> impl Future<Output = Result<Option<u64>, LinkError>> + Send;
}

/// One of the two channels of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Channel {
    /// Tasks, from the owner to the workers. Each message goes to one worker.
    Tasks,
    /// Results, from the workers to the owner.
    Results,
}

/// The id of a published message. It is the same if the publisher tries again.
///
/// The text is 16 hexadecimal digits for the sender, and the number.
///
/// ```
/// use reorder_remote::MessageId;
///
/// assert_eq!(MessageId { sender: 0xab, number: 12 }.to_string(), "00000000000000ab-12");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageId {
    /// The identity of the process or part of it that publishes.
    pub sender: u64,
    /// The number of the message, which its sender gives to no other message.
    pub number: u64,
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{}", self.sender, self.number)
    }
}

/// A received message.
#[derive(Clone, Debug)]
pub struct Message<R> {
    /// The number of the stored message in its channel. A redelivery has the same number, and
    /// another copy has another number.
    pub sequence: u64,
    /// The number of times that the engine has delivered this stored message, from 1 on.
    pub deliveries: u64,
    /// The bytes.
    pub body: Bytes,
    /// The handle by which the message is acknowledged.
    pub receipt: R,
}

/// The answer to a received message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Acknowledgement {
    /// The engine may forget the message.
    Done,
    /// The receiver still works on the message. The time until it comes again starts again.
    Progress,
    /// The message is to come again, to any receiver, after this time.
    Again(Duration),
    /// The message is of no use to any receiver, and must not come again.
    Refused,
}

/// The entry of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The bytes.
    pub value: Bytes,
    /// The revision, which grows with each change.
    pub revision: u64,
}

/// The reason why an operation of a [`Link`] failed. It may have happened nevertheless.
#[derive(Debug)]
#[non_exhaustive]
pub enum LinkError {
    /// The message is larger than the engine accepts. It was not stored.
    TooLarge {
        /// The number of bytes of the message.
        given: usize,
        /// The largest number of bytes.
        allowed: usize,
    },
    /// The engine did not answer in time, or refused.
    Unavailable(Box<dyn Error + Send + Sync>),
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LinkError::TooLarge { given, allowed } => {
                write!(f, "the message has {given} bytes, and the engine accepts {allowed}")
            }
            LinkError::Unavailable(error) => write!(f, "the engine is unavailable: {error}"),
        }
    }
}

impl Error for LinkError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            LinkError::TooLarge { .. } => None,
            LinkError::Unavailable(error) => Some(&**error),
        }
    }
}
