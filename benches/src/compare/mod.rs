//! Compares our crates with the alternatives of a user, in one run: the peers alternate, and have
//! the same work and the same number of threads. The program `compare` uses this module.

mod code;
mod comparison;
mod cores;
mod deflate;
mod files;
mod job;
mod memory;
mod peers;
mod report;
mod workloads;

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Parser, ValueEnum};

pub use job::busy;
pub use memory::MeasuringAllocator;
pub use workloads::Workload;

/// Compares our crates with peers that deliver results in order, and checks the results of all.
///
/// Every peer runs once per round, and the first round is a warm-up. Times are nanoseconds per
/// item. The column "ratio" is the median of a peer divided by ours. The column "by round" is the
/// median of the ratios of the rounds. The column "lines" is the code that a user of the peer
/// writes.
#[derive(Parser, Clone, Debug, Default)]
#[command(name = "compare")]
pub struct Settings {
    /// Runs only this workload; can be repeated
    #[arg(short, long = "workload", value_name = "W", value_enum)]
    pub workloads: Vec<Workload>,

    /// Runs only ours and this peer; can be repeated
    #[arg(short, long = "peer", value_name = "P", value_parser = PossibleValuesParser::new(PEERS))]
    pub peers: Vec<String>,

    /// Runs less work in fewer rounds, to check that all peers work; the figures mean little
    #[arg(short, long)]
    pub quick: bool,

    /// Writes the records to this file, as JSON
    #[arg(short, long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// Draws a chart per workload into this folder
    #[arg(short, long, value_name = "DIR")]
    pub svg: Option<PathBuf>,
}

/// The names of all peers.
const PEERS: [&str; 27] = [
    comparison::OURS,
    "ours-iterator",
    "rayon",
    "rayon-chunked",
    "rayon-inside",
    "pariter",
    "orx-parallel",
    "buffered",
    "tokio-buffered",
    "channel-heap",
    "semaphore-heap",
    "mutex",
    "mutex-for-all",
    "mutex-map",
    "disruptor",
    "flags",
    "latch",
    "scope-split",
    "thread-per-item",
    "serial",
    "pair",
    "pair-window",
    "tbb",
    "pigz",
    "gzip",
    "gzp",
    "noodles-bgzf",
];

impl Settings {
    /// Returns the number of rounds that count.
    fn rounds(&self) -> usize {
        if self.quick { 3 } else { 11 }
    }

    /// Returns the amount for a full or for a quick run.
    fn amount<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }

    fn wants(&self, peer: &str) -> bool {
        debug_assert!(PEERS.contains(&peer), "there is no peer {peer}");
        peer == comparison::OURS
            || self.peers.is_empty()
            || self.peers.iter().any(|name| name == peer)
    }

    fn wants_workload(&self, workload: Workload) -> bool {
        self.workloads.is_empty() || self.workloads.contains(&workload)
    }
}

/// Runs the comparisons that the settings ask for, and prints the results of each when it ends.
///
/// # Errors
///
/// Fails if a file cannot be written, or if a peer has wrong results.
pub fn run(settings: &Settings) -> Result<(), String> {
    let mut records = Vec::new();
    let mut wrong = Vec::new();
    if !cfg!(tbb) {
        println!("skipped: tbb: no C++ compiler or no oneTBB (libtbb-dev) when this was built");
    }
    let mut before = cores::two_threads_got();
    println!("two busy threads get {before:.2} cores");
    for &workload in Workload::value_variants() {
        if !settings.wants_workload(workload) {
            continue;
        }
        workload.run(settings, &mut |comparison| {
            let outcome = comparison.run();
            report::print_table(&outcome.records);
            for error in &outcome.wrong {
                println!("  WRONG: {error}");
            }
            let after = cores::two_threads_got();
            cores::warning(before, after).inspect(|text| println!("  {text}"));
            before = after;
            records.extend(outcome.records);
            wrong.extend(outcome.wrong);
        });
    }
    if let Some(path) = &settings.json {
        report::write_json(path, &records)?;
    }
    if let Some(folder) = &settings.svg {
        report::write_svg(folder, &records)?;
    }
    if wrong.is_empty() { Ok(()) } else { Err(format!("wrong results: {}", wrong.join("; "))) }
}
