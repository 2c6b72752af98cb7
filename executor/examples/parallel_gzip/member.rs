//! Writes a gzip member block by block (RFC 1952).

use std::ffi::OsString;
use std::io::{self, Write};
use std::ops::AddAssign;
use std::time::{SystemTime, UNIX_EPOCH};

use flate2::Crc;
use reorder_executor::BlockSink;

/// The properties of a file that its header keeps. By default there are none, so equal inputs give
/// equal outputs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origin {
    /// The name without its folder, if there is one.
    pub(crate) name: Option<OsString>,
    pub(crate) modified: Option<SystemTime>,
}

/// The sizes of a member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) input: u64,
    pub(crate) output: u64,
    pub(crate) blocks: u64,
}

impl AddAssign for Size {
    fn add_assign(&mut self, other: Size) {
        self.input += other.input;
        self.output += other.output;
        self.blocks += other.blocks;
    }
}

/// A member whose blocks are written in order, each with its checksum.
pub(crate) struct Member<W, F> {
    output: W,
    crc: Crc,
    size: Size,
    /// Called after each block, with the size of its input.
    wrote: F,
}

impl<W: Write, F: Fn(u64)> BlockSink<Crc> for Member<W, F> {
    fn write_block(&mut self, deflated: &[u8], crc: Crc) -> io::Result<()> {
        self.write(deflated)?;
        self.crc.combine(&crc);
        self.size.input += u64::from(crc.amount());
        // The last block is empty if the input is.
        self.size.blocks += u64::from(crc.amount() > 0);
        (self.wrote)(u64::from(crc.amount()));
        Ok(())
    }

    fn flush_blocks(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

impl<W: Write, F> Member<W, F> {
    pub(crate) fn begin(output: W, origin: &Origin, level: u32, wrote: F) -> io::Result<Self> {
        let mut member = Member { output, crc: Crc::new(), size: Size::default(), wrote };
        member.write(&header(origin, level))?;
        Ok(member)
    }

    /// Writes what follows the last block.
    pub(crate) fn end(mut self) -> io::Result<Size> {
        self.write(&self.crc.sum().to_le_bytes())?;
        // The format has the length modulo 2^32.
        self.write(&(self.size.input as u32).to_le_bytes())?;
        self.output.flush()?;
        Ok(self.size)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.output.write_all(bytes)?;
        self.size.output += bytes.len() as u64;
        Ok(())
    }
}

fn header(origin: &Origin, level: u32) -> Vec<u8> {
    let has_name = u8::from(origin.name.is_some());
    // The format has 32 bits for the seconds, and 0 for no time.
    let seconds = origin.modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let seconds = seconds.and_then(|time| u32::try_from(time.as_secs()).ok()).unwrap_or(0);
    let effort = match level {
        9 => 2,
        1 => 4,
        _ => 0,
    };
    let system = if cfg!(unix) { 3 } else { 255 };
    // The method 8 is deflate, and the flag 8 announces the name.
    let mut header = vec![0x1f, 0x8b, 8, 8 * has_name];
    header.extend(seconds.to_le_bytes());
    header.extend([effort, system]);
    if let Some(name) = &origin.name {
        header.extend(name.as_encoded_bytes());
        header.push(0);
    }
    header
}
