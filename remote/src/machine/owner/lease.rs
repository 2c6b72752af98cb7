//! The lease: at most one owner of a job delivers at a time.
//!
//! The record of the job names the owner that has the lease. Every change of the record is a
//! compare-and-set, so an owner that changes it knows that no other owner has done so before.
//!
//! | the record | seen by | and then |
//! |---|---|---|
//! | is as this owner left it | a renewal that succeeds | the lease is confirmed since the renewal was sent |
//! | names a newer owner | a renewal that fails, and a look | this owner is fenced for ever |
//! | names an older owner, or is lost | the same | this owner writes itself again, and waits |
//! | names this owner, at another revision | the same | the reply to a renewal was lost: renew again |
//!
//! * An owner delivers while its lease is confirmed, for `length` after the renewal was sent.
//! * An owner that takes the lease from another one waits for a little more than `length` after its
//!   first confirmation. By then, the other owner has stopped, though it may not know why yet. Then
//!   the owner renews its lease once more, and delivers.
//! * If the record is lost, so is the name of the owner that has the lease. So an owner that finds
//!   no record waits as well.
//! * So does an owner that could not renew its lease for `length`.
//! * A clock may run slower than another one by an eighth at most.

use std::time::{Duration, Instant};

use reorder_ring::RingId;

use crate::link::LinkError;
use crate::wire::{Record, Token};

/// The record, as an owner found it, and its revision.
pub(crate) type Found = Option<(Record, u64)>;

/// The next action for the lease.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum LeaseAction {
    Store { record: Record, expected: Option<u64> },
    Load,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// The next renewal is due at an instant.
    Held { renew_at: Instant },
    /// A renewal was sent.
    Storing { sent: Instant, record: Record },
    /// A renewal failed. The record is to be looked at, at an instant.
    Unsure { look_at: Instant },
    /// A look was sent.
    Loading,
    /// The lease was given back.
    Released,
    /// A newer owner has the lease.
    Fenced { by: Token },
}

pub(super) struct Lease {
    ring: RingId,
    own: Token,
    length: Duration,
    revision: Option<u64>,
    phase: Phase,
    /// The last successful renewal was sent at this instant.
    confirmed: Option<Instant>,
    others: Others,
    /// The number of committed results in the record.
    stored: u64,
    release: bool,
}

/// Says whether another owner may deliver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Others {
    /// Another owner may have the lease, until this owner is confirmed and has waited.
    Possible,
    /// Another owner may deliver until this instant.
    Until(Instant),
    None,
}

impl Lease {
    /// Returns the lease of an owner that has stored its record. `sent` is the instant at which the
    /// owner sent it, and `others` tells whether the record before it named another owner.
    pub(super) fn new(
        record: Record,
        length: Duration,
        revision: u64,
        sent: Instant,
        others: Others,
        now: Instant,
    ) -> Lease {
        let phase = Phase::Storing { sent, record };
        let mut lease = Lease {
            ring: record.ring,
            own: record.owner,
            length,
            revision: None,
            phase,
            confirmed: None,
            others,
            stored: 0,
            release: false,
        };
        lease.note_stored(now, Ok(Some(revision)));
        lease
    }

    /// Returns the identity of this owner.
    pub(super) fn own(&self) -> Token {
        self.own
    }

    /// Returns the newer owner, if there is one.
    pub(super) fn fenced_by(&self) -> Option<Token> {
        match self.phase {
            Phase::Fenced { by } => Some(by),
            _ => None,
        }
    }

    /// Returns the number of committed results that the record is known to have.
    pub(super) fn stored_watermark(&self) -> u64 {
        self.stored
    }

    pub(super) fn is_released(&self) -> bool {
        matches!(self.phase, Phase::Released)
    }

    /// Gives the lease back with the next renewal, which is due now. The owner delivers no more,
    /// since the next owner may deliver as soon as the engine has stored the record.
    pub(super) fn release(&mut self) {
        self.release = true;
        self.confirmed = None;
    }

    /// Returns `true` while no other owner delivers.
    pub(super) fn may_deliver(&self, now: Instant) -> bool {
        let is_confirmed = self.confirmed.is_some_and(|since| now < since + self.length);
        is_confirmed && self.others == Others::None && self.fenced_by().is_none()
    }

    /// Returns the instant of the next action.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Held { renew_at } => Some(renew_at),
            Phase::Unsure { look_at } => Some(look_at),
            _ => None,
        }
    }

    /// Returns the next action. `committed` is the number of committed results. If it is `urgent`,
    /// it goes into the record at once.
    pub(super) fn poll(
        &mut self,
        now: Instant,
        committed: u64,
        urgent: bool,
    ) -> Option<LeaseAction> {
        match self.phase {
            Phase::Held { renew_at } => {
                let changed = urgent && committed != self.stored;
                if now < renew_at && !changed && !self.release {
                    return None;
                }
                let record =
                    Record { ring: self.ring, owner: self.own, committed, released: self.release };
                self.phase = Phase::Storing { sent: now, record };
                Some(LeaseAction::Store { record, expected: self.revision })
            }
            Phase::Unsure { look_at } if now >= look_at => {
                self.phase = Phase::Loading;
                Some(LeaseAction::Load)
            }
            _ => None,
        }
    }

    /// Notes the end of a renewal: the new revision, `None` if the record had changed, or an error.
    pub(super) fn note_stored(&mut self, now: Instant, result: Result<Option<u64>, LinkError>) {
        let Phase::Storing { sent, record } = self.phase else { return };
        match result {
            Ok(Some(revision)) => {
                self.revision = Some(revision);
                self.stored = record.committed;
                self.phase = Phase::Held { renew_at: sent + self.length / 3 };
                if self.release {
                    if record.released {
                        self.phase = Phase::Released;
                    }
                    return;
                }
                // After a lapse, another owner may have taken the lease. An entry that was lost and
                // made again may have come to the same revision since.
                if self.confirmed.is_some_and(|since| since + self.length <= sent) {
                    self.others = Others::Possible;
                }
                self.confirmed = Some(sent);
                self.others = match self.others {
                    Others::Possible => Others::Until(now + self.length + self.length / 8),
                    Others::Until(end) if end <= sent => Others::None,
                    unchanged => unchanged,
                };
                if let Others::Until(end) = self.others {
                    self.phase = Phase::Held { renew_at: end.min(sent + self.length / 3) };
                }
            }
            Ok(None) => self.phase = Phase::Unsure { look_at: now },
            Err(_) => self.phase = Phase::Unsure { look_at: now + self.length / 8 },
        }
    }

    /// Notes the end of a look at the record.
    pub(super) fn note_loaded(&mut self, now: Instant, result: Result<Found, LinkError>) {
        if !matches!(self.phase, Phase::Loading) {
            return;
        }
        let Ok(found) = result else {
            self.phase = Phase::Unsure { look_at: now + self.length / 8 };
            return;
        };
        self.phase = Phase::Held { renew_at: now };
        self.revision = found.map(|(_, revision)| revision);
        match found {
            Some((record, _)) if record.owner > self.own => {
                self.phase = Phase::Fenced { by: record.owner };
            }
            Some((record, _)) if record.owner == self.own => {}
            Some(_) | None => {
                self.confirmed = None;
                self.others = Others::Possible;
            }
        }
    }
}
