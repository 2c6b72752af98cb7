//! Items of 1 to 50 microseconds: who balances, and who waits for the head of line.

use super::batch::{OneBatch, each_collector};
use super::streamed::{Streamed, each_streamer};
use super::{Hold, THREADS};
use crate::compare::Settings;
use crate::compare::contest::Contest;
use crate::compare::job::uneven;

pub(super) fn run(settings: &Settings, hold: &mut Hold<'_>) {
    let count = settings.amount(10_000, 1000);
    let expected: Vec<u64> = (0..count).map(uneven).collect();
    for threads in THREADS {
        let mut contest = Contest::new("uneven-collect", threads, settings);
        let mut visitor = OneBatch { contest: &mut contest, job: uneven, expected: &expected };
        each_collector(threads, threads - 1, &mut visitor);
        hold(contest);
    }
    for window in [1024, 8] {
        for threads in THREADS {
            let mut contest = Contest::new(format!("uneven-{window}"), threads, settings);
            let source = || 0..count;
            let mut visitor = Streamed {
                contest: &mut contest,
                window,
                source,
                job: uneven,
                expected: &expected,
            };
            each_streamer(threads, threads - 1, window, &mut visitor);
            hold(contest);
        }
    }
}
