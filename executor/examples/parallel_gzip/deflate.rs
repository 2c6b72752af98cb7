//! The job: one block in, its piece of a gzip member out.

use std::sync::{Mutex, PoisonError};

use flate2::{Compress, CompressError, Compression, Crc, FlushCompress};

use crate::blocks::Block;

/// How many bytes behind the dictionary zlib may look at, and some.
const BEHIND: usize = 8;

/// A piece of a deflate stream that ends on a byte boundary and is not the stream's last.
#[derive(Debug)]
pub(crate) struct Deflated {
    pub(crate) bytes: Vec<u8>,
    /// Of the block, whose length it knows.
    pub(crate) crc: Crc,
}

/// Deflates blocks for all threads.
pub(crate) struct Deflater {
    level: Compression,
    /// As many as ever ran at once. A state is some 300 KiB, too much to make for each block.
    idle: Mutex<Vec<State>>,
}

struct State {
    compress: Compress,
    /// Reused, so that a result takes just the memory that it needs.
    output: Vec<u8>,
}

impl Deflater {
    pub(crate) fn new(level: u32) -> Self {
        Deflater { level: Compression::new(level), idle: Mutex::default() }
    }

    pub(crate) fn deflate(&self, block: &Block) -> Result<Deflated, CompressError> {
        let mut state = self.idle().pop().unwrap_or_else(|| State {
            compress: Compress::new(self.level, false),
            output: Vec::new(),
        });
        let bytes = state.deflate(block)?;
        self.idle().push(state);
        let mut crc = Crc::new();
        crc.update(block.data());
        Ok(Deflated { bytes, crc })
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<State>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn deflate(&mut self, block: &Block) -> Result<Vec<u8>, CompressError> {
        self.compress.reset();
        if !block.dictionary().is_empty() {
            // Its last bytes are hashed along with those behind it, which would be what an earlier
            // block left there. So lay the right ones out first: the same input then gives the
            // same output, whichever state has which block.
            self.compress.set_dictionary(block.dictionary_and(BEHIND))?;
            self.compress.reset();
            self.compress.set_dictionary(block.dictionary())?;
        }
        // zlib itself counts the dictionary as input.
        let before = self.compress.total_in();
        let data = block.data();
        self.output.clear();
        loop {
            let done = (self.compress.total_in() - before) as usize;
            let rest = &data[done..];
            // Enough for data that does not get smaller, so usually once is enough.
            self.output.reserve(rest.len() + rest.len() / 1000 + 128);
            self.compress.compress_vec(rest, &mut self.output, FlushCompress::Sync)?;
            // The flush is complete when it leaves room.
            if self.output.len() < self.output.capacity() {
                return Ok(self.output.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blocks::Blocks;

    #[test]
    fn the_output_depends_on_the_block_alone() {
        // Two letters: what follows the dictionary matters for where its end is found again.
        let input: Vec<u8> = crate::tests::bytes(60_000).iter().map(|byte| byte & 1).collect();
        let blocks: Vec<Block> = Blocks::new(&input[..], 5000).map(Result::unwrap).collect();
        for level in [1, 6] {
            // Its one state has the blocks in another order.
            let used = Deflater::new(level);
            for block in blocks.iter().rev() {
                let fresh = Deflater::new(level).deflate(block).unwrap();
                let again = used.deflate(block).unwrap();
                assert!(again.bytes == fresh.bytes, "level {level}");
            }
        }
    }
}
