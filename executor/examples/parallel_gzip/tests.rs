//! Tests of the whole program within this process. `ci/gzip.sh` tests it as a process, with
//! signals, pipes, and the system's gzip.

mod content;
mod decompression;
mod refusal;

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use clap::Parser;
use flate2::read::MultiGzDecoder;
use tempfile::TempDir;

use crate::args::Args;
use crate::engine::Engine;
use crate::error::Error;
use crate::job::{self, Input, Job};
use crate::report::Report;

/// A file whose read fails.
pub(crate) struct Broken;

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("the disk is gone"))
    }
}

/// A sink whose text the test can read.
#[derive(Clone, Default)]
struct Printed(Arc<Mutex<Vec<u8>>>);

impl Printed {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Printed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn args<'a>(line: impl IntoIterator<Item = &'a str>, files: &[PathBuf]) -> Args {
    let mut args =
        Args::try_parse_from(["parallel_gzip"].into_iter().chain(line).chain(["f"])).unwrap();
    args.files = files.to_vec();
    args
}

struct Ran {
    lines: String,
    errors: String,
    status: u8,
}

fn run(args: &Args) -> Ran {
    run_jobs(args, job::plan(args))
}

fn run_jobs(args: &Args, jobs: Vec<Result<Job, (Input, Error)>>) -> Ran {
    let (lines, errors) = (Printed::default(), Printed::default());
    let mut report = Report::new(Box::new(lines.clone()), Box::new(errors.clone()));
    crate::run::jobs(&Engine::new(args).unwrap(), args, jobs, &mut report).unwrap();
    Ran { lines: lines.text(), errors: errors.text(), status: report.status() }
}

/// Returns `count` bytes, in which runs of 5003 bytes are text and noise alternately.
pub(crate) fn bytes(count: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let mut next = |position: usize| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        if position / 5003 % 2 == 0 { b"order "[(state % 6) as usize] } else { (state >> 9) as u8 }
    };
    (0..count).map(&mut next).collect()
}

fn file(folder: &TempDir, name: &str, content: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, content).unwrap();
    path
}

fn decompressed(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    MultiGzDecoder::new(fs::File::open(path).unwrap()).read_to_end(&mut bytes).unwrap();
    bytes
}

fn gz(input: &Path) -> PathBuf {
    let mut name = input.as_os_str().to_owned();
    name.push(".gz");
    name.into()
}

/// Checks that the folder has only these files, and no incomplete output.
fn assert_only(folder: &Path, names: &[&str]) {
    let mut found: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    found.sort();
    assert_eq!(found, names);
}
