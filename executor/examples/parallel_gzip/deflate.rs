//! The job: it compresses a block to a piece of a gzip member.

use std::sync::{Mutex, PoisonError};

use flate2::{Compress, CompressError, Compression, Crc, FlushCompress};

use crate::blocks::Block;

/// At least the number of bytes behind the dictionary that zlib may read.
const BEHIND: usize = 8;

/// A piece of a deflate stream. It ends on a byte boundary and does not end the stream.
#[derive(Debug)]
pub(crate) struct Deflated {
    pub(crate) bytes: Vec<u8>,
    /// The checksum and the length of the block.
    pub(crate) crc: Crc,
}

/// Deflates blocks for all threads.
pub(crate) struct Deflater {
    level: Compression,
    /// States for reuse, because a state has some 300 KiB. There are at most as many as jobs ran at
    /// the same time.
    idle: Mutex<Vec<State>>,
}

struct State {
    compress: Compress,
    /// A reused buffer. Results are copied from it, so they have no excess capacity.
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
            // zlib hashes the last bytes of the dictionary together with the bytes behind them.
            // Those would be left over from an earlier block. The first call puts this block's
            // bytes there, so the output does not depend on the state.
            self.compress.set_dictionary(block.dictionary_and(BEHIND))?;
            self.compress.reset();
            self.compress.set_dictionary(block.dictionary())?;
        }
        // zlib counts the dictionary as input.
        let before = self.compress.total_in();
        let data = block.data();
        self.output.clear();
        loop {
            let done = (self.compress.total_in() - before) as usize;
            let rest = &data[done..];
            // This is enough for incompressible data, so the loop usually runs once.
            self.output.reserve(rest.len() + rest.len() / 1000 + 128);
            self.compress.compress_vec(rest, &mut self.output, FlushCompress::Sync)?;
            // The flush is complete if it does not fill the buffer.
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
    fn the_output_depends_only_on_the_block() {
        // The input has only two byte values, so a match at the end of a dictionary is frequent.
        let input: Vec<u8> = crate::tests::bytes(60_000).iter().map(|byte| byte & 1).collect();
        let blocks: Vec<Block> = Blocks::new(&input[..], 5000).map(Result::unwrap).collect();
        for level in [1, 6] {
            // This deflater reuses its state for the blocks in another order.
            let used = Deflater::new(level);
            for block in blocks.iter().rev() {
                let fresh = Deflater::new(level).deflate(block).unwrap();
                let again = used.deflate(block).unwrap();
                assert!(again.bytes == fresh.bytes, "level {level}");
            }
        }
    }
}
