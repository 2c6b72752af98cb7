//! Measures the cost of idle threads: the processor time of the process while a pool has no work
//! (`idle`), and while a consumer waits for a slow head (`waiting`).
//!
//! An item is a millisecond of waiting, so 10^6 ns per item is one busy processor.

use std::thread;
use std::time::{Duration, Instant};

use cpu_time::ProcessTime;

use super::streamed::{self, each_streamer};
use super::{RunComparison, THREADS, batch};
use crate::compare::Settings;
use crate::compare::comparison::{Comparison, Sample, check_results};
use crate::compare::job::mix;
use crate::compare::peers::{Collect, Stream};

pub(super) fn run(settings: &Settings, run_comparison: &mut RunComparison<'_>) {
    for threads in THREADS {
        let mut comparison = Comparison::new("idle", threads, settings);
        let long = Duration::from_millis(settings.amount(200, 20));
        batch::each_collector(threads, threads, &mut Idle { comparison: &mut comparison, long });
        run_comparison(comparison);
    }
    for threads in THREADS {
        let mut comparison = Comparison::new("waiting", threads, settings);
        let count = threads as u64 * settings.amount(2, 1);
        each_streamer(threads, threads, 64, &mut Waiting { comparison: &mut comparison, count });
        run_comparison(comparison);
    }
}

/// Measures pools without work.
///
/// A peer exists only while it is measured, for idle threads of other peers would be measured, too.
/// `serial` has no threads and shows the cost of the measurement.
struct Idle<'c, 'a> {
    comparison: &'c mut Comparison<'a>,
    long: Duration,
}

impl batch::Visitor for Idle<'_, '_> {
    fn visit<P: Collect + 'static>(
        &mut self,
        peer: &'static str,
        make: impl Fn() -> P + Copy + 'static,
    ) {
        const ITEMS: u64 = 10_000;
        let long = self.long;
        let expected: Vec<u64> = (0..ITEMS).map(mix).collect();
        self.comparison.add_peer(
            peer,
            || (),
            move |(), _| {
                let pool = make();
                check_results(&pool.collect(ITEMS, mix), &expected)?;
                // The threads of the pool, which still search for work, go to sleep.
                thread::sleep(Duration::from_millis(5));
                Ok(used_while(|| thread::sleep(long)))
            },
        );
    }
}

/// Measures streams of items that sleep.
struct Waiting<'c, 'a> {
    comparison: &'c mut Comparison<'a>,
    count: u64,
}

fn slow(number: u64) -> u64 {
    thread::sleep(Duration::from_millis(50));
    number
}

impl streamed::Visitor for Waiting<'_, '_> {
    fn visit<P: Stream + 'static>(
        &mut self,
        peer: &'static str,
        make: impl Fn() -> P + Copy + 'static,
    ) {
        let count = self.count;
        self.comparison.add_peer(
            peer,
            || (),
            move |(), _| {
                let pool = make();
                let mut results = Vec::with_capacity(count as usize);
                let sample = used_while(|| {
                    pool.stream(0..count, 64, slow, &mut |number| results.push(number));
                });
                check_results(&results, &(0..count).collect::<Vec<_>>())?;
                Ok(sample)
            },
        );
    }
}

/// Returns the processor time that this process uses per millisecond of `wait`.
fn used_while(wait: impl FnOnce()) -> Sample {
    let (start, used) = (Instant::now(), ProcessTime::now());
    wait();
    let used = used.elapsed();
    let millis = start.elapsed().as_secs_f64() * 1000.0;
    Sample { nanos: used.as_nanos() as f64 / millis, ..Sample::default() }
}
