//! Results, from the workers to the owner.

use std::time::Duration;

use bytes::Bytes;
use reorder_ring::RingId;

use crate::wire::error::WireError;
use crate::wire::fields::{LONGEST_U32, LONGEST_U64, Writer};
use crate::wire::frame::{self, HEAD, Kind};

/// The head, the identity of the ring, and the number of the worker.
const FIXED: usize = HEAD + 8 + LONGEST_U64;
/// The most bytes of an item without its value or error: position, attempt, outcome, the wait
/// before another attempt, and the length of the value.
const ITEM: usize = LONGEST_U64 + LONGEST_U32 + 1 + LONGEST_U64 + LONGEST_U32;

const DONE: u8 = 0;
const RETRY: u8 = 1;
const FAILED: u8 = 2;
const TOO_LARGE: u8 = 3;

/// Returns the largest value that fits into a message of `max_message` bytes.
pub(crate) fn largest_value(max_message: usize) -> usize {
    max_message.saturating_sub(FIXED + ITEM)
}

/// The outcome of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done(Bytes),
    /// The attempt failed, and another one may succeed, not before some time.
    Retry {
        error: String,
        after: Duration,
    },
    /// No attempt will succeed.
    Failed {
        error: String,
    },
    /// The value does not fit into a message.
    TooLarge {
        given: u64,
        allowed: u64,
    },
}

impl Outcome {
    /// Returns the number of bytes of the value or the error.
    fn len(&self) -> usize {
        match self {
            Outcome::Done(value) => value.len(),
            Outcome::Retry { error, .. } | Outcome::Failed { error } => error.len(),
            Outcome::TooLarge { .. } => 0,
        }
    }
}

/// The outcome of an attempt, and the position that it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ResultItem {
    pub(crate) position: u64,
    pub(crate) attempt: u32,
    pub(crate) outcome: Outcome,
}

/// A message of results.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Results {
    /// The ring of all the results.
    pub(crate) ring: RingId,
    /// The number of the worker, by which the owner counts.
    pub(crate) worker: u64,
    /// The checksum of the message. Two messages of one checksum are copies.
    pub(crate) checksum: u32,
    /// At least one result.
    pub(crate) items: Vec<ResultItem>,
}

impl Results {
    pub(crate) fn decode(message: &Bytes) -> Result<Results, WireError> {
        let (checksum, mut fields) = frame::open(message, Kind::Results)?;
        let (ring, worker) = (fields.ring()?, fields.number()?);
        let mut items = Vec::new();
        loop {
            let (position, attempt) = (fields.number()?, fields.u32()?);
            let malformed = fields.malformed();
            let outcome = match fields.byte()? {
                DONE => Outcome::Done(fields.bytes()?),
                RETRY => {
                    let after = Duration::from_millis(fields.number()?);
                    Outcome::Retry { after, error: fields.text()? }
                }
                FAILED => Outcome::Failed { error: fields.text()? },
                TOO_LARGE => {
                    Outcome::TooLarge { given: fields.number()?, allowed: fields.number()? }
                }
                _ => return Err(malformed),
            };
            items.push(ResultItem { position, attempt, outcome });
            if fields.is_empty() {
                return Ok(Results { ring, worker, checksum, items });
            }
        }
    }
}

/// Writes a message of results.
pub(crate) struct ResultsWriter {
    writer: Writer,
}

impl ResultsWriter {
    pub(crate) fn new(ring: RingId, worker: u64) -> ResultsWriter {
        let mut writer = frame::start(Kind::Results);
        writer.ring(ring);
        writer.number(worker);
        ResultsWriter { writer }
    }

    /// Returns `true` if a message of `max_message` bytes has room for another result.
    pub(crate) fn has_room(&self, outcome: &Outcome, max_message: usize) -> bool {
        self.writer.len() + ITEM + outcome.len() <= max_message
    }

    pub(crate) fn push(&mut self, item: &ResultItem) {
        let writer = &mut self.writer;
        writer.number(item.position);
        writer.number(item.attempt.into());
        match &item.outcome {
            Outcome::Done(value) => {
                writer.raw(&[DONE]);
                writer.bytes(value);
            }
            Outcome::Retry { error, after } => {
                writer.raw(&[RETRY]);
                writer.number(u64::try_from(after.as_millis()).unwrap_or(u64::MAX));
                writer.bytes(error.as_bytes());
            }
            Outcome::Failed { error } => {
                writer.raw(&[FAILED]);
                writer.bytes(error.as_bytes());
            }
            Outcome::TooLarge { given, allowed } => {
                writer.raw(&[TOO_LARGE]);
                writer.number(*given);
                writer.number(*allowed);
            }
        }
    }

    pub(crate) fn finish(self) -> Bytes {
        frame::finish(self.writer)
    }
}
