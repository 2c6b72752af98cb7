//! Items of 1 to 50 microseconds: measures how the peers balance load, and how long they wait for
//! the head of line.

use super::batch::{OneBatch, each_collector};
use super::streamed::{Streamed, each_streamer};
use super::{RunComparison, THREADS};
use crate::compare::Settings;
use crate::compare::comparison::Comparison;
use crate::compare::job::uneven;

pub(super) fn run(settings: &Settings, run_comparison: &mut RunComparison<'_>) {
    let count = settings.amount(10_000, 1000);
    let expected: Vec<u64> = (0..count).map(uneven).collect();
    for threads in THREADS {
        let mut comparison = Comparison::new("uneven-collect", threads, settings);
        let mut visitor =
            OneBatch { comparison: &mut comparison, job: uneven, expected: &expected };
        each_collector(threads, threads - 1, &mut visitor);
        run_comparison(comparison);
    }
    for window in [1024, 8] {
        for threads in THREADS {
            let mut comparison = Comparison::new(format!("uneven-{window}"), threads, settings);
            let source = || 0..count;
            let mut visitor = Streamed {
                comparison: &mut comparison,
                window,
                source,
                job: uneven,
                expected: &expected,
            };
            each_streamer(threads, threads - 1, window, &mut visitor);
            run_comparison(comparison);
        }
    }
}
