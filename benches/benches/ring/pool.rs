//! Measures leases of rings, and completions through the pool of a ring.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput};
use reorder_ring::{RingPool, Ticket};

const BATCH: usize = 16;

/// Measures a lease of an idle ring, a lease for which the pool creates a ring, and a whole batch
/// on a leased ring.
pub(crate) fn leases(c: &mut Criterion) {
    let pool = RingPool::<u64>::new();
    let keeps_none = RingPool::<u64>::with_idle_limit(0);
    let mut group = c.benchmark_group("lease");
    for capacity in [BATCH, 1024] {
        group.bench_function(BenchmarkId::new("idle", capacity), |b| {
            b.iter(|| drop(black_box(pool.lease(capacity).unwrap())));
        });
        group.bench_function(BenchmarkId::new("created", capacity), |b| {
            b.iter(|| drop(black_box(keeps_none.lease(capacity).unwrap())));
        });
    }
    group.bench_function("batch of 16", |b| {
        b.iter(|| {
            let lease = pool.lease(BATCH).unwrap();
            let mut batch = lease.open().unwrap();
            for ticket in batch.reserve_many(BATCH).unwrap() {
                lease.complete(ticket, 7).unwrap();
            }
            batch.drain_ready().map(|delivery| delivery.outcome.unwrap()).sum::<u64>()
        });
    });
    group.finish();
}

/// Measures the completions of a batch on its lease and through the pool, and completions that
/// come too late.
pub(crate) fn tickets(c: &mut Criterion) {
    let pool = RingPool::new();
    let lease = pool.lease(BATCH).unwrap();
    let mut group = c.benchmark_group("ticket");
    group.throughput(Throughput::Elements(BATCH as u64));
    let batch = |complete: &dyn Fn(Ticket)| {
        let mut batch = lease.open().unwrap();
        batch.reserve_many(BATCH).unwrap().for_each(complete);
        batch.drain_ready().count()
    };
    group.bench_function("on the lease", |b| {
        b.iter(|| batch(&|ticket| lease.complete(ticket, 7).unwrap()));
    });
    group.bench_function("through the pool", |b| {
        b.iter(|| batch(&|ticket| pool.complete(ticket, 7).unwrap()));
    });

    group.throughput(Throughput::Elements(1));
    let stale = lease.open().unwrap().reserve().unwrap();
    let keeps_none = RingPool::with_idle_limit(0);
    let freed = keeps_none.lease(BATCH).unwrap().open().unwrap().reserve().unwrap();
    for (name, pool, late) in [("late", &pool, stale), ("late, ring freed", &keeps_none, freed)] {
        group.bench_function(name, |b| {
            b.iter(|| pool.complete(black_box(late), 7).unwrap_err().reason);
        });
    }
    group.finish();
}
