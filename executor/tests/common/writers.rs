//! Sinks and encoders for the tests of `OrderedWriter`.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it")]

use std::io::{self, Error, ErrorKind, Write};

use reorder_executor::Block;

pub fn input(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n * 7 % 251) as u8).collect()
}

/// Writes the block behind a head: its index, its length, and whether it is the last.
pub fn encode(block: &Block<'_>, out: &mut Vec<u8>) -> io::Result<()> {
    out.extend(block.index().to_le_bytes());
    out.extend([block.len() as u8, u8::from(block.is_last())]);
    out.extend_from_slice(block);
    Ok(())
}

/// Writes the block as it is.
pub fn copy(block: &Block<'_>, out: &mut Vec<u8>) -> io::Result<()> {
    out.extend_from_slice(block);
    Ok(())
}

/// Writes to a vector up to a limit, with `step` bytes at once. Each second call is interrupted.
pub struct Sink {
    pub bytes: Vec<u8>,
    limit: usize,
    step: usize,
    is_interrupted: bool,
    pub flushes: usize,
}

impl Sink {
    pub fn new(limit: usize, step: usize) -> Sink {
        Sink { bytes: Vec::new(), limit, step, is_interrupted: false, flushes: 0 }
    }

    fn interrupt(&mut self) -> io::Result<()> {
        self.is_interrupted = !self.is_interrupted;
        if self.is_interrupted { Err(ErrorKind::Interrupted.into()) } else { Ok(()) }
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.interrupt()?;
        let count = bytes.len().min(self.step).min(self.limit - self.bytes.len());
        if count == 0 && !bytes.is_empty() {
            return Err(Error::new(ErrorKind::StorageFull, "the disk is full"));
        }
        self.bytes.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.interrupt()?;
        self.flushes += 1;
        Ok(())
    }
}
