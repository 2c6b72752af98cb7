//! The record of a job, which one entry of the engine keeps: the lease and the watermark.

use bytes::Bytes;
use reorder_ring::RingId;

use crate::wire::error::WireError;
use crate::wire::frame::{self, Kind};

/// The identity of an owner, by which two owners of one job agree which of them is the newer one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Token {
    /// The epoch: 1 more than the epoch of the owner before.
    pub(crate) epoch: u64,
    /// A number that no other owner has. It decides between two owners of one epoch.
    pub(crate) instance: u64,
}

/// The state of a job that the engine keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// The identity of the ring. It stays the same for the whole job.
    pub(crate) ring: RingId,
    /// The owner that has the lease.
    pub(crate) owner: Token,
    /// The number of committed results.
    pub(crate) committed: u64,
    /// Says that the owner has given back the lease, and delivers nothing more.
    pub(crate) released: bool,
}

impl Record {
    pub(crate) fn encode(&self) -> Bytes {
        let mut writer = frame::start(Kind::Record);
        writer.ring(self.ring);
        writer.u64(self.owner.epoch);
        writer.u64(self.owner.instance);
        writer.u64(self.committed);
        writer.raw(&[self.released.into()]);
        frame::finish(writer)
    }

    pub(crate) fn decode(message: &Bytes) -> Result<Record, WireError> {
        let (_, mut fields) = frame::open(message, Kind::Record)?;
        let ring = fields.ring()?;
        let owner = Token { epoch: fields.u64()?, instance: fields.u64()? };
        let committed = fields.u64()?;
        let malformed = fields.malformed();
        let released = match fields.byte()? {
            0 => false,
            1 => true,
            _ => return Err(malformed),
        };
        if !fields.is_empty() {
            return Err(fields.malformed());
        }
        Ok(Record { ring, owner, committed, released })
    }
}
