//! The start of an owner: it takes the lease, and goes on with the ring that the record names.
//!
//! The owner publishes and receives nothing before its record is stored. Otherwise two owners that
//! start at once could each publish tasks of a ring of its own.

use std::time::{Duration, Instant};

use reorder_ring::CapacityError;

use crate::link::{Entry, LinkError};
use crate::machine::new_identity;
use crate::machine::owner::lease::{Lease, Others};
use crate::machine::owner::{Config, Owner, OwnerAction, Watermark, read_record};
use crate::wire::{Record, Token, WireError};

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

    /// Notes the record. Fails if it cannot be read.
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
        let others = match record {
            Some(record) if record.released => Others::None,
            _ => Others::Possible,
        };
        let epoch = record.map_or(0, |record| record.owner.epoch) + 1;
        let owner = Token { epoch, instance: self.config.instance };
        self.phase = Phase::Storing(Taking {
            record: Record { ring, owner, committed, released: false },
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
    ) -> Result<Option<Owner<R>>, OpenFailure> {
        let Phase::Storing(Taking { record, sent: Some(sent), others, is_resumed, .. }) =
            self.phase
        else {
            return Ok(None);
        };
        match result {
            Ok(Some(revision)) => {
                let lease = Lease::new(record, self.config.lease, revision, sent, others, now);
                let owner = Owner::new(self.config.clone(), lease, record, is_resumed, now);
                owner.map(Some).map_err(OpenFailure::Window)
            }
            Ok(None) => {
                self.phase = Phase::Unsure { look_at: now };
                Ok(None)
            }
            Err(_) => {
                self.phase = Phase::Unsure { look_at: now + LOOK_AGAIN };
                Ok(None)
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
