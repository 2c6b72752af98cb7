//! Compresses files with gzip. The blocks of all files are deflated in parallel on one executor,
//! and each output is written in order.
//!
//! ```sh
//! cargo run --release --example parallel_gzip -- [OPTIONS] FILE...
//! ```
//!
//! Options are `--level N`, `--workers N`, `--block BYTES`, `--out DIR`, `--force` and `--verbose`.
//! Without files, the program compresses files of this repository into a temporary folder, and
//! checks the outputs.
//!
//! # How it works
//!
//! Each file is one stream of blocks. The workers deflate blocks. The thread of the file writes the
//! deflated blocks in order, while the workers deflate later blocks.
//!
//! As with pigz, the output is one ordinary gzip member. A deflated block ends on a byte boundary
//! and may refer to the 32 KiB before the block. Each block has a CRC, and the writer combines
//! them.
//!
//! # Memory
//!
//! The memory does not depend on the size or the number of files. It consists of
//!
//! * per worker: a block, its dictionary, its output, and zlib's state of some 300 KiB;
//! * per open file: a window of deflated blocks, with 4 blocks per worker, rounded up to a power of
//!   two. Up to 4 files are open.
//!
//! An example: there are 2 workers, 4 files, and incompressible blocks of 128 KiB. The windows then
//! take 4 MiB, and the workers take 1 MiB. `--verbose` prints the measured peak.
//!
//! # Interruptions
//!
//! A process that is killed leaves a file `.parallel_gzip-*` beside its output. After an error,
//! there is no such file.

mod args;
mod blocks;
mod check;
mod deflate;
mod engine;
mod error;
mod member;
mod memory;
mod plan;
mod report;
mod run;
#[cfg(test)]
mod tests;

use std::error::Error as _;
use std::process::ExitCode;

use clap::Parser;

use args::Args;
use engine::Engine;
use report::Report;

fn main() -> ExitCode {
    let args = Args::parse();
    let report = Report::for_terminal();
    if let Err(message) = compress(&args, &report) {
        report.error(&message);
    }
    if args.verbose {
        report.line(&memory::peak());
    }
    // The exit status 1. clap returns 2 for wrong arguments.
    if report.has_errors() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Compresses the files and reports the errors of single files. Returns an error that concerns all
/// files.
fn compress(args: &Args, report: &Report) -> Result<(), String> {
    let engine = Engine::new(args).map_err(|error| match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    })?;
    if args.files.is_empty() {
        check::own_files(&engine, report)
    } else {
        run::files(&engine, args, report)
    }
}
