//! The faults of an engine, and their chances.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use fastrand::Rng;
use reorder_ring::RingId;

use crate::wire::{Outcome, ResultItem, Results, ResultsWriter, Tasks, TasksWriter, VERSION};

/// The faults of an [`InProcess`](crate::InProcess) link. Each number is a chance from 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Faults {
    /// A message is confirmed, and lost. An acknowledgement is lost.
    pub lose: f64,
    /// An operation fails. It has happened in half of the cases.
    pub fail: f64,
    /// A message is stored twice. A delivered message comes again at once.
    pub double: f64,
    /// A message becomes visible only after a random time, up to `longest_delay`.
    pub delay: f64,
    /// The longest delay, up to 30 days.
    pub longest_delay: Duration,
    /// A message overtakes messages that were stored before.
    pub swap: f64,
    /// The end of a delivered message is missing.
    pub truncate: f64,
    /// A message is delivered that was not published: with damaged bytes, for another job, for
    /// positions beyond the window, or of an unknown version.
    pub forge: f64,
}

/// Returns a part of the bytes of a message, from the beginning on.
pub(super) fn truncated(body: &Bytes, rng: &mut Rng) -> Bytes {
    body.slice(..rng.usize(..body.len().max(1)))
}

/// Returns a forged message, which is made from a real one.
pub(super) fn forged(body: &Bytes, rng: &mut Rng) -> Bytes {
    let foreign = RingId::try_from(rng.u64(1..1 << 63)).ok();
    let beyond = 1 << rng.u32(40..61);
    match (rng.u8(..5), Results::decode(body), Tasks::decode(body)) {
        (0, ..) => (0..rng.usize(..100)).map(|_| rng.u8(..)).collect(),
        (1, Ok(results), _) => rewritten_results(foreign.unwrap_or(results.ring), &results),
        (1, _, Ok(tasks)) => rewritten_tasks(foreign.unwrap_or(tasks.ring), &tasks),
        (2, Ok(mut results), _) => {
            results.items.iter_mut().for_each(|item| item.position += beyond);
            rewritten_results(results.ring, &results)
        }
        (3, ..) => of_version(body, VERSION + 1 + rng.u8(..100)),
        _ => {
            let mut damaged = BytesMut::from(&body[..]);
            if let Some(at) = damaged.len().checked_sub(1).map(|last| rng.usize(..=last)) {
                damaged[at] ^= 1 << rng.u8(..8);
            }
            damaged.freeze()
        }
    }
}

fn rewritten_results(ring: RingId, results: &Results) -> Bytes {
    let mut writer = ResultsWriter::new(ring, results.worker);
    for ResultItem { position, attempt, .. } in &results.items {
        let outcome = Outcome::Done(Bytes::from_static(b"forged"));
        writer.push(&ResultItem { position: *position, attempt: *attempt, outcome });
    }
    writer.finish()
}

fn rewritten_tasks(ring: RingId, tasks: &Tasks) -> Bytes {
    let mut writer = TasksWriter::new(ring);
    for task in &tasks.items {
        writer.push(task.position, task.attempt, &task.payload);
    }
    writer.finish()
}

/// Returns the message as another version of this crate may write it, with its checksum.
fn of_version(body: &Bytes, version: u8) -> Bytes {
    let mut message = BytesMut::from(&body[..]);
    if message.len() >= 12 {
        message[2] = version;
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&message[..8]);
        hasher.update(&message[12..]);
        message[8..12].copy_from_slice(&hasher.finalize().to_le_bytes());
    }
    message.freeze()
}
