//! The workloads.

mod async_jobs;
mod batch;
mod bounded;
mod concurrent;
mod gzip;
mod hand_off;
mod idle;
mod io;
mod queue;
mod sleepy;
mod solo;
mod streamed;
mod structure;
mod tiny;
mod uneven;
mod weight;

use clap::ValueEnum;

use super::Settings;
use super::comparison::Comparison;

/// A workload, or a group of workloads in one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Workload {
    /// A few ns per item, 10^6 items, collected
    Tiny,
    /// 1 to 50 us per item: collected, and streamed with windows of 1024 and 8
    Uneven,
    /// A few ns per item, streamed from an iterator, at most 1024 outstanding
    Bounded,
    /// 4 callers on one executor, each with 250 batches of 64 items
    Concurrent,
    /// 64 items that sleep, with 64 workers
    Sleepy,
    /// The ring alone: a producer, workers that complete out of order, a consumer
    HandOff,
    /// The ring alone, in one thread
    Solo,
    /// Compressing 50 files
    Gzip,
    /// 10^4 futures of 1 ms, 64 in flight, with an idle and a busy consumer
    Async,
    /// Compressing text behind a `Write`
    Io,
    /// 10^6 pushed closures of 1 us
    Queue,
    /// Buffers of 100 B to 10 MB within a budget of 64 MiB
    Weight,
    /// Processor time per millisecond of a pool without work, and of a consumer that waits
    Idle,
}

/// Runs a comparison and prints its results.
type RunComparison<'r> = dyn FnMut(Comparison<'_>) + 'r;

/// The numbers of threads that run jobs, in most workloads.
const THREADS: [usize; 2] = [2, 4];

impl Workload {
    pub(super) fn run(self, settings: &Settings, run_comparison: &mut RunComparison<'_>) {
        match self {
            Workload::Tiny => tiny::run(settings, run_comparison),
            Workload::Uneven => uneven::run(settings, run_comparison),
            Workload::Bounded => bounded::run(settings, run_comparison),
            Workload::Concurrent => concurrent::run(settings, run_comparison),
            Workload::Sleepy => sleepy::run(settings, run_comparison),
            Workload::HandOff => hand_off::run(settings, run_comparison),
            Workload::Solo => solo::run(settings, run_comparison),
            Workload::Gzip => gzip::run(settings, run_comparison),
            Workload::Async => async_jobs::run(settings, run_comparison),
            Workload::Io => io::run(settings, run_comparison),
            Workload::Queue => queue::run(settings, run_comparison),
            Workload::Weight => weight::run(settings, run_comparison),
            Workload::Idle => idle::run(settings, run_comparison),
        }
    }
}
