//! Determines the output of each input, before any output is written.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::Error;

/// A file to compress.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) input: PathBuf,
    pub(crate) output: PathBuf,
    /// `true` if the output may replace a file.
    pub(crate) force: bool,
    /// The size of the input in bytes. The file may have grown since.
    pub(crate) size: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) jobs: Vec<Job>,
    pub(crate) refused: Vec<(PathBuf, Error)>,
}

impl Plan {
    pub(crate) fn new(inputs: &[PathBuf], out: Option<&Path>, force: bool) -> Plan {
        // Includes the targets of links, so no output replaces the content of an input.
        let input_entries: HashSet<PathBuf> = inputs
            .iter()
            .flat_map(|input| [entry(input).ok(), fs::canonicalize(input).ok()])
            .flatten()
            .collect();
        let mut plan = Plan::default();
        let mut outputs: HashMap<PathBuf, PathBuf> = HashMap::new();
        for input in inputs {
            match Job::new(input, out, force, &input_entries, &mut outputs) {
                Ok(job) => plan.jobs.push(job),
                Err(error) => plan.refused.push((input.clone(), error)),
            }
        }
        plan
    }
}

impl Job {
    fn new(
        input: &Path,
        out: Option<&Path>,
        force: bool,
        input_entries: &HashSet<PathBuf>,
        outputs: &mut HashMap<PathBuf, PathBuf>,
    ) -> Result<Job, Error> {
        let size = regular_size(input)?;
        let output = output_of(input, out);
        let output_entry =
            entry(&output).map_err(|error| Error::Write { output: output.clone(), error })?;
        if input_entries.contains(&output_entry) {
            return Err(Error::OutputIsInput(output));
        }
        if let Some(other) = outputs.get(&output_entry) {
            return Err(Error::SameOutput { output, other: other.clone() });
        }
        // Fails before the work. A file that appears later is noticed by the rename of the output.
        if !force && fs::symlink_metadata(&output).is_ok() {
            return Err(Error::OutputExists(output));
        }
        outputs.insert(output_entry, input.to_owned());
        Ok(Job { input: input.to_owned(), output, force, size })
    }
}

/// Returns the size of a regular file, and refuses other files before they are opened. To open a
/// pipe would wait for its other end.
pub(crate) fn regular_size(input: &Path) -> Result<u64, Error> {
    let metadata = fs::metadata(input).map_err(Error::Open)?;
    if metadata.is_dir() {
        Err(Error::Directory)
    } else if !metadata.is_file() {
        Err(Error::NotRegular)
    } else {
        Ok(metadata.len())
    }
}

fn output_of(input: &Path, out: Option<&Path>) -> PathBuf {
    let mut name = OsString::from(input.file_name().unwrap_or_default());
    name.push(".gz");
    out.map_or_else(|| input.with_file_name(&name), |out| out.join(&name))
}

/// Returns the directory entry that a path names: its canonical folder, and its name.
fn entry(path: &Path) -> io::Result<PathBuf> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = fs::canonicalize(folder.unwrap_or(Path::new(".")))?;
    Ok(folder.join(path.file_name().unwrap_or_default()))
}
