//! The outputs, and the number of blocks that they have.
//!
//! The file `.remote_gzip` in the folder of the outputs is the state of the job:
//!
//! * the index of the next block,
//! * the number of bytes of the output that this block belongs to,
//! * a checksum of the inputs.
//!
//! The sink syncs each block, and then replaces the state in one step. So the state may lag behind
//! the output by a block, which the next owner writes again. It is never ahead, even if the machine
//! loses its power.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use crate::AnyError;
use crate::source::Source;

const STATE: &str = ".remote_gzip";

pub(crate) struct Sink<'a> {
    folder: PathBuf,
    source: &'a Source,
    names: Vec<OsString>,
    index: u64,
    /// The bytes of the current output.
    offset: u64,
    output: Option<File>,
}

impl<'a> Sink<'a> {
    /// Returns the sink of a job. With `resume`, it continues an interrupted job if there is one.
    /// It changes no file before [`start`](Sink::start).
    pub(crate) fn open(
        folder: &Path,
        source: &'a Source,
        resume: bool,
    ) -> Result<Sink<'a>, AnyError> {
        let mut names = Vec::new();
        for path in source.paths() {
            let mut name = path.file_name().ok_or("a file has no name")?.to_owned();
            name.push(".gz");
            names.push(name);
        }
        if names.iter().collect::<HashSet<_>>().len() < names.len() {
            return Err("two files have the same name".into());
        }
        let folder = folder.to_owned();
        let mut sink = Sink { folder, source, names, index: 0, offset: 0, output: None };
        if resume && sink.folder.join(STATE).exists() {
            sink.load_state()?;
        } else if !resume {
            sink.refuse_outputs()?;
        }
        Ok(sink)
    }

    /// Returns the index of the first block that is missing.
    pub(crate) fn index(&self) -> u64 {
        self.index
    }

    /// Marks the job as begun.
    pub(crate) fn start(&self) -> Result<(), AnyError> {
        self.named(fs::create_dir_all(&self.folder).and_then(|()| self.store_state()))
    }

    /// Writes a block behind the others. When it returns, the block and its number are on the disk.
    pub(crate) fn append(&mut self, index: u64, block: &[u8]) -> Result<(), AnyError> {
        let result = self.try_append(index, block);
        self.named(result)
    }

    fn try_append(&mut self, index: u64, block: &[u8]) -> io::Result<()> {
        let place = self.source.place(index);
        let name = &self.names[place.file];
        let complete = self.folder.join(name);
        let mut part = OsString::from(".");
        part.push(name);
        part.push(".part");
        let part = self.folder.join(part);
        let mut output = match self.output.take() {
            Some(output) => output,
            None => {
                // The program was killed after it had completed the file, before it noted that.
                if place.block > 0 && !part.exists() {
                    fs::rename(&complete, &part)?;
                }
                open_at(&part, self.offset)?
            }
        };
        output.write_all(block)?;
        output.sync_data()?;
        (self.index, self.offset) = (index + 1, self.offset + block.len() as u64);
        if place.is_last {
            self.offset = 0;
            fs::rename(part, complete)?;
            sync_folder(&self.folder)?;
        } else {
            self.output = Some(output);
        }
        self.store_state()
    }

    /// Replaces the state in one step.
    fn store_state(&self) -> io::Result<()> {
        let next = self.folder.join(".remote_gzip.next");
        let mut file = File::create(&next)?;
        write!(file, "{} {} {}", self.index, self.offset, self.source.checksum())?;
        file.sync_data()?;
        fs::rename(next, self.folder.join(STATE))?;
        sync_folder(&self.folder)
    }

    fn load_state(&mut self) -> Result<(), AnyError> {
        let text = self.named(fs::read_to_string(self.folder.join(STATE)))?;
        let numbers = text.split(' ').map(str::parse).collect::<Result<Vec<u64>, _>>();
        let Ok([index, offset, checksum]) = numbers.as_deref() else {
            return Err(
                format!("{}: the state of the job is damaged", self.folder.display()).into()
            );
        };
        if *checksum != u64::from(self.source.checksum()) {
            return Err("the interrupted job has other files, or their lengths have changed".into());
        }
        (self.index, self.offset) = (*index, *offset);
        Ok(())
    }

    fn refuse_outputs(&self) -> Result<(), AnyError> {
        match self.names.iter().map(|name| self.folder.join(name)).find(|file| file.exists()) {
            Some(file) => Err(format!("{} exists already", file.display()).into()),
            None => Ok(()),
        }
    }

    /// Forgets the job, which is complete.
    pub(crate) fn finish(&self) -> Result<(), AnyError> {
        self.named(fs::remove_file(self.folder.join(STATE)))
    }

    /// Adds the name of the folder to an error.
    fn named<T>(&self, result: io::Result<T>) -> Result<T, AnyError> {
        result.map_err(|error| format!("{}: {error}", self.folder.display()).into())
    }
}

/// Opens an output, and removes what follows its first bytes.
fn open_at(path: &Path, offset: u64) -> io::Result<File> {
    let mut output = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
    if output.metadata()?.len() < offset {
        return Err(io::Error::other(format!("{} is too short", path.display())));
    }
    output.set_len(offset)?;
    output.seek(SeekFrom::End(0))?;
    Ok(output)
}

/// Syncs the names of the files in a folder, where the system has that.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}
