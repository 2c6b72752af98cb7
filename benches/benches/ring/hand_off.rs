//! Measures items that move between threads. One or two threads reserve and take them, and one or
//! two other threads complete them.

use std::time::{Duration, Instant};

use benches::{OwnLine, Payload, hand_off, hand_off_split};
use criterion::{Criterion, Throughput};
use reorder_ring::Ring;

const CAPACITY: usize = 1024;
/// The number of items per iteration. The start of the threads is measured too: with many items,
/// its share is small.
const ITEMS: u64 = 100_000;

type HandOff<T> = fn(&Ring<T>, u64, u64);

fn bench<T: Payload>(
    c: &mut Criterion,
    id: (&str, &str),
    hand_off: HandOff<T>,
    (completers, items): (u64, u64),
) {
    let ring = Ring::<T>::with_capacity(CAPACITY).unwrap();
    let mut group = c.benchmark_group(id.0);
    group.sample_size(20);
    group.throughput(Throughput::Elements(items));
    group.bench_function(id.1, |b| {
        b.iter_custom(|rounds| {
            (0..rounds).map(|_| timed(|| hand_off(&ring, completers, items))).sum()
        });
    });
    group.finish();
}

fn timed(f: impl FnOnce()) -> Duration {
    let start = Instant::now();
    f();
    start.elapsed()
}

pub(crate) fn payloads(c: &mut Criterion) {
    for n in [1, 2] {
        let group = format!("hand-off, {n} completing");
        bench::<u64>(c, (&group, "8 B"), hand_off, (n, ITEMS));
        bench::<u64>(c, (&group, "8 B, split"), hand_off_split, (n, ITEMS));
        bench::<[u64; 8]>(c, (&group, "64 B"), hand_off, (n, ITEMS));
        bench::<[u64; 512]>(c, (&group, "4 KiB"), hand_off, (n, ITEMS / 10));
    }
}

/// Measures three layouts of a slot that all carry a number:
///
/// * 16 bytes;
/// * one cache line: the payload fills the line behind the tag;
/// * two cache lines: the payload's alignment moves it to the line after the tag's.
pub(crate) fn layouts(c: &mut Criterion) {
    for n in [1, 2] {
        let group = format!("layout, {n} completing");
        bench::<u64>(c, (&group, "16 B slots"), hand_off, (n, ITEMS));
        bench::<[u64; 7]>(c, (&group, "64 B slots"), hand_off, (n, ITEMS));
        bench::<OwnLine>(c, (&group, "128 B slots"), hand_off, (n, ITEMS));
    }
}
