//! Tasks, from the owner to the workers.

use bytes::Bytes;
use reorder_ring::RingId;

use crate::wire::error::WireError;
use crate::wire::fields::{LONGEST_U32, LONGEST_U64, Writer};
use crate::wire::frame::{self, HEAD, Kind};

/// The head, and the identity of the ring.
const FIXED: usize = HEAD + 8;
/// The most bytes of an item without its payload.
const ITEM: usize = LONGEST_U64 + LONGEST_U32 + LONGEST_U32;

/// Returns the largest payload of a task that fits into a message of `max_message` bytes.
pub(crate) fn largest_task(max_message: usize) -> usize {
    max_message.saturating_sub(FIXED + ITEM)
}

/// One task: the position that its result completes, and what a worker needs to run it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TaskItem {
    pub(crate) position: u64,
    /// The number of this attempt, from 1 on.
    pub(crate) attempt: u32,
    pub(crate) payload: Bytes,
}

/// A message of tasks.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Tasks {
    /// The ring of all the tasks.
    pub(crate) ring: RingId,
    /// The checksum of the message. Two messages of one checksum are copies.
    pub(crate) checksum: u32,
    /// At least one task.
    pub(crate) items: Vec<TaskItem>,
}

impl Tasks {
    pub(crate) fn decode(message: &Bytes) -> Result<Tasks, WireError> {
        let (checksum, mut fields) = frame::open(message, Kind::Tasks)?;
        let ring = fields.ring()?;
        let mut items = Vec::new();
        loop {
            items.push(TaskItem {
                position: fields.number()?,
                attempt: fields.u32()?,
                payload: fields.bytes()?,
            });
            if fields.is_empty() {
                return Ok(Tasks { ring, checksum, items });
            }
        }
    }
}

/// Writes a message of tasks.
pub(crate) struct TasksWriter {
    writer: Writer,
}

impl TasksWriter {
    pub(crate) fn new(ring: RingId) -> TasksWriter {
        let mut writer = frame::start(Kind::Tasks);
        writer.ring(ring);
        TasksWriter { writer }
    }

    /// Returns `true` if a message of `max_message` bytes has room for another payload.
    pub(crate) fn has_room(&self, payload: &[u8], max_message: usize) -> bool {
        self.writer.len() + ITEM + payload.len() <= max_message
    }

    pub(crate) fn push(&mut self, position: u64, attempt: u32, payload: &[u8]) {
        self.writer.number(position);
        self.writer.number(attempt.into());
        self.writer.bytes(payload);
    }

    pub(crate) fn finish(self) -> Bytes {
        frame::finish(self.writer)
    }
}
