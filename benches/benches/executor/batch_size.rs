//! Measures batches of 1 to 1,000,000 items that take a few nanoseconds each.

use criterion::{BenchmarkId, Criterion, Throughput};
use reorder_executor::Executor;

use crate::work::Work;

pub(crate) fn sizes(c: &mut Criterion) {
    let executor = Executor::builder().build().unwrap();
    let work = Work::of(3);
    let mut group = c.benchmark_group("batch size");
    group.sample_size(20);
    for items in (0..=6).map(|exponent| 10_u64.pow(exponent)) {
        group.throughput(Throughput::Elements(items));
        group.bench_function(BenchmarkId::new("loop", items), |b| {
            b.iter(|| (0..items).map(|number| work.run(number)).collect::<Vec<_>>());
        });
        group.bench_function(BenchmarkId::new("map", items), |b| {
            b.iter(|| executor.map(0..items, |number| work.run(number)));
        });
    }
    group.finish();
}
