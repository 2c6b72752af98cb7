//! Compresses files with gzip: the blocks of all files in parallel on one shared executor, each
//! output in order.
//!
//! ```sh
//! cargo run --release --example parallel_gzip -- [--level N] [--workers N] [--block BYTES] [--out DIR] FILE...
//! ```
//!
//! Each file is one stream of blocks. Workers deflate blocks; the thread of the file writes them
//! in order while later ones are still being deflated. The output is one ordinary gzip member, like
//! pigz makes it: each block is flushed to a byte boundary, may refer to the 32 KiB before it, and
//! brings its CRC, which the writer combines.
//!
//! Memory does not depend on the size or the number of the files. At the most there are
//!
//! * per worker: a block, its dictionary, what it was deflated to, and zlib's state of some
//!   300 KiB;
//! * per open file, of which there are up to 4: a window of deflated blocks, 4 for each worker,
//!   rounded up to a power of two.
//!
//! With 2 workers, blocks of 128 KiB that do not get smaller, and 4 files, that is 4 MiB for the
//! windows and 1 MiB for the workers; `--verbose` tells what the process really had.
//!
//! A process that is killed leaves a `.parallel_gzip-*` beside its output; errors leave nothing.
//!
//! Without files it compresses this repository's own into a temporary folder, and checks them.

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
    // 2 is for wrong arguments, and clap's.
    if report.has_errors() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Errors of single files go to the report; this returns what makes all files impossible.
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
