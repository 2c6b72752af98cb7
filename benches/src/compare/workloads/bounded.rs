//! Streams items of a few nanoseconds: measures the overhead per item with bounded memory.

use super::streamed::{Streamed, each_streamer};
use super::{RunComparison, THREADS};
use crate::compare::Settings;
use crate::compare::comparison::Comparison;
use crate::compare::job::mix;

pub(super) fn run(settings: &Settings, run_comparison: &mut RunComparison<'_>) {
    let count = settings.amount(1_000_000, 100_000);
    let expected: Vec<u64> = (0..count).map(mix).collect();
    for threads in THREADS {
        let mut comparison = Comparison::new("bounded", threads, settings);
        let source = || 0..count;
        let mut visitor = Streamed {
            comparison: &mut comparison,
            window: 1024,
            source,
            job: mix,
            expected: &expected,
        };
        each_streamer(threads, threads - 1, 1024, &mut visitor);
        run_comparison(comparison);
    }
}
