//! A block as its encoder gets it, and the cutting of blocks.

use std::fmt;
use std::io;
use std::mem;
use std::ops::Deref;

use crate::block_io::spares::{Spares, reserve};

/// A block of the bytes that were written to an [`OrderedWriter`](crate::OrderedWriter), as its
/// encoder gets it.
///
/// It dereferences to its bytes.
pub struct Block<'a> {
    /// The dictionary and the block.
    bytes: &'a [u8],
    start: usize,
    index: u64,
    is_last: bool,
}

impl<'a> Block<'a> {
    /// Returns the bytes of the block. Their lifetime is longer than that of `&self`.
    pub fn bytes(&self) -> &'a [u8] {
        &self.bytes[self.start..]
    }

    /// Returns the bytes before the block. Their number is the size of the
    /// [dictionary](crate::OrderedWriterBuilder::dictionary). If fewer bytes were written before
    /// the block, these are all of them.
    pub fn dictionary(&self) -> &'a [u8] {
        &self.bytes[..self.start]
    }

    /// Returns the dictionary and the block, which follow each other in memory.
    pub fn with_dictionary(&self) -> &'a [u8] {
        self.bytes
    }

    /// Returns the number of blocks before this one.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// Returns `true` if no block follows. Every finished writer has one last block, which may be
    /// empty.
    pub fn is_last(&self) -> bool {
        self.is_last
    }
}

impl Deref for Block<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes()
    }
}

impl fmt::Debug for Block<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Block")
            .field("index", &self.index)
            .field("len", &self.len())
            .field("is_last", &self.is_last)
            .finish_non_exhaustive()
    }
}

/// A block on its way to its encoder.
pub(super) struct Cut {
    /// The dictionary and the block.
    pub(super) bytes: Vec<u8>,
    start: usize,
    pub(super) index: u64,
    is_last: bool,
}

impl Cut {
    pub(super) fn block(&self) -> Block<'_> {
        let &Cut { ref bytes, start, index, is_last } = self;
        Block { bytes, start, index, is_last }
    }
}

/// Cuts the written bytes into blocks.
pub(super) struct Cutter {
    /// The number of bytes of a block.
    size: usize,
    dictionary: usize,
    /// The dictionary and the beginning of the next block.
    buffer: Vec<u8>,
    start: usize,
    index: u64,
    spares: Spares,
}

impl Cutter {
    pub(super) fn new(size: usize, dictionary: usize, spares: Spares) -> Cutter {
        Cutter { size, dictionary, buffer: Vec::new(), start: 0, index: 0, spares }
    }

    /// Returns the number of bytes that were written to the next block.
    pub(super) fn len(&self) -> usize {
        self.buffer.len() - self.start
    }

    pub(super) fn is_full(&self) -> bool {
        self.len() == self.size
    }

    /// Adds bytes to the next block. Returns the number of bytes that it took.
    ///
    /// # Errors
    ///
    /// If there is no memory for the block. Then it took no bytes.
    pub(super) fn fill(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let free = self.size - self.len();
        let count = bytes.len().min(free);
        if count > 0 {
            // Only the first bytes of a block allocate, and the buffer gets the size of a block.
            reserve(&mut self.buffer, free, "a block")?;
            self.buffer.extend_from_slice(&bytes[..count]);
        }
        Ok(count)
    }

    /// Ends the next block.
    ///
    /// # Errors
    ///
    /// If there is no memory for the dictionary of the block behind it. Then nothing changes.
    pub(super) fn cut(&mut self, is_last: bool) -> io::Result<Cut> {
        let mut buffer = self.spares.take();
        let tail = self.buffer.len().saturating_sub(self.dictionary);
        // No block follows the last.
        let dictionary = if is_last { &[] } else { &self.buffer[tail..] };
        reserve(&mut buffer, dictionary.len(), "a dictionary")?;
        buffer.extend_from_slice(dictionary);
        let start = mem::replace(&mut self.start, buffer.len());
        let bytes = mem::replace(&mut self.buffer, buffer);
        self.index += 1;
        Ok(Cut { bytes, start, index: self.index - 1, is_last })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_the_input_and_have_their_dictionaries() {
        let input: Vec<u8> = (0..1000_u32).map(|n| (n % 251) as u8).collect();
        for (size, dictionary) in [(1, 0), (7, 32), (32, 32), (100, 32), (999, 5), (1000, 1)] {
            let spares = Spares::default();
            let mut cutter = Cutter::new(size, dictionary, spares.clone());
            let (mut read, mut rest) = (0, &input[..]);
            while !rest.is_empty() {
                let took = cutter.fill(rest).unwrap();
                rest = &rest[took..];
                let cut = cutter.cut(rest.is_empty()).unwrap();
                let block = cut.block();
                assert_eq!(block.index(), (read / size) as u64);
                assert_eq!(block.dictionary(), &input[read.saturating_sub(dictionary)..read]);
                assert_eq!(*block, input[read..read + took]);
                assert_eq!(block.is_last(), rest.is_empty());
                assert!(cut.bytes.capacity() <= size + dictionary, "{}", cut.bytes.capacity());
                read += took;
                spares.put(cut.bytes);
            }
        }
    }
}
