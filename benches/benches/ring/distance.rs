//! Measures completions that are out of order by up to a given distance, in one thread. The items
//! of a block are completed from the last to the first, so a whole block waits for its first item.

use criterion::{BenchmarkId, Criterion, Throughput};
use reorder_ring::Ring;

const WINDOW: usize = 1024;

pub(crate) fn distances(c: &mut Criterion) {
    let ring = Ring::with_capacity(WINDOW).unwrap();
    let mut batch = ring.open().unwrap();
    let mut group = c.benchmark_group("reorder distance");
    group.throughput(Throughput::Elements(WINDOW as u64));
    for block in [1, 8, 64, WINDOW] {
        group.bench_function(BenchmarkId::from_parameter(block), |b| {
            b.iter(|| {
                let tickets = batch.reserve_many(WINDOW).unwrap();
                for first in (0..WINDOW).step_by(block) {
                    for index in (first..first + block).rev() {
                        ring.complete(tickets.get(index).unwrap(), index).unwrap();
                    }
                    let in_order = batch.drain_ready().map(|delivery| delivery.outcome.unwrap());
                    assert!(in_order.eq(first..first + block));
                }
            });
        });
    }
    group.finish();
}
