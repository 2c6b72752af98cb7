//! Writes a gzip member block by block (RFC 1952).

use std::io::{self, Write};

use flate2::Crc;

use crate::deflate::Deflated;

/// The header: deflate, without a name and a time, from an unknown system. So equal inputs give
/// equal outputs.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
/// An empty last block of a deflate stream.
const END: [u8; 2] = [0x03, 0x00];

/// The sizes of a member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) input: u64,
    pub(crate) output: u64,
    pub(crate) blocks: u64,
}

pub(crate) struct Member<W> {
    output: W,
    crc: Crc,
    size: Size,
}

impl<W: Write> Member<W> {
    pub(crate) fn begin(output: W) -> io::Result<Self> {
        let mut member = Member { output, crc: Crc::new(), size: Size::default() };
        member.write(&HEADER)?;
        Ok(member)
    }

    /// Writes the next block in order.
    pub(crate) fn append(&mut self, block: &Deflated) -> io::Result<()> {
        self.write(&block.bytes)?;
        self.crc.combine(&block.crc);
        self.size.input += u64::from(block.crc.amount());
        self.size.blocks += 1;
        Ok(())
    }

    pub(crate) fn end(mut self) -> io::Result<(W, Size)> {
        self.write(&END)?;
        self.write(&self.crc.sum().to_le_bytes())?;
        // The format has the length modulo 2^32.
        self.write(&(self.size.input as u32).to_le_bytes())?;
        Ok((self.output, self.size))
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.output.write_all(bytes)?;
        self.size.output += bytes.len() as u64;
        Ok(())
    }
}
