//! The blocks of a file, which are the lazy source of the file's stream.

use std::io::{self, Read};

/// The largest distance of a reference in deflate.
const DICTIONARY: usize = 32 * 1024;

/// A block, with its dictionary before it.
#[derive(Debug)]
pub(crate) struct Block {
    bytes: Vec<u8>,
    start: usize,
}

impl Block {
    /// Returns the bytes before the block to which it may refer. There are none before the first
    /// block.
    pub(crate) fn dictionary(&self) -> &[u8] {
        &self.bytes[..self.start]
    }

    /// Returns the dictionary, and up to `more` bytes of the block.
    pub(crate) fn dictionary_and(&self, more: usize) -> &[u8] {
        &self.bytes[..self.bytes.len().min(self.start + more)]
    }

    pub(crate) fn data(&self) -> &[u8] {
        &self.bytes[self.start..]
    }
}

/// Splits an input into blocks. An error is the last item.
pub(crate) struct Blocks<R> {
    input: R,
    size: u64,
    dictionary: Vec<u8>,
    ended: bool,
}

impl<R: Read> Blocks<R> {
    pub(crate) fn new(input: R, size: usize) -> Self {
        Blocks { input, size: size as u64, dictionary: Vec::new(), ended: false }
    }
}

impl<R: Read> Iterator for Blocks<R> {
    type Item = io::Result<Block>;

    fn next(&mut self) -> Option<io::Result<Block>> {
        if self.ended {
            return None;
        }
        let start = self.dictionary.len();
        let mut bytes = Vec::with_capacity(start + self.size as usize);
        bytes.extend_from_slice(&self.dictionary);
        match self.input.by_ref().take(self.size).read_to_end(&mut bytes) {
            Ok(0) => {
                self.ended = true;
                None
            }
            Ok(_) => {
                let from = bytes.len().saturating_sub(DICTIONARY);
                self.dictionary.clear();
                self.dictionary.extend_from_slice(&bytes[from..]);
                Some(Ok(Block { bytes, start }))
            }
            Err(error) => {
                self.ended = true;
                Some(Err(error))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_the_input_and_have_their_dictionaries() {
        let input: Vec<u8> = (0..100_000u32).map(|n| (n % 251) as u8).collect();
        for size in [1000, 32 * 1024, 50_000, 100_000, 100_001] {
            let mut read = Vec::new();
            for block in Blocks::new(&input[..], size) {
                let block = block.unwrap();
                let from = read.len().saturating_sub(DICTIONARY);
                assert_eq!(block.dictionary(), &read[from..], "block size {size}");
                assert!(!block.data().is_empty() && block.data().len() <= size);
                read.extend_from_slice(block.data());
            }
            assert_eq!(read, input, "block size {size}");
        }
    }

    #[test]
    fn nothing_comes_after_an_error() {
        let input = io::Read::chain(&b"0123456789"[..], crate::tests::Broken);
        let items: Vec<_> = Blocks::new(input, 4).map(|block| block.is_ok()).collect();
        // The two bytes before the error are not a block, for they would never be written.
        assert_eq!(items, [true, true, false]);
    }
}
