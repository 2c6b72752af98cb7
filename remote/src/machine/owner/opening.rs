//! The start of an owner: it takes the lease, and goes on with the ring that the record names.
//!
//! The owner publishes and receives nothing before its record is stored. Otherwise two owners that
//! start at once could each publish tasks of a ring of its own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use reorder_ring::{CapacityError, Ring};

use crate::link::{Entry, LinkError};
use crate::machine::new_identity;
use crate::machine::owner::lease::{Lease, Others};
use crate::machine::owner::{Config, Owner, OwnerAction, Watermark, read_record};
use crate::wire::{Record, Token, WireError};

/// The highest index at which an owner begins. The ring has 2^61 positions, so no job reaches their
/// end.
const LARGEST_FIRST: u64 = 1 << 60;
/// The time before an owner looks at the record again, after an error of the link.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

enum Phase {
    Unsure { look_at: Instant },
    Loading,
    Storing(Taking),
}

/// A record that names this owner, and what stood there before.
struct Taking {
    record: Record,
    /// The ring is made before the record is stored. An owner with impossible settings would fence
    /// the older owner otherwise.
    ring: Arc<Ring<Bytes>>,
    expected: Option<u64>,
    sent: Option<Instant>,
    others: Others,
    is_resumed: bool,
}

/// An owner that does not have the lease yet.
pub(crate) struct Opening {
    config: Config,
    phase: Phase,
}

impl Opening {
    pub(crate) fn new(config: Config, now: Instant) -> Opening {
        Opening { config, phase: Phase::Unsure { look_at: now } }
    }

    /// Returns the next action, or `None` until the deadline or an event.
    pub(crate) fn poll<R>(&mut self, now: Instant) -> Option<OwnerAction<R>> {
        match &mut self.phase {
            Phase::Unsure { look_at } if *look_at <= now => {
                self.phase = Phase::Loading;
                Some(OwnerAction::Load)
            }
            Phase::Storing(taking) if taking.sent.is_none() => {
                taking.sent = Some(now);
                let (value, expected) = (taking.record.encode(), taking.expected);
                Some(OwnerAction::Store { value, expected })
            }
            _ => None,
        }
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Unsure { look_at } => Some(look_at),
            _ => None,
        }
    }

    /// Notes the record. Fails if it cannot be read, or if the window is not possible.
    pub(crate) fn loaded(
        &mut self,
        now: Instant,
        result: Result<Option<Entry>, LinkError>,
    ) -> Result<(), OpenFailure> {
        let Ok(entry) = result else {
            self.phase = Phase::Unsure { look_at: now + LOOK_AGAIN };
            return Ok(());
        };
        let found = entry.as_ref().map(read_record).transpose().map_err(OpenFailure::Record)?;
        let record = found.map(|(record, _)| record);
        let ring = match record {
            Some(record) => record.ring,
            None => new_identity().map_err(OpenFailure::Window)?,
        };
        let committed = match self.config.watermark {
            Watermark::InSink(first) => first,
            Watermark::InRecord => record.map_or(0, |record| record.committed),
        };
        if committed > LARGEST_FIRST {
            let (requested, largest) = (committed, LARGEST_FIRST);
            return Err(OpenFailure::Window(CapacityError::FirstPosition { requested, largest }));
        }
        let resumed = Ring::resume(ring, self.config.window, committed);
        let others = match record {
            Some(record) if record.released => Others::None,
            _ => Others::Possible,
        };
        let epoch = record.map_or(0, |record| record.owner.epoch) + 1;
        let owner = Token { epoch, instance: self.config.instance };
        self.phase = Phase::Storing(Taking {
            record: Record { ring, owner, committed, released: false },
            ring: Arc::new(resumed.map_err(OpenFailure::Window)?),
            expected: found.map(|(_, revision)| revision),
            sent: None,
            others,
            is_resumed: record.is_some(),
        });
        Ok(())
    }

    /// Notes the end of the change of the record. Returns the owner if it has the lease.
    pub(crate) fn stored<R: Clone>(
        &mut self,
        now: Instant,
        result: Result<Option<u64>, LinkError>,
    ) -> Option<Owner<R>> {
        let phase = core::mem::replace(&mut self.phase, Phase::Unsure { look_at: now });
        let Phase::Storing(Taking { record, ring, sent: Some(sent), others, is_resumed, .. }) =
            phase
        else {
            self.phase = phase;
            return None;
        };
        match result {
            Ok(Some(revision)) => {
                let lease = Lease::new(record, self.config.lease, revision, sent, others, now);
                let config = self.config.clone();
                Some(Owner::new(config, lease, ring, record.committed, is_resumed, now))
            }
            Ok(None) => None,
            Err(_) => {
                self.phase = Phase::Unsure { look_at: now + LOOK_AGAIN };
                None
            }
        }
    }
}

/// The reason why an owner cannot be opened.
#[derive(Debug)]
pub(crate) enum OpenFailure {
    Record(WireError),
    Window(CapacityError),
}
