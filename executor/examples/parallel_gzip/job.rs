//! Determines the output of each input, before any output is written.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::fs::{self, File, Metadata};
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};

use crate::args::Args;
use crate::error::{Error, shown};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    Stdin,
    File(PathBuf),
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Output {
    Stdout,
    File(PathBuf),
}

/// An input to compress or to decompress.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) input: Input,
    pub(crate) output: Output,
    /// The size of a file in bytes, or 0. The file may have grown since.
    pub(crate) size: u64,
}

impl Input {
    pub(crate) fn new(argument: &Path) -> Input {
        if argument.as_os_str() == "-" { Input::Stdin } else { Input::File(argument.to_owned()) }
    }

    /// Opens the input, and returns its metadata if it is a file.
    pub(crate) fn open(&self) -> io::Result<(Box<dyn Read + Send>, Option<Metadata>)> {
        match self {
            Input::Stdin => Ok((Box::new(io::stdin()), None)),
            Input::File(path) => {
                let file = File::open(path)?;
                let metadata = file.metadata()?;
                Ok((Box::new(file), Some(metadata)))
            }
        }
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Input::Stdin => f.write_str("stdin"),
            Input::File(path) => f.write_str(&shown(path)),
        }
    }
}

/// Returns a job for each file of the arguments, or the reason why there is none.
pub(crate) fn plan(args: &Args) -> Vec<Result<Job, (Input, Error)>> {
    // Includes the targets of links, so no output replaces the content of an input.
    let inputs = args
        .files
        .iter()
        .flat_map(|input| [entry(input).ok(), fs::canonicalize(input).ok()])
        .flatten()
        .collect();
    let mut planner = Planner { args, inputs, outputs: HashMap::new() };
    let inputs = args.files.iter().map(|argument| Input::new(argument));
    inputs
        .map(|input| match planner.output(&input) {
            Ok((output, size)) => Ok(Job { input, output, size }),
            Err(error) => Err((input, error)),
        })
        .collect()
}

struct Planner<'a> {
    args: &'a Args,
    inputs: HashSet<PathBuf>,
    /// The input of each output.
    outputs: HashMap<PathBuf, PathBuf>,
}

impl Planner<'_> {
    /// Returns the output for an input, and the size of the input.
    fn output(&mut self, input: &Input) -> Result<(Output, u64), Error> {
        let size = match input {
            Input::Stdin => 0,
            Input::File(path) => regular_size(path)?,
        };
        match input {
            Input::File(path) if !self.args.stdout => {
                let output = output_name(path, self.args)?;
                self.check_output(path, &output)?;
                Ok((Output::File(output), size))
            }
            _ => {
                check_terminal(self.args, input)?;
                Ok((Output::Stdout, size))
            }
        }
    }

    fn check_output(&mut self, input: &Path, output: &Path) -> Result<(), Error> {
        let output_entry = entry(output).map_err(Error::Write)?;
        if self.inputs.contains(&output_entry) {
            return Err(Error::OutputIsInput(output.to_owned()));
        }
        if let Some(other) = self.outputs.get(&output_entry) {
            return Err(Error::SameOutput { output: output.to_owned(), other: other.clone() });
        }
        // Fails before the work. A file that appears later is noticed by the rename of the output.
        if !self.args.force && fs::symlink_metadata(output).is_ok() {
            return Err(Error::OutputExists(output.to_owned()));
        }
        self.outputs.insert(output_entry, input.to_owned());
        Ok(())
    }
}

/// Returns the size of a regular file, and refuses other files before they are opened. To open a
/// pipe would wait for its other end.
fn regular_size(input: &Path) -> Result<u64, Error> {
    let metadata = fs::metadata(input).map_err(Error::Open)?;
    if metadata.is_dir() {
        Err(Error::Directory)
    } else if !metadata.is_file() {
        Err(Error::NotRegular)
    } else {
        Ok(metadata.len())
    }
}

fn output_name(input: &Path, args: &Args) -> Result<PathBuf, Error> {
    let name = input.file_name().unwrap_or_default();
    let has_suffix = input.extension().is_some_and(|suffix| suffix == "gz");
    let name = match (args.decompress, has_suffix) {
        (true, true) => input.file_stem().unwrap_or_default().to_owned(),
        (true, false) => return Err(Error::NoSuffix),
        (false, true) if !args.force => return Err(Error::HasSuffix),
        (false, _) => [name, ".gz".as_ref()].into_iter().collect(),
    };
    Ok(args.out.as_ref().map_or_else(|| input.with_file_name(&name), |out| out.join(&name)))
}

/// Refuses compressed data on a terminal.
fn check_terminal(args: &Args, input: &Input) -> Result<(), Error> {
    let is_terminal = match args.decompress {
        true => *input == Input::Stdin && io::stdin().is_terminal(),
        false => io::stdout().is_terminal(),
    };
    if is_terminal && !args.force { Err(Error::Terminal) } else { Ok(()) }
}

/// Returns the directory entry that a path names: its canonical folder, and its name.
fn entry(path: &Path) -> io::Result<PathBuf> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = fs::canonicalize(folder.unwrap_or(Path::new(".")))?;
    Ok(folder.join(path.file_name().unwrap_or_default()))
}
