//! The workloads, a file for each.

mod batch;
mod bounded;
mod concurrent;
mod gzip;
mod hand_off;
mod idle;
mod sleepy;
mod solo;
mod streamed;
mod structure;
mod tiny;
mod uneven;

use clap::ValueEnum;

use super::Settings;
use super::contest::Contest;

/// What is asked of the peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Workload {
    /// A few ns per item, 10^6 items, collected
    Tiny,
    /// 1 to 50 us per item: collected, and streamed with windows of 1024 and 8
    Uneven,
    /// A few ns per item, streamed from an iterator, at most 1024 outstanding
    Bounded,
    /// 4 callers with 250 batches of 64 items each, on one executor
    Concurrent,
    /// 64 items that sleep, with 64 workers
    Sleepy,
    /// The ring alone: a producer, workers that complete out of order, a consumer
    HandOff,
    /// The ring alone, in one thread
    Solo,
    /// Compressing 50 files
    Gzip,
    /// Processor time per millisecond without work, and of a consumer that waits
    Idle,
}

/// Runs a contest and tells what came of it.
type Hold<'h> = dyn FnMut(Contest<'_>) + 'h;

/// How many threads run jobs, where a workload does not say otherwise.
const THREADS: [usize; 2] = [2, 4];

impl Workload {
    pub(super) fn run(self, settings: &Settings, hold: &mut Hold<'_>) {
        match self {
            Workload::Tiny => tiny::run(settings, hold),
            Workload::Uneven => uneven::run(settings, hold),
            Workload::Bounded => bounded::run(settings, hold),
            Workload::Concurrent => concurrent::run(settings, hold),
            Workload::Sleepy => sleepy::run(settings, hold),
            Workload::HandOff => hand_off::run(settings, hold),
            Workload::Solo => solo::run(settings, hold),
            Workload::Gzip => gzip::run(settings, hold),
            Workload::Idle => idle::run(settings, hold),
        }
    }
}
