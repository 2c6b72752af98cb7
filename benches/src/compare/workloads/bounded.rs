//! A few nanoseconds per item, streamed: what each item costs on top where memory is bounded.

use super::streamed::{Streamed, each_streamer};
use super::{Hold, THREADS};
use crate::compare::Settings;
use crate::compare::contest::Contest;
use crate::compare::job::mix;

pub(super) fn run(settings: &Settings, hold: &mut Hold<'_>) {
    let count = settings.amount(1_000_000, 100_000);
    let expected: Vec<u64> = (0..count).map(mix).collect();
    for threads in THREADS {
        let mut contest = Contest::new("bounded", threads, settings);
        let source = || 0..count;
        let mut visitor =
            Streamed { contest: &mut contest, window: 1024, source, job: mix, expected: &expected };
        each_streamer(threads, threads - 1, 1024, &mut visitor);
        hold(contest);
    }
}
