//! The structures alone, across threads: one that reserves, some that complete out of order, and one
//! that takes.
//!
//! Through one queue, the workers get their tickets from the one who reserves. Dealt out statically,
//! each knows its places beforehand and learns from the structure itself that they were reserved,
//! so that no queue is measured along with it. All wait in the same way: they spin, then yield; but
//! the sides of the mutex sleep on its condition variables, which is what these are for.

use std::thread;
use std::time::Instant;

use crossbeam_queue::ArrayQueue;
use crossbeam_utils::Backoff;
use reorder_ring::Ring;

use super::structure::{ChannelHeap, Flags, MutexDeque, MutexMap, PairWindow, Structure, WINDOW};
use super::{Hold, THREADS};
use crate::compare::Settings;
use crate::compare::contest::{Contest, OURS, Sample, same};
use crate::compare::peers::{Disruptor, Stream};

/// How the workers get their tickets.
#[derive(Clone, Copy)]
enum Way {
    Queue,
    Dealt,
}

pub(super) fn run(settings: &Settings, hold: &mut Hold<'_>) {
    let expected: Vec<u64> = (0..settings.amount(500_000, 50_000)).collect();
    for (name, way) in [("hand-off-queue", Way::Queue), ("hand-off-dealt", Way::Dealt)] {
        for threads in THREADS {
            let mut contest = Contest::new(name, threads, settings);
            let mut relay = Relay { contest: &mut contest, way, threads, expected: &expected };
            relay.enter::<Ring<u64>>(OURS);
            relay.enter::<Flags>("flags");
            relay.enter::<PairWindow>("pair-window");
            relay.enter::<MutexDeque>("mutex");
            relay.enter::<MutexMap>("mutex-map");
            relay.enter::<ChannelHeap>("channel-heap");
            if let Way::Dealt = way {
                relay.enter_disruptor();
            }
            hold(contest);
        }
    }
}

struct Relay<'c, 'a> {
    contest: &'c mut Contest<'a>,
    way: Way,
    threads: usize,
    expected: &'a [u64],
}

impl Relay<'_, '_> {
    fn enter<S: Structure + 'static>(&mut self, peer: &'static str) {
        let &mut Relay { way, threads, expected, .. } = self;
        let mut results = Vec::with_capacity(expected.len());
        self.contest.enter(peer, S::new, move |structure, _| {
            results.clear();
            let start = Instant::now();
            match way {
                Way::Queue => through_queue(structure, threads, expected.len(), &mut results),
                Way::Dealt => dealt(structure, threads, expected.len(), &mut results),
            }
            let nanos = start.elapsed().as_nanos() as f64 / expected.len() as f64;
            same(&results, expected)?;
            Ok(Sample { nanos, ..Sample::default() })
        });
    }

    /// It deals numbers out to handlers, whose threads are its own; the one who reserves also takes.
    fn enter_disruptor(&mut self) {
        let &mut Relay { threads, expected, .. } = self;
        let mut results = Vec::with_capacity(expected.len());
        self.contest.enter(
            "disruptor",
            || Disruptor(threads),
            move |peer, _| {
                results.clear();
                let count = expected.len() as u64;
                let start = Instant::now();
                peer.stream(0..count, WINDOW, |number| number, &mut |number| results.push(number));
                let nanos = start.elapsed().as_nanos() as f64 / count as f64;
                same(&results, expected)?;
                Ok(Sample { nanos, ..Sample::default() })
            },
        );
    }
}

/// Comes back with what `attempt` has to tell.
fn until<T>(mut attempt: impl FnMut() -> Option<T>) -> T {
    let backoff = Backoff::new();
    loop {
        match attempt() {
            Some(value) => return value,
            None => backoff.snooze(),
        }
    }
}

fn through_queue(structure: &impl Structure, threads: usize, count: usize, results: &mut Vec<u64>) {
    let (mut reserve, mut take) = structure.open();
    let queue = ArrayQueue::new(WINDOW);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                // `None` is the end.
                while let Some((ticket, number)) = until(|| queue.pop()) {
                    match queue.pop() {
                        // Two at a time are completed in the wrong order.
                        Some(Some((next, its_number))) => structure.complete(next, its_number),
                        Some(None) => {
                            structure.complete(ticket, number);
                            return;
                        }
                        None => {}
                    }
                    structure.complete(ticket, number);
                }
            });
        }
        scope.spawn(|| {
            for number in 0..count as u64 {
                let ticket = until(&mut reserve);
                until(|| queue.push(Some((ticket, number))).ok());
            }
            for _ in 0..threads {
                until(|| queue.push(None).ok());
            }
        });
        for _ in 0..count {
            results.push(until(&mut take));
        }
    });
}

fn dealt(structure: &impl Structure, threads: usize, count: usize, results: &mut Vec<u64>) {
    let (mut reserve, mut take) = structure.open();
    let Some(first) = (count > 0).then(|| until(&mut reserve)) else { return };
    thread::scope(|scope| {
        for lane in 0..threads {
            scope.spawn(move || {
                // Two at a time are completed in the wrong order.
                for number in (lane..count).step_by(2 * threads) {
                    for number in [number + threads, number] {
                        if number < count {
                            let ticket = until(|| structure.dealt(first, number as u64));
                            structure.complete(ticket, number as u64);
                        }
                    }
                }
            });
        }
        scope.spawn(move || (1..count).for_each(|_| _ = until(&mut reserve)));
        for _ in 0..count {
            results.push(until(&mut take));
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All of them, opened three times each.
    fn each(mut run: impl FnMut(&dyn Fn(&mut Vec<u64>, usize, usize, Way))) {
        fn twin<S: Structure>(structure: &S) -> impl Fn(&mut Vec<u64>, usize, usize, Way) {
            |results, threads, count, way| match way {
                Way::Queue => through_queue(structure, threads, count, results),
                Way::Dealt => dealt(structure, threads, count, results),
            }
        }
        run(&twin(&<Ring<u64> as Structure>::new()));
        run(&twin(&Flags::new()));
        run(&twin(&PairWindow::new()));
        run(&twin(&MutexDeque::new()));
        run(&twin(&MutexMap::new()));
        run(&twin(&ChannelHeap::new()));
    }

    #[test]
    fn every_structure_brings_the_numbers_in_order() {
        each(|run| {
            for way in [Way::Queue, Way::Dealt] {
                for (threads, count) in [(1, 1), (2, 5000), (3, 3001)] {
                    let mut results = Vec::new();
                    run(&mut results, threads, count, way);
                    let expected: Vec<u64> = (0..count as u64).collect();
                    assert_eq!(same(&results, &expected), Ok(()));
                }
            }
        });
    }
}
