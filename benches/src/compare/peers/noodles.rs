//! The multithreaded writer of `noodles-bgzf`: T threads that compress, and one that writes.

use std::io;
use std::num::NonZero;

use noodles_bgzf::io::multithreaded_writer::Builder;

use super::{Gzip, write_parts};

/// A peer with this number of threads. Its blocks have 65,280 bytes, the most of the format.
pub(crate) struct Noodles(pub(crate) usize);

impl Gzip for Noodles {
    fn gzip(&self, text: &[u8]) -> io::Result<Vec<u8>> {
        let threads = NonZero::new(self.0).expect("there are threads");
        // The default is level 6.
        let builder = Builder::default().set_worker_count(threads);
        let mut writer = builder.build_from_writer(Vec::new());
        write_parts(text, &mut writer)?;
        writer.finish()
    }
}
