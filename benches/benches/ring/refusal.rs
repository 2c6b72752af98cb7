//! Measures a refused completion, for each reason.

use std::hint::black_box;

use criterion::Criterion;
use reorder_ring::Ring;

pub(crate) fn reasons(c: &mut Criterion) {
    let ring = Ring::<u64>::with_capacity(64).unwrap();
    let other = Ring::<u64>::with_capacity(64).unwrap();
    let stale = ring.open().unwrap().reserve().unwrap();
    let mut batch = ring.open().unwrap();
    let settled = batch.reserve().unwrap();
    ring.complete(settled, 0).unwrap();
    batch.try_next().unwrap();
    let duplicate = batch.reserve().unwrap();
    ring.complete(duplicate, 0).unwrap();
    let evicted = batch.reserve().unwrap();
    ring.evict(evicted).unwrap();
    let foreign = other.open().unwrap().reserve().unwrap();

    let mut group = c.benchmark_group("refusal");
    let cases = [
        ("foreign", foreign),
        ("stale", stale),
        ("settled", settled),
        ("duplicate", duplicate),
        ("evicted", evicted),
    ];
    for (name, ticket) in cases {
        group.bench_function(name, |b| {
            b.iter(|| ring.complete(black_box(ticket), black_box(7)).unwrap_err().reason);
        });
    }
    group.finish();
}
