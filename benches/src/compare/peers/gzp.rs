//! `gzp`: T threads that compress, and one that writes.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use flate2::Compression;
use gzp::ZWriter as _;
use gzp::deflate::Mgzip;
use gzp::par::compress::{ParCompress, ParCompressBuilder};

use super::{Gzip, write_parts};

/// A peer with this number of threads.
pub(crate) struct Gzp(pub(crate) usize);

/// A sink that can be read after the writer was finished, which keeps it.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Gzip for Gzp {
    fn gzip(&self, text: &[u8]) -> io::Result<Vec<u8>> {
        let output = Shared::default();
        let builder = ParCompressBuilder::<Mgzip>::new().compression_level(Compression::new(6));
        let builder = builder.buffer_size(64 << 10).map_err(io::Error::other)?;
        let builder = builder.num_threads(self.0).map_err(io::Error::other)?;
        let mut writer: ParCompress<'_, Mgzip, _> = builder.from_writer(output.clone());
        write_parts(text, &mut writer)?;
        writer.finish().map_err(io::Error::other)?;
        Ok(std::mem::take(&mut *output.0.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}
