//! Closures of about a microsecond, which the user pushes: measures the cost of a queue.
//!
//! Ours has a thread that pushes, and the consumer runs closures as well. The channels get boxed
//! closures, and one thread feeds and consumes.

use std::time::Instant;

use super::streamed::{Streamed, Visitor};
use super::{RunComparison, THREADS};
use crate::compare::Settings;
use crate::compare::comparison::{Comparison, OURS, Sample, check_results};
use crate::compare::job::busy;
use crate::compare::peers::{ChannelHeap, Ours, OursQueue};

/// The largest number of outstanding closures.
const WINDOW: usize = 1024;

type Task = Box<dyn FnOnce() -> u64 + Send>;

pub(super) fn run(settings: &Settings, run_comparison: &mut RunComparison<'_>) {
    let count = settings.amount(1_000_000, 50_000);
    let expected: Vec<u64> = (0..count).map(|number| busy(number, 1)).collect();
    for threads in THREADS {
        let mut comparison = Comparison::new("queue", threads, settings);
        let ours = move || OursQueue(Ours::new(threads - 1, WINDOW));
        let mut results = Vec::with_capacity(expected.len());
        let expected = &expected[..];
        comparison.add_peer(OURS, ours, move |ours, _| {
            results.clear();
            let start = Instant::now();
            let tasks = (0..count).map(|number| move || busy(number, 1));
            ours.run(WINDOW, tasks, |result| results.push(result));
            let nanos = start.elapsed().as_nanos() as f64 / count as f64;
            check_results(&results, expected)?;
            Ok(Sample { nanos, ..Sample::default() })
        });
        let mut visitor = Streamed {
            comparison: &mut comparison,
            window: WINDOW,
            source: move || (0..count).map(|number| Box::new(move || busy(number, 1)) as Task),
            job: |task: Task| task(),
            expected,
        };
        visitor.visit("channel-heap", move || ChannelHeap::new(threads));
        run_comparison(comparison);
    }
}
