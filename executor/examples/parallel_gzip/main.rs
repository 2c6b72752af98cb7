//! Compresses files with gzip. The blocks of all files are deflated in parallel on one executor,
//! and each output is written in order.
//!
//! ```sh
//! cargo run --release --example parallel_gzip -- [OPTIONS] FILE...
//! ```
//!
//! Options are `-d`, `-c`, `-0` to `-9`, `-n`, `--workers N`, `--block BYTES`, `--out DIR`,
//! `--force` and `--verbose`. `--help` explains them. As with gzip, `-` and a pipe without files
//! are standard input, whose output is standard output. The exit status is 0, or 1 after an error,
//! or 2 after a warning.
//!
//! Without arguments and without a pipe, the program compresses files of this repository in memory,
//! and checks the outputs.
//!
//! # How it works
//!
//! Each file has an `OrderedWriter`, which cuts the input into blocks. The workers deflate the
//! blocks. The thread of the file reads the input, and writes the deflated blocks in order. While
//! the window is full, this thread deflates blocks, too.
//!
//! As with pigz, the output is one ordinary gzip member. A deflated block ends on a byte boundary
//! and may refer to the 32 KiB before the block. Each block has a CRC, and the sink of the writer
//! combines them. A gzip member has no such blocks when it is decompressed, so `-d` uses one thread
//! for each file.
//!
//! Up to 4 threads take files. They are the workers of another executor, which brings their results
//! into the order of the arguments.
//!
//! # Memory
//!
//! The memory does not depend on the size of a file. For a file that is not open, the program keeps
//! only the name and the sizes. Up to 4 files are open. Each has the following buffers:
//!
//! * one for each block of the window, which holds the block with its dictionary, or its output.
//!   The window has 2 blocks for each worker, and 2 more.
//! * one for the output of each thread that deflates: the workers, and the thread of the file.
//! * two for the block that waits for room in the window, and for the block behind it.
//! * one of 128 KiB for reads.
//!
//! Each thread that deflates also has a state of zlib, of some 300 KiB.
//!
//! An example: there are 2 workers, 4 files, and incompressible blocks of 128 KiB. A file has
//! 6 + 3 + 2 = 11 buffers of 160 KiB, and the buffer for reads. All files take 7.4 MiB, and the 6
//! states 2 MiB. `--verbose` prints the measured peak.
//!
//! # Interruptions
//!
//! An output gets its name when it is complete. An error removes an incomplete output. So do
//! Ctrl-C, SIGTERM and SIGHUP on Unix. SIGKILL leaves a file `.parallel_gzip-*` beside the output.

mod args;
mod check;
mod copy;
mod deflate;
mod engine;
mod error;
mod in_order;
mod inflate;
mod job;
mod member;
mod memory;
mod output;
mod report;
mod run;
mod signals;
#[cfg(test)]
mod tests;

use std::error::Error as _;
use std::fs;
use std::io;
use std::process::ExitCode;

use clap::Parser;

use args::Args;
use engine::Engine;
use error::{ERROR, shown};
use report::Report;

fn main() -> ExitCode {
    let mut args = match Args::try_parse() {
        Ok(args) => args,
        Err(message) => {
            _ = message.print();
            return ExitCode::from(if message.use_stderr() { ERROR } else { 0 });
        }
    };
    if args.files.is_empty() && (args.stdout || args.decompress || has_stdin()) {
        args.files.push("-".into());
    }
    let mut report = Report::for_terminal(&args);
    if let Err(message) = run(&args, &mut report) {
        report.error(&message, ERROR);
    }
    if args.verbose {
        report.line(&memory::peak());
    }
    ExitCode::from(report.status())
}

/// Runs the program, and reports the errors of single files. Returns an error that concerns all
/// files.
fn run(args: &Args, report: &mut Report) -> Result<(), String> {
    signals::remove_outputs_at_signals()
        .map_err(|error| format!("cannot wait for signals: {error}"))?;
    let engine = Engine::new(args).map_err(|error| match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    })?;
    if args.files.is_empty() {
        return check::own_files(&engine, args, report);
    }
    if let Some(out) = &args.out {
        fs::create_dir_all(out)
            .map_err(|error| format!("cannot create the folder {}: {error}", shown(out)))?;
    }
    run::jobs(&engine, args, job::plan(args), report)
}

/// Returns `true` if standard input is a pipe or a file, and `false` for terminals and `/dev/null`.
#[cfg(unix)]
fn has_stdin() -> bool {
    use std::os::fd::AsFd as _;
    use std::os::unix::fs::FileTypeExt as _;
    let stdin = io::stdin().as_fd().try_clone_to_owned().map(fs::File::from);
    let metadata = stdin.and_then(|stdin| stdin.metadata());
    metadata.is_ok_and(|metadata| !metadata.file_type().is_char_device())
}

#[cfg(not(unix))]
fn has_stdin() -> bool {
    use io::IsTerminal as _;
    !io::stdin().is_terminal()
}
