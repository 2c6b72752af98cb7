//! A real job: compresses files with gzip, in blocks of 128 KiB. As in pigz, a block may refer to
//! the data before it.
//!
//! The peers in this process get the files in memory and run the same code for each block. `pigz`
//! and `gzip` read the files, which are in the page cache by then, and discard their output. The
//! start of the two programs is measured, too.

use std::time::Instant;

use super::streamed::{Size, Streamed, each_streamer};
use super::{RunComparison, THREADS};
use crate::compare::Settings;
use crate::compare::comparison::{Comparison, Extra, Round, Sample};
use crate::compare::deflate::{Block, Piece, deflate, members};
use crate::compare::files::{self, File};
use crate::compare::peers::Program;

/// The largest number of outstanding blocks, for all peers.
const WINDOW: usize = 32;

pub(super) fn run(settings: &Settings, run_comparison: &mut RunComparison<'_>) {
    let files = files::some(50, settings.amount(4 << 20, 1 << 19));
    let blocks = Block::split(&files);
    if blocks.is_empty() {
        println!("\nskipped: gzip: there are no files to compress");
        return;
    }
    let total: usize = files.iter().map(|file| file.bytes.len()).sum();
    println!("\ngzip: {} files, {total} bytes, {} blocks", files.len(), blocks.len());
    let expected: Vec<Piece> = blocks.iter().cloned().map(deflate).collect();
    files::check(&members(&blocks, &expected), &files).expect("the serial result is correct");

    for threads in THREADS {
        let mut comparison = Comparison::new("gzip", threads, settings);
        let blocks = &blocks;
        let mut visitor = Streamed {
            comparison: &mut comparison,
            window: WINDOW,
            source: || blocks.clone().into_iter(),
            job: deflate,
            expected: &expected,
        };
        // Our consumer does not help: a block takes too long for that.
        each_streamer(threads, threads, WINDOW, &mut visitor);
        for peer in ["pigz", "gzip"] {
            add_program(&mut comparison, peer, threads, blocks.len(), &files);
        }
        run_comparison(comparison);
    }
}

fn add_program<'a>(
    comparison: &mut Comparison<'a>,
    peer: &'static str,
    threads: usize,
    blocks: usize,
    files: &'a [File],
) {
    let Some(program) = Program::find(peer, threads) else {
        println!("skipped: gzip: {peer}: it is not installed");
        return;
    };
    comparison.add_peer(
        peer,
        || program,
        move |program, round| {
            let mut extra = Extra::default();
            let start = Instant::now();
            if round == Round::WarmUp {
                let output = program.output(files)?;
                files::check(&output, files)?;
                extra.bytes = Some(output.len() as u64);
            } else {
                program.run(files)?;
            }
            Ok(Sample { nanos: start.elapsed().as_nanos() as f64 / blocks as f64, extra })
        },
    );
}

impl Size for Piece {
    fn bytes(&self) -> Option<u64> {
        Some(self.bytes.len() as u64)
    }
}
