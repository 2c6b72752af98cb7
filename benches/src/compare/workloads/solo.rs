//! The structures in one thread: measures the cost of the instructions.
//!
//! The peer `pair` has only the operations that every such structure needs: a compare-and-swap and
//! a release store around the write of a value.

use std::cell::{Cell, UnsafeCell};
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use reorder_ring::Ring;

use super::RunComparison;
use super::structure::{ChannelHeap, Flags, MutexDeque, MutexMap, PairWindow, Structure, WINDOW};
use crate::compare::Settings;
use crate::compare::comparison::{Comparison, OURS, Sample, check_results};

pub(super) fn run(settings: &Settings, run_comparison: &mut RunComparison<'_>) {
    // Few enough items that a run ends within a time slice of the operating system, on a machine
    // with other load.
    let expected: Vec<u64> = (0..settings.amount(200_000, 50_000)).collect();
    let mut comparison = Comparison::new("solo", 1, settings);
    add(&mut comparison, OURS, &expected, <Ring<u64> as Structure>::new, ring);
    add(&mut comparison, "pair", &expected, Pairs::new, Pairs::run);
    add(&mut comparison, "pair-window", &expected, PairWindow::new, cycle);
    add(&mut comparison, "flags", &expected, Flags::new, cycle);
    add(&mut comparison, "mutex", &expected, MutexDeque::new, cycle);
    add(&mut comparison, "mutex-map", &expected, MutexMap::new, cycle);
    add(&mut comparison, "channel-heap", &expected, ChannelHeap::new, cycle);
    run_comparison(comparison);
}

fn add<'a, S: 'a>(
    comparison: &mut Comparison<'a>,
    peer: &'static str,
    expected: &'a [u64],
    make: impl FnOnce() -> S,
    run: impl Fn(&S, u64, &mut Vec<u64>) + 'a,
) {
    let mut results = Vec::with_capacity(expected.len());
    comparison.add_peer(peer, make, move |structure, _| {
        results.clear();
        let count = expected.len() as u64;
        let start = Instant::now();
        run(structure, count, &mut results);
        let nanos = start.elapsed().as_nanos() as f64 / count as f64;
        check_results(&results, expected)?;
        Ok(Sample { nanos, ..Sample::default() })
    });
}

/// Reserves, completes and takes one item at a time.
fn cycle(structure: &impl Structure, count: u64, results: &mut Vec<u64>) {
    let (mut reserve, mut take) = structure.open();
    for number in 0..count {
        let ticket = reserve().expect("the structure has free slots");
        structure.complete(ticket, black_box(number));
        results.push(take().expect("the item is complete"));
    }
}

/// Does the same as [`cycle`] with an unsplit batch, as a program with one thread would.
fn ring(ring: &Ring<u64>, count: u64, results: &mut Vec<u64>) {
    let mut batch = ring.open().expect("the ring is free");
    for number in 0..count {
        let ticket = batch.reserve().expect("the ring has free slots");
        ring.complete(ticket, black_box(number)).expect("each ticket is completed once");
        let delivery = batch.try_next().expect("the item is complete");
        results.push(delivery.outcome.expect("no position is evicted"));
    }
}

/// Slots with a tag and a value, and no other state.
struct Pairs {
    slots: Box<[(AtomicU64, UnsafeCell<u64>)]>,
    /// The number of items of all runs.
    done: Cell<u64>,
}

impl Pairs {
    fn new() -> Pairs {
        Pairs { slots: (0..WINDOW).map(|_| Default::default()).collect(), done: Cell::new(0) }
    }

    fn run(&self, count: u64, results: &mut Vec<u64>) {
        let before = self.done.replace(self.done.get() + count);
        for number in 0..count {
            let position = before + number;
            let (tag, value) = &self.slots[position as usize % WINDOW];
            let old = position / WINDOW as u64 * 2;
            let claimed = tag.compare_exchange(old, old + 1, Ordering::Acquire, Ordering::Acquire);
            assert!(claimed.is_ok(), "no other thread claims the slot");
            // SAFETY: only this thread uses the cell, and there is no reference into it.
            unsafe { value.get().write(black_box(number)) };
            tag.store(old + 2, Ordering::Release);
            // SAFETY: only this thread uses the cell, and there is no reference into it.
            results.push(unsafe { value.get().read() });
        }
    }
}
