//! The jobs of the workloads `gzip` and `io`: they compress a block to a piece of a gzip file, or
//! to a member.

use std::cell::RefCell;
use std::sync::Arc;

use flate2::{Compress, Compression, Crc, FlushCompress, Status};

use super::files::File;

/// The default level of pigz and gzip.
const LEVEL: u32 = 6;
/// The default block size of pigz.
const BLOCK: usize = 128 * 1024;
/// The largest distance of a reference in deflate.
const DICTIONARY: usize = 32 * 1024;

const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
/// An empty last block of a deflate stream.
const END: [u8; 2] = [0x03, 0x00];

/// A part of a file.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    file: Arc<[u8]>,
    start: usize,
    end: usize,
}

impl Block {
    /// Splits the files into blocks, in order.
    pub(crate) fn split(files: &[File]) -> Vec<Block> {
        let blocks_of_file = |file: &File| {
            let bytes = Arc::clone(&file.bytes);
            let block = move |start| {
                let end = bytes.len().min(start + BLOCK);
                Block { file: Arc::clone(&bytes), start, end }
            };
            (0..file.bytes.len()).step_by(BLOCK).map(block)
        };
        files.iter().flat_map(blocks_of_file).collect()
    }

    /// Returns the dictionary of the block, which is the data before it, and up to `more` bytes of
    /// the block itself.
    fn dictionary_and(&self, more: usize) -> &[u8] {
        &self.file[self.start.saturating_sub(DICTIONARY)..self.end.min(self.start + more)]
    }
}

/// A piece of a deflate stream. It ends on a byte boundary and does not end the stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) bytes: Vec<u8>,
    crc: u32,
}

/// Compresses a block. Equal blocks give equal pieces.
pub(crate) fn deflate(block: Block) -> Piece {
    thread_local! {
        // The state has some 300 KiB, so it is reused.
        static STATE: RefCell<Compress> =
            RefCell::new(Compress::new(Compression::new(LEVEL), false));
    }
    let data = &block.file[block.start..block.end];
    let mut bytes = Vec::with_capacity(data.len() + data.len() / 1000 + 128);
    STATE.with_borrow_mut(|state| {
        state.reset();
        if block.start > 0 {
            // The compressor hashes the end of the dictionary together with the bytes behind it.
            // Those would be left over from another block. The first call puts this block's bytes
            // there.
            state.set_dictionary(block.dictionary_and(8)).expect("the state is new");
            state.reset();
            state.set_dictionary(block.dictionary_and(0)).expect("the state is new");
        }
        let before = state.total_in();
        loop {
            let done = (state.total_in() - before) as usize;
            let status = state.compress_vec(&data[done..], &mut bytes, FlushCompress::Sync);
            status.expect("compression in memory does not fail");
            // The flush is complete if it does not fill the buffer.
            if bytes.len() < bytes.capacity() {
                break;
            }
            bytes.reserve(bytes.len());
        }
    });
    let mut crc = Crc::new();
    crc.update(data);
    Piece { bytes, crc: crc.sum() }
}

/// Returns a compressor for [`member`].
pub(crate) fn compressor() -> Compress {
    Compress::new(Compression::new(LEVEL), false)
}

/// Appends the block as a gzip member.
pub(crate) fn member(state: &mut Compress, block: &[u8], output: &mut Vec<u8>) {
    state.reset();
    output.extend(HEADER);
    loop {
        let rest = &block[state.total_in() as usize..];
        output.reserve(rest.len() + rest.len() / 1000 + 128);
        let status = state.compress_vec(rest, output, FlushCompress::Finish);
        if status.expect("compression in memory does not fail") == Status::StreamEnd {
            break;
        }
    }
    let mut crc = Crc::new();
    crc.update(block);
    output.extend(crc.sum().to_le_bytes());
    output.extend(crc.amount().to_le_bytes());
}

/// Returns a gzip file of the pieces, with a member per file.
pub(crate) fn members(blocks: &[Block], pieces: &[Piece]) -> Vec<u8> {
    let mut output = Vec::new();
    let mut crc = Crc::new();
    for (block, piece) in blocks.iter().zip(pieces) {
        if block.start == 0 {
            crc.reset();
            output.extend(HEADER);
        }
        crc.update(&block.file[block.start..block.end]);
        output.extend(&piece.bytes);
        if block.end == block.file.len() {
            output.extend(END);
            output.extend(crc.sum().to_le_bytes());
            output.extend(crc.amount().to_le_bytes());
        }
    }
    output
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::files;

    fn file(len: usize) -> File {
        let bytes: Vec<u8> =
            (0..len as u64).map(|n| super::super::job::mix(n / 7) as u8 & 3).collect();
        File { path: "none".into(), bytes: bytes.into() }
    }

    #[test]
    fn pieces_in_order_decompress_to_the_files() {
        let files = [file(1), file(BLOCK), file(3 * BLOCK + 5)];
        let blocks = Block::split(&files);
        assert_eq!(blocks.len(), 6);
        let mut pieces: Vec<Piece> = blocks.iter().cloned().map(deflate).collect();
        assert_eq!(files::check(&members(&blocks, &pieces), &files), Ok(()));
        pieces.swap(2, 3);
        assert!(files::check(&members(&blocks, &pieces), &files).is_err());
    }

    #[test]
    fn a_piece_does_not_depend_on_the_blocks_before() {
        let blocks = Block::split(&[file(4 * BLOCK)]);
        let pieces: Vec<Piece> = blocks.iter().cloned().map(deflate).collect();
        let mut backwards: Vec<Piece> = blocks.iter().rev().cloned().map(deflate).collect();
        backwards.reverse();
        assert!(pieces == backwards);
    }
}
