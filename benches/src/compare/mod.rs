//! Us and what a user would pick instead, in one run: the same work, the same number of threads, by
//! turns. The program `compare` is made of it.

mod contest;
mod cores;
mod deflate;
mod files;
mod job;
mod peers;
mod report;
mod workloads;

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Parser, ValueEnum};

pub use job::busy;
pub use workloads::Workload;

/// Compares us with others who bring results in order, and checks everybody's results.
///
/// Rounds in which each peer has its turn; the first warms up. Times are nanoseconds per item, by the
/// median of the rounds; the ratio is a peer's median by ours; beside it the median of the ratios of
/// each round.
#[derive(Parser, Clone, Debug, Default)]
#[command(name = "compare")]
pub struct Settings {
    /// Only this workload; may be given several times
    #[arg(short, long = "workload", value_name = "W", value_enum)]
    pub workloads: Vec<Workload>,

    /// Only this peer, beside ours; may be given several times
    #[arg(short, long = "peer", value_name = "P", value_parser = PossibleValuesParser::new(PEERS))]
    pub peers: Vec<String>,

    /// Less work and fewer rounds: to see that it runs, not for figures
    #[arg(short, long)]
    pub quick: bool,

    /// Also write the records there, as JSON
    #[arg(short, long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// Also draw a chart per workload into this folder
    #[arg(short, long, value_name = "DIR")]
    pub svg: Option<PathBuf>,
}

/// Every name that a peer has anywhere.
const PEERS: [&str; 23] = [
    contest::OURS,
    "ours-iterator",
    "rayon",
    "rayon-chunked",
    "rayon-inside",
    "pariter",
    "orx-parallel",
    "tokio-buffered",
    "channel-heap",
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
];

impl Settings {
    /// Rounds that count.
    fn rounds(&self) -> usize {
        if self.quick { 3 } else { 11 }
    }

    /// So much of something in full, or so much if it is to be quick.
    fn amount<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }

    fn wants(&self, peer: &str) -> bool {
        debug_assert!(PEERS.contains(&peer), "{peer} is no name of a peer");
        peer == contest::OURS || self.peers.is_empty() || self.peers.iter().any(|one| one == peer)
    }

    fn wants_workload(&self, workload: Workload) -> bool {
        self.workloads.is_empty() || self.workloads.contains(&workload)
    }
}

/// Runs what is wanted, and tells it as it comes.
///
/// # Errors
///
/// With what could not be written, or whose results were wrong.
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
        workload.run(settings, &mut |contest| {
            let outcome = contest.run();
            report::print_table(&outcome.records);
            for what in &outcome.wrong {
                println!("  WRONG: {what}");
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
