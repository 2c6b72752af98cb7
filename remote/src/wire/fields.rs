//! The fields of a message: numbers, bytes and texts.

use bytes::{BufMut, Bytes, BytesMut};
use reorder_ring::RingId;

use crate::wire::error::WireError;

/// The most bytes that a 64-bit and a 32-bit number take, at 7 bits per byte.
pub(super) const LONGEST_U64: usize = 10;
pub(super) const LONGEST_U32: usize = 5;

/// Writes fields one after the other.
#[derive(Default)]
pub(super) struct Writer {
    bytes: BytesMut,
}

impl Writer {
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.put_slice(bytes);
    }

    /// Writes a number with its lowest 7 bits first. Each byte but the last has its highest bit.
    pub(super) fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.bytes.put_u8(number as u8 | 0x80);
            number >>= 7;
        }
        self.bytes.put_u8(number as u8);
    }

    /// Writes the number of bytes, and the bytes.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.raw(bytes);
    }

    pub(super) fn ring(&mut self, ring: RingId) {
        self.bytes.put_u64_le(ring.into());
    }

    pub(super) fn u64(&mut self, number: u64) {
        self.bytes.put_u64_le(number);
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn into_bytes(self) -> BytesMut {
        self.bytes
    }
}

/// Reads fields one after the other. Every method fails at the end of the bytes.
pub(super) struct Reader {
    rest: Bytes,
    at: usize,
}

impl Reader {
    /// Returns a reader of some bytes, which begin at a place of their message.
    pub(super) fn new(rest: Bytes, at: usize) -> Reader {
        Reader { rest, at }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Returns the error for the field at this place.
    pub(super) fn malformed(&self) -> WireError {
        WireError::Malformed { at: self.at }
    }

    pub(super) fn take(&mut self, length: usize) -> Result<Bytes, WireError> {
        if length > self.rest.len() {
            return Err(self.malformed());
        }
        self.at += length;
        Ok(self.rest.split_to(length))
    }

    pub(super) fn byte(&mut self) -> Result<u8, WireError> {
        Ok(self.take(1)?[0])
    }

    pub(super) fn u64(&mut self) -> Result<u64, WireError> {
        let bytes = self.take(8)?;
        bytes[..].try_into().map(u64::from_le_bytes).map_err(|_| self.malformed())
    }

    pub(super) fn number(&mut self) -> Result<u64, WireError> {
        let (mut number, mut shift) = (0u64, 0);
        loop {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            // The tenth byte has room for one bit.
            if shift == 63 && bits > 1 {
                return Err(self.malformed());
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
            shift += 7;
            if shift > 63 {
                return Err(self.malformed());
            }
        }
    }

    pub(super) fn u32(&mut self) -> Result<u32, WireError> {
        u32::try_from(self.number()?).map_err(|_| self.malformed())
    }

    pub(super) fn bytes(&mut self) -> Result<Bytes, WireError> {
        let length = usize::try_from(self.number()?).map_err(|_| self.malformed())?;
        self.take(length)
    }

    pub(super) fn text(&mut self) -> Result<String, WireError> {
        let bytes = self.bytes()?;
        core::str::from_utf8(&bytes).map(str::to_owned).map_err(|_| self.malformed())
    }

    pub(super) fn ring(&mut self) -> Result<RingId, WireError> {
        RingId::try_from(self.u64()?).map_err(|_| self.malformed())
    }
}
