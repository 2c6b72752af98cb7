//! The structures alone, in one thread: the cost of the instructions. Beside them the pair that no
//! such structure can do without: a compare-and-swap and a release store, around the same write.

use std::cell::{Cell, UnsafeCell};
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use reorder_ring::Ring;

use super::Hold;
use super::structure::{ChannelHeap, Flags, MutexDeque, MutexMap, PairWindow, Structure, WINDOW};
use crate::compare::Settings;
use crate::compare::contest::{Contest, OURS, Sample, same};

pub(super) fn run(settings: &Settings, hold: &mut Hold<'_>) {
    // So few that a turn ends before the scheduler ends it, on a machine with other work to do.
    let expected: Vec<u64> = (0..settings.amount(200_000, 50_000)).collect();
    let mut contest = Contest::new("solo", 1, settings);
    enter(&mut contest, OURS, &expected, <Ring<u64> as Structure>::new, ring);
    enter(&mut contest, "pair", &expected, Pairs::new, Pairs::run);
    enter(&mut contest, "pair-window", &expected, PairWindow::new, cycle);
    enter(&mut contest, "flags", &expected, Flags::new, cycle);
    enter(&mut contest, "mutex", &expected, MutexDeque::new, cycle);
    enter(&mut contest, "mutex-map", &expected, MutexMap::new, cycle);
    enter(&mut contest, "channel-heap", &expected, ChannelHeap::new, cycle);
    hold(contest);
}

fn enter<'a, S: 'a>(
    contest: &mut Contest<'a>,
    peer: &'static str,
    expected: &'a [u64],
    make: impl FnOnce() -> S,
    run: impl Fn(&S, u64, &mut Vec<u64>) + 'a,
) {
    let mut results = Vec::with_capacity(expected.len());
    contest.enter(peer, make, move |structure, _| {
        results.clear();
        let count = expected.len() as u64;
        let start = Instant::now();
        run(structure, count, &mut results);
        let nanos = start.elapsed().as_nanos() as f64 / count as f64;
        same(&results, expected)?;
        Ok(Sample { nanos, ..Sample::default() })
    });
}

/// One item at a time.
fn cycle(structure: &impl Structure, count: u64, results: &mut Vec<u64>) {
    let (mut reserve, mut take) = structure.open();
    for number in 0..count {
        let ticket = reserve().expect("there is room");
        structure.complete(ticket, black_box(number));
        results.push(take().expect("it is complete"));
    }
}

/// As [`cycle`], with a batch that is not split: so it is used where there is one thread.
fn ring(ring: &Ring<u64>, count: u64, results: &mut Vec<u64>) {
    let mut batch = ring.open().expect("nobody else has it");
    for number in 0..count {
        let ticket = batch.reserve().expect("there is room");
        ring.complete(ticket, black_box(number)).expect("completed once");
        let delivery = batch.try_next().expect("it is complete");
        results.push(delivery.outcome.expect("nobody gives up"));
    }
}

/// Slots that hold nothing but what the pair needs.
struct Pairs {
    slots: Box<[(AtomicU64, UnsafeCell<u64>)]>,
    /// Over all runs.
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
            assert!(claimed.is_ok(), "nobody else is here");
            // SAFETY: the cell is used by this thread alone, and no reference to it is kept.
            unsafe { value.get().write(black_box(number)) };
            tag.store(old + 2, Ordering::Release);
            // SAFETY: as above.
            results.push(unsafe { value.get().read() });
        }
    }
}
