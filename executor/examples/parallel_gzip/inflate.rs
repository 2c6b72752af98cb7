//! Decompresses a file. Its members follow each other, and their contents are one output.

use std::cell::Cell;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};

use flate2::bufread::GzDecoder;

use crate::copy::{BUFFER, copy};
use crate::error::Error;
use crate::member::Size;

/// Decompresses all members of `input`, and flushes `output`. Calls `read` with the number of bytes
/// of each read.
///
/// # Errors
///
/// Returns `Error::Garbage` if other bytes than zeros follow the last member. The output is
/// complete then.
pub(crate) fn inflate(
    input: impl Read,
    mut output: impl Write,
    read: impl Fn(u64),
) -> Result<Size, Error> {
    let compressed = Cell::new(0);
    let count = |bytes| {
        compressed.set(compressed.get() + bytes);
        read(bytes);
    };
    let mut input = BufReader::with_capacity(BUFFER, Counted(input, count));
    let mut inflated = 0;
    let mut is_first = true;
    loop {
        let mut member = GzDecoder::new(&mut input);
        match copy(&mut member, &mut output, Error::Inflate) {
            Ok(bytes) => inflated += bytes,
            // One byte after the last member looked like the start of another member.
            Err(Error::Inflate(error))
                if !is_first
                    && member.header().is_none()
                    && error.kind() == ErrorKind::InvalidInput =>
            {
                return Err(Error::Garbage);
            }
            Err(error) => return Err(error),
        }
        output.flush().map_err(Error::Write)?;
        is_first = false;
        match skip_zeros(&mut input).map_err(Error::Inflate)? {
            None => return Ok(Size { input: compressed.get(), output: inflated, blocks: 0 }),
            Some(0x1f) => {}
            Some(_) => return Err(Error::Garbage),
        }
    }
}

/// Skips zeros, with which tapes fill their blocks. Returns the next byte, which stays in `input`.
fn skip_zeros(input: &mut impl BufRead) -> io::Result<Option<u8>> {
    loop {
        let bytes = input.fill_buf()?;
        if bytes.is_empty() {
            return Ok(None);
        }
        let zeros = bytes.iter().take_while(|&&byte| byte == 0).count();
        if let Some(&next) = bytes.get(zeros) {
            input.consume(zeros);
            return Ok(Some(next));
        }
        input.consume(zeros);
    }
}

/// Calls a function with the number of bytes of each read.
struct Counted<R, F>(R, F);

impl<R: Read, F: FnMut(u64)> Read for Counted<R, F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.0.read(buffer)?;
        (self.1)(count as u64);
        Ok(count)
    }
}
