//! The outputs, and the number of blocks that they have.
//!
//! The file `.remote_gzip` in the folder of the outputs has the index of the next block, and the
//! bytes of the output that it belongs to. It is replaced after each block, in one step. So it may
//! lag behind the output by a block, which the next owner writes again.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use crate::AnyError;
use crate::source::Source;

const STATE: &str = ".remote_gzip";

/// Returns `true` if a job in the folder was interrupted.
pub(crate) fn is_incomplete(folder: &Path) -> bool {
    folder.join(STATE).exists()
}

pub(crate) struct Sink<'a> {
    folder: PathBuf,
    source: &'a Source,
    names: Vec<String>,
    index: u64,
    /// The bytes of the current output.
    offset: u64,
    output: Option<File>,
}

impl<'a> Sink<'a> {
    pub(crate) fn open(
        folder: &Path,
        source: &'a Source,
        resume: bool,
    ) -> Result<Sink<'a>, AnyError> {
        fs::create_dir_all(folder)?;
        let mut names = Vec::new();
        for path in source.paths() {
            let name = path.file_name().ok_or("a file has no name")?.to_string_lossy();
            names.push(format!("{name}.gz"));
        }
        if names.iter().collect::<HashSet<_>>().len() < names.len() {
            return Err("two files have the same name".into());
        }
        let folder = folder.to_owned();
        let mut sink = Sink { folder, source, names, index: 0, offset: 0, output: None };
        if resume {
            let text = fs::read_to_string(sink.folder.join(STATE))?;
            let (index, offset) = text.split_once(' ').ok_or("the state of the job is damaged")?;
            (sink.index, sink.offset) = (index.parse()?, offset.parse()?);
        } else {
            sink.store_state()?;
        }
        Ok(sink)
    }

    /// Returns the index of the first block that is missing.
    pub(crate) fn index(&self) -> u64 {
        self.index
    }

    /// Writes a block behind the others.
    pub(crate) fn append(&mut self, index: u64, block: &[u8]) -> Result<(), AnyError> {
        let place = self.source.place(index);
        let complete = self.folder.join(&self.names[place.file]);
        let part = self.folder.join(format!(".{}.part", self.names[place.file]));
        if self.output.is_none() {
            // The program was killed after it had completed the file, and before it noted that.
            if place.block > 0 && !part.exists() {
                fs::rename(&complete, &part)?;
            }
            let mut options = OpenOptions::new();
            let mut output = options.write(true).create(true).truncate(false).open(&part)?;
            output.set_len(self.offset)?;
            output.seek(SeekFrom::End(0))?;
            self.output = Some(output);
        }
        if let Some(output) = &mut self.output {
            output.write_all(block)?;
        }
        (self.index, self.offset) = (index + 1, self.offset + block.len() as u64);
        if place.is_last {
            (self.offset, self.output) = (0, None);
            fs::rename(part, complete)?;
        }
        self.store_state()
    }

    /// Replaces the state in one step.
    fn store_state(&self) -> Result<(), AnyError> {
        let next = self.folder.join(".remote_gzip.next");
        fs::write(&next, format!("{} {}", self.index, self.offset))?;
        Ok(fs::rename(next, self.folder.join(STATE))?)
    }

    /// Forgets the job, which is complete.
    pub(crate) fn finish(&self) -> Result<(), AnyError> {
        Ok(fs::remove_file(self.folder.join(STATE))?)
    }
}
