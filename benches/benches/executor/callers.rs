//! Measures 1 to 64 threads that call one executor at the same time.

use std::thread;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput};
use reorder_executor::Executor;

use crate::work::Work;

const ITEMS: u64 = 64;
/// The number of batches per caller. The start of the callers is measured too: with many batches,
/// its share is small.
const BATCHES: u64 = 20;

pub(crate) fn numbers(c: &mut Criterion) {
    let executor = Executor::builder().build().unwrap();
    for nanoseconds in [3, 1000] {
        let work = Work::of(nanoseconds);
        let cost = Duration::from_nanos(nanoseconds);
        let mut group = c.benchmark_group(format!("callers, items of {cost:?}"));
        group.sample_size(10);
        for callers in [1, 4, 16, 64] {
            group.throughput(Throughput::Elements(callers * BATCHES * ITEMS));
            group.bench_function(BenchmarkId::from_parameter(callers), |b| {
                b.iter_custom(|rounds| (0..rounds).map(|_| round(&executor, callers, work)).sum());
            });
        }
        group.finish();
    }
}

/// Returns the time that all callers need for all their batches.
fn round(executor: &Executor, callers: u64, work: Work) -> Duration {
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..callers {
            scope.spawn(|| {
                for _ in 0..BATCHES {
                    let results = executor.map(0..ITEMS, |number| work.run(number));
                    assert_eq!(results.len() as u64, ITEMS);
                }
            });
        }
    });
    start.elapsed()
}
