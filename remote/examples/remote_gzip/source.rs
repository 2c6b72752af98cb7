//! The blocks of the files, by index.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;

use bytes::Bytes;

use crate::AnyError;

/// The bytes of a block. The last block of a file may have less.
const BLOCK: u64 = 128 << 10;

pub(crate) struct Source {
    files: Vec<Input>,
}

struct Input {
    path: PathBuf,
    /// The index of its first block.
    first: u64,
    /// At least 1: an empty file has an empty block.
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
            let length = fs::metadata(path).map_err(|e| format!("{}: {e}", path.display()))?.len();
            let blocks = length.div_ceil(BLOCK).max(1);
            files.push(Input { path: path.clone(), first, blocks });
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

    pub(crate) fn place(&self, index: u64) -> Place {
        let file = self.files.partition_point(|file| file.first <= index) - 1;
        let Input { first, blocks, .. } = self.files[file];
        Place { file, block: index - first, is_last: index + 1 == first + blocks }
    }

    /// Reads a block. The text of an error goes to a worker, which makes the block a gap.
    pub(crate) fn read(&self, index: u64) -> Result<Bytes, String> {
        let place = self.place(index);
        let path = &self.files[place.file].path;
        let read = || {
            let mut file = File::open(path)?;
            file.seek(SeekFrom::Start(place.block * BLOCK))?;
            let mut block = Vec::new();
            file.take(BLOCK).read_to_end(&mut block)?;
            Ok(block.into())
        };
        read().map_err(|error: std::io::Error| format!("{}: {error}", path.display()))
    }
}
