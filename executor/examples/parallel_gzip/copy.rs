//! Copies bytes, and tells errors of the input from errors of the output.

use std::io::{ErrorKind, Read, Write};

use crate::error::Error;

pub(crate) const BUFFER: usize = 128 * 1024;

/// Copies all bytes of the input, and returns their number. `read_error` is for its errors.
pub(crate) fn copy(
    mut input: impl Read,
    mut output: impl Write,
    read_error: fn(std::io::Error) -> Error,
) -> Result<u64, Error> {
    let mut buffer = vec![0; BUFFER];
    let mut copied = 0;
    loop {
        match input.read(&mut buffer) {
            Ok(0) => return Ok(copied),
            Ok(count) => {
                output.write_all(&buffer[..count]).map_err(Error::Write)?;
                copied += count as u64;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(read_error(error)),
        }
    }
}
