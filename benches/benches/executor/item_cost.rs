//! Measures items that take from a nanosecond to a millisecond, as a batch and as a stream.

use std::time::Duration;

use criterion::{Criterion, Throughput};
use reorder_executor::Executor;

use crate::work::Work;

/// The nanoseconds that the items of a batch take together. A batch has at least eight items, and
/// takes longer if they need more.
const BATCH: u64 = 1_000_000;

pub(crate) fn costs(c: &mut Criterion) {
    let executor = Executor::builder().build().unwrap();
    for nanoseconds in (0..=6).map(|exponent| 10_u64.pow(exponent)) {
        let work = Work::of(nanoseconds);
        let items = (BATCH / nanoseconds).max(8);
        let cost = Duration::from_nanos(nanoseconds);
        let mut group = c.benchmark_group(format!("item of {cost:?}"));
        group.sample_size(20);
        group.throughput(Throughput::Elements(items));
        group.bench_function("loop", |b| {
            b.iter(|| (0..items).map(|number| work.run(number)).collect::<Vec<_>>());
        });
        group.bench_function("map", |b| {
            b.iter(|| executor.map(0..items, |number| work.run(number)));
        });
        group.bench_function("stream", |b| {
            b.iter(|| executor.stream(0..items, move |number| work.run(number)).count());
        });
        group.finish();
    }
}
