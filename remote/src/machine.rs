//! The owner and the worker as state machines: pure functions of time and events.
//!
//! A machine has no clock, no thread and no input or output. A driver tells it what happened, and
//! performs its actions:
//!
//! ```text
//!             offer, received, published, stored, loaded, tick
//!   driver ───────────────────────────────────────────────────▶ machine
//!          ◀───────────────────────────────────────────────────
//!             poll: publish, acknowledge, store, load, start; and deadline: when to tick
//! ```
//!
//! Tests drive the machines in virtual time, and let them crash between any two steps.

mod owner;
mod worker;

use reorder_ring::{CapacityError, Ring, RingId};

pub(crate) use owner::{
    Config as OwnerConfig, OpenFailure, Opening, Owner, OwnerAction, Step, Watermark,
};
pub(crate) use worker::{Config as WorkerConfig, Job, JobId, Worker, WorkerAction};

/// Returns an identity that no other ring, owner or worker has.
pub(crate) fn new_identity() -> Result<RingId, CapacityError> {
    Ok(Ring::<()>::with_capacity(1)?.id())
}

/// The identity of a stored message, the same for all its deliveries.
///
/// An engine that has lost its storage may give a number again. So the content counts, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct StoredId {
    pub(crate) sequence: u64,
    pub(crate) ring: RingId,
    pub(crate) checksum: u32,
}
