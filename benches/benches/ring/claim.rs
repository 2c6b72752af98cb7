//! Measures `complete` and `evict` alone: each claims its slot by one compare-and-swap.

use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use reorder_ring::{Batch, Ring, Ticket};

const WINDOW: usize = 1024;

/// Measures `operation` on each ticket of a window, without the reservation and the delivery.
fn bench(c: &mut Criterion, name: &str, operation: impl Fn(&Ring<u64>, Ticket)) {
    let ring = Ring::with_capacity(WINDOW).unwrap();
    let mut batch = ring.open().unwrap();
    let mut group = c.benchmark_group("claim");
    group.throughput(Throughput::Elements(WINDOW as u64));
    group.bench_function(name, |b| {
        b.iter_custom(|rounds| (0..rounds).map(|_| round(&ring, &mut batch, &operation)).sum());
    });
    group.finish();
}

fn round(
    ring: &Ring<u64>,
    batch: &mut Batch<&Ring<u64>>,
    operation: impl Fn(&Ring<u64>, Ticket),
) -> Duration {
    let tickets = batch.reserve_many(WINDOW).unwrap();
    let start = Instant::now();
    tickets.for_each(|ticket| operation(ring, ticket));
    let elapsed = start.elapsed();
    assert_eq!(batch.drain_ready().count(), WINDOW);
    elapsed
}

pub(crate) fn operations(c: &mut Criterion) {
    bench(c, "complete", |ring, ticket| ring.complete(ticket, 7).unwrap());
    bench(c, "evict", |ring, ticket| ring.evict(ticket).unwrap());
    bench(c, "complete, then refused twice", |ring, ticket| {
        ring.complete(ticket, 7).unwrap();
        ring.complete(ticket, 8).unwrap_err();
        ring.evict(ticket).unwrap_err();
    });
}
