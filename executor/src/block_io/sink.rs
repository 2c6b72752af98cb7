//! The trait of sinks that get a value with each block.

use std::io::{self, Write};

/// A sink of an [`OrderedWriter`](crate::OrderedWriter). The sink gets the encoded blocks in order,
/// each with the value that its encoder returned.
///
/// Every [`Write`] is a sink for encoders that return `()`. Implement this trait for a format that
/// needs more than the bytes, such as a checksum of all blocks or an index of their positions.
///
/// ```
/// use std::io::{self, Write};
/// use reorder_executor::{BlockSink, Executor, OrderedWriter};
///
/// /// Writes blocks, and notes the length of each.
/// struct Indexed<W> {
///     bytes: W,
///     lengths: Vec<usize>,
/// }
///
/// impl<W: Write> BlockSink<usize> for Indexed<W> {
///     fn write_block(&mut self, encoded: &[u8], length: usize) -> io::Result<()> {
///         self.lengths.push(length);
///         self.bytes.write_all(encoded)
///     }
///
///     fn flush_blocks(&mut self) -> io::Result<()> {
///         self.bytes.flush()
///     }
/// }
///
/// let executor = Executor::builder().workers(2).build()?;
/// let sink = Indexed { bytes: Vec::new(), lengths: Vec::new() };
/// let mut writer = OrderedWriter::new(&executor, sink, 4, |block, out| {
///     out.extend(block.to_ascii_uppercase());
///     Ok(block.len())
/// });
/// writer.write_all(b"two blocks")?;
/// let Indexed { bytes, lengths } = writer.finish()?;
/// assert_eq!((&bytes[..], &lengths[..]), (&b"TWO BLOCKS"[..], &[4, 4, 2][..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait BlockSink<T = ()> {
    /// Writes an encoded block, and takes the value of its encoder.
    ///
    /// # Errors
    ///
    /// An error ends the writer. [`Interrupted`](io::ErrorKind::Interrupted) does so as well, and
    /// gets the kind [`Other`](io::ErrorKind::Other). A part of the block may have been written.
    fn write_block(&mut self, encoded: &[u8], value: T) -> io::Result<()>;

    /// Makes all earlier blocks reach their destination, as [`Write::flush`] does.
    ///
    /// # Errors
    ///
    /// An error ends the writer, except [`Interrupted`](io::ErrorKind::Interrupted): then the
    /// writer tries again.
    fn flush_blocks(&mut self) -> io::Result<()>;
}

impl<W: Write + ?Sized> BlockSink for W {
    fn write_block(&mut self, encoded: &[u8], (): ()) -> io::Result<()> {
        self.write_all(encoded)
    }

    fn flush_blocks(&mut self) -> io::Result<()> {
        Write::flush(self)
    }
}
