//! A real job: compressing files with gzip, in blocks of 128 KiB of which each may refer to what
//! comes before it, as pigz does it.
//!
//! Those who run in this process are given the files in memory, and run the same code for each
//! block. pigz and gzip read them, which were just read, and write to nowhere; starting them counts.

use std::time::Instant;

use super::streamed::{Size, Streamed, each_streamer};
use super::{Hold, THREADS};
use crate::compare::Settings;
use crate::compare::contest::{Contest, Extra, Round, Sample};
use crate::compare::deflate::{Block, Piece, deflate, members};
use crate::compare::files::{self, File};
use crate::compare::peers::Program;

/// Blocks that are outstanding at most, whoever streams them.
const WINDOW: usize = 32;

pub(super) fn run(settings: &Settings, hold: &mut Hold<'_>) {
    let files = files::some(50, settings.amount(4 << 20, 1 << 19));
    let blocks = Block::cut(&files);
    if blocks.is_empty() {
        println!("\nskipped: gzip: there are no files to compress");
        return;
    }
    let total: usize = files.iter().map(|file| file.bytes.len()).sum();
    println!("\ngzip: {} files, {total} bytes, {} blocks", files.len(), blocks.len());
    let expected: Vec<Piece> = blocks.iter().cloned().map(deflate).collect();
    files::check(&members(&blocks, &expected), &files).expect("the serial one compresses");

    for threads in THREADS {
        let mut contest = Contest::new("gzip", threads, settings);
        let blocks = &blocks;
        let mut visitor = Streamed {
            contest: &mut contest,
            window: WINDOW,
            source: || blocks.clone().into_iter(),
            job: deflate,
            expected: &expected,
        };
        // Its consumer runs no blocks, for they take too long.
        each_streamer(threads, threads, WINDOW, &mut visitor);
        for peer in ["pigz", "gzip"] {
            enter(&mut contest, peer, threads, blocks.len(), &files);
        }
        hold(contest);
    }
}

fn enter<'a>(
    contest: &mut Contest<'a>,
    peer: &'static str,
    threads: usize,
    blocks: usize,
    files: &'a [File],
) {
    let Some(program) = Program::find(peer, threads) else {
        println!("skipped: gzip: {peer}: it is not installed");
        return;
    };
    contest.enter(
        peer,
        || program,
        move |program, round| {
            let mut extra = Extra::default();
            let start = Instant::now();
            if round == Round::First {
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
