//! Measures the end of a batch and the start of the next, on one ring.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion};
use reorder_ring::Ring;

const CAPACITY: usize = 64;

/// Measures a batch without items, a batch that ends with undelivered values, and a batch that
/// delivers all its values.
pub(crate) fn windows(c: &mut Criterion) {
    let ring = Ring::<u64>::with_capacity(CAPACITY).unwrap();
    let mut group = c.benchmark_group("reopen");
    group.bench_function("empty", |b| b.iter(|| drop(black_box(ring.open().unwrap()))));
    for items in [1, CAPACITY] {
        group.bench_function(BenchmarkId::new("abandoned window", items), |b| {
            b.iter(|| {
                let mut batch = ring.open().unwrap();
                for ticket in batch.reserve_many(items).unwrap() {
                    ring.complete(ticket, 0).unwrap();
                }
            });
        });
        group.bench_function(BenchmarkId::new("delivered window", items), |b| {
            b.iter(|| {
                let mut batch = ring.open().unwrap();
                for ticket in batch.reserve_many(items).unwrap() {
                    ring.complete(ticket, 0).unwrap();
                }
                assert_eq!(batch.drain_ready().count(), items);
            });
        });
    }
    group.finish();
}
