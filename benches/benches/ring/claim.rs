//! What settles a slot, by itself: one compare-and-swap each, and what goes with it.

use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use reorder_ring::{Batch, Ring, Ticket};

const WINDOW: usize = 1024;

/// Times `settle` on every ticket of a window; reserving and taking them is not measured.
fn bench(c: &mut Criterion, name: &str, settle: impl Fn(&Ring<u64>, Ticket)) {
    let ring = Ring::with_capacity(WINDOW).unwrap();
    let mut batch = ring.open().unwrap();
    let mut group = c.benchmark_group("claim");
    group.throughput(Throughput::Elements(WINDOW as u64));
    group.bench_function(name, |b| {
        b.iter_custom(|rounds| (0..rounds).map(|_| round(&ring, &mut batch, &settle)).sum());
    });
    group.finish();
}

fn round(
    ring: &Ring<u64>,
    batch: &mut Batch<&Ring<u64>>,
    settle: impl Fn(&Ring<u64>, Ticket),
) -> Duration {
    let tickets = batch.reserve_many(WINDOW).unwrap();
    let start = Instant::now();
    tickets.for_each(|ticket| settle(ring, ticket));
    let taken = start.elapsed();
    assert_eq!(batch.drain_ready().count(), WINDOW);
    taken
}

pub(crate) fn ways(c: &mut Criterion) {
    bench(c, "complete", |ring, ticket| ring.complete(ticket, 7).unwrap());
    bench(c, "evict", |ring, ticket| ring.evict(ticket).unwrap());
    bench(c, "complete, then refused twice", |ring, ticket| {
        ring.complete(ticket, 7).unwrap();
        ring.complete(ticket, 8).unwrap_err();
        ring.evict(ticket).unwrap_err();
    });
}
