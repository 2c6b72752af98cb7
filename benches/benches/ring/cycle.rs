//! Measures the ring in one thread: the cost of its instructions, without cache misses.

use std::cell::UnsafeCell;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

use benches::Payload;
use criterion::Criterion;
use reorder_ring::Ring;

const CAPACITY: usize = 64;

/// Measures the reservation, completion and delivery of one item at a time.
///
/// Measures beside it the operations that every such ring needs: one compare-and-swap, the write
/// of the payload, one release store, and the read of the payload.
fn cycle<T: Payload>(c: &mut Criterion, size: &str) {
    let mut group = c.benchmark_group(format!("cycle/{size}"));

    let ring = Ring::<T>::with_capacity(CAPACITY).unwrap();
    let mut batch = ring.open().unwrap();
    let mut number = 0;
    group.bench_function("ring", |b| {
        b.iter(|| {
            number += 1;
            let ticket = batch.reserve().unwrap();
            assert!(ring.complete(ticket, T::new(black_box(number))).is_ok());
            let delivery = batch.try_next().unwrap();
            delivery.outcome.unwrap().number()
        });
    });

    let slots: Vec<_> = (0..CAPACITY).map(|_| bare_slot::<T>()).collect();
    let mut number = 0;
    group.bench_function("pair", |b| {
        b.iter(|| {
            let (tag, value) = &slots[number as usize % CAPACITY];
            let old = number / CAPACITY as u64 * 2;
            number += 1;
            let claimed = tag.compare_exchange(old, old + 1, Ordering::Acquire, Ordering::Acquire);
            assert!(claimed.is_ok());
            // SAFETY: only this thread uses the cell, and there is no reference into it now.
            unsafe { value.get().write(Some(T::new(black_box(number)))) };
            tag.store(old + 2, Ordering::Release);
            // SAFETY: only this thread uses the cell, and this is the only reference into it.
            let value = unsafe { &mut *value.get() };
            value.take().unwrap().number()
        });
    });
    group.finish();
}

fn bare_slot<T>() -> (AtomicU64, UnsafeCell<Option<T>>) {
    (AtomicU64::new(0), UnsafeCell::new(None))
}

pub(crate) fn payloads(c: &mut Criterion) {
    cycle::<u64>(c, "8 B");
    cycle::<[u64; 8]>(c, "64 B");
    cycle::<[u64; 512]>(c, "4 KiB");
}
