//! The blocks of the files, by index.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::AnyError;

/// The bytes of a block. The last block of a file may have less.
const BLOCK: u64 = 128 << 10;

pub(crate) struct Source {
    files: Vec<Input>,
}

struct Input {
    path: PathBuf,
    /// The number of bytes when the program started.
    length: u64,
    /// The index of the first block.
    first: u64,
    /// The number of blocks, at least 1: an empty file has an empty block.
    blocks: u64,
}

/// A block, as a part of its file.
pub(crate) struct Place {
    pub(crate) file: usize,
    pub(crate) block: u64,
    pub(crate) is_last: bool,
}

impl Source {
    pub(crate) fn new(paths: &[PathBuf]) -> Result<Source, AnyError> {
        let (mut files, mut first) = (Vec::new(), 0);
        for path in paths {
            let metadata = fs::metadata(path).map_err(|e| format!("{}: {e}", path.display()))?;
            if !metadata.is_file() {
                return Err(format!("{} is not a regular file", path.display()).into());
            }
            let length = metadata.len();
            let blocks = length.div_ceil(BLOCK).max(1);
            files.push(Input { path: path.clone(), length, first, blocks });
            first += blocks;
        }
        Ok(Source { files })
    }

    /// Returns the number of blocks of all files.
    pub(crate) fn blocks(&self) -> u64 {
        self.files.last().map_or(0, |file| file.first + file.blocks)
    }

    pub(crate) fn paths(&self) -> impl Iterator<Item = &PathBuf> {
        self.files.iter().map(|file| &file.path)
    }

    /// Returns a checksum of the names, the lengths and the size of a block.
    pub(crate) fn checksum(&self) -> u32 {
        let mut text = format!("{BLOCK}");
        for Input { path, length, .. } in &self.files {
            // A `String` takes all that is written to it.
            _ = write!(text, "\n{length} {path:?}");
        }
        crc32fast::hash(text.as_bytes())
    }

    pub(crate) fn place(&self, index: u64) -> Place {
        let file = self.files.partition_point(|file| file.first <= index) - 1;
        let Input { first, blocks, .. } = self.files[file];
        Place { file, block: index - first, is_last: index + 1 == first + blocks }
    }

    /// Reads a block. The text of an error goes to a worker, which makes the block a gap.
    pub(crate) fn read(&self, index: u64) -> Result<Bytes, String> {
        let place = self.place(index);
        let Input { path, length, .. } = &self.files[place.file];
        let start = place.block * BLOCK;
        let block = read_at(path, start).map_err(|e| format!("{}: {e}", path.display()))?;
        if block.len() as u64 != BLOCK.min(length - start) {
            return Err(format!("{}: its length has changed", path.display()));
        }
        Ok(block.into())
    }
}

/// Reads up to a block from a position of a file.
fn read_at(path: &Path, start: u64) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(start))?;
    let mut block = Vec::new();
    file.take(BLOCK).read_to_end(&mut block)?;
    Ok(block)
}
