//! A few nanoseconds per item, collected: what each item costs on top.

use super::batch::{OneBatch, each_collector};
use super::{Hold, THREADS};
use crate::compare::Settings;
use crate::compare::contest::Contest;
use crate::compare::job::mix;

pub(super) fn run(settings: &Settings, hold: &mut Hold<'_>) {
    let count = settings.amount(1_000_000, 100_000);
    let expected: Vec<u64> = (0..count).map(mix).collect();
    for threads in THREADS {
        let mut contest = Contest::new("tiny", threads, settings);
        let mut visitor = OneBatch { contest: &mut contest, job: mix, expected: &expected };
        each_collector(threads, threads - 1, &mut visitor);
        hold(contest);
    }
}
