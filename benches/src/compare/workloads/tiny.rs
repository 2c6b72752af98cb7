//! Collects items of a few nanoseconds: measures the overhead per item.

use super::batch::{OneBatch, each_collector};
use super::{RunComparison, THREADS};
use crate::compare::Settings;
use crate::compare::comparison::Comparison;
use crate::compare::job::mix;

pub(super) fn run(settings: &Settings, run_comparison: &mut RunComparison<'_>) {
    let count = settings.amount(1_000_000, 100_000);
    let expected: Vec<u64> = (0..count).map(mix).collect();
    for threads in THREADS {
        let mut comparison = Comparison::new("tiny", threads, settings);
        let mut visitor = OneBatch { comparison: &mut comparison, job: mix, expected: &expected };
        each_collector(threads, threads - 1, &mut visitor);
        run_comparison(comparison);
    }
}
