//! The structures without an executor, between threads: a producer, some completers that complete
//! out of order, and a consumer.
//!
//! In `hand-off-queue`, the completers get their tickets from the producer, through one queue. In
//! `hand-off-dealt`, each completer knows its positions beforehand and asks the structure whether
//! they are reserved. So no queue is measured along with the structure.
//!
//! All threads wait in the same way: they spin, then yield. The exception is the mutex, whose
//! producer and consumer sleep on its condition variables.

use std::thread;
use std::time::Instant;

use crossbeam_queue::ArrayQueue;
use crossbeam_utils::Backoff;
use reorder_ring::Ring;

use super::structure::{ChannelHeap, Flags, MutexDeque, MutexMap, PairWindow, Structure, WINDOW};
use super::{RunComparison, THREADS};
use crate::compare::Settings;
use crate::compare::comparison::{Comparison, OURS, Sample, check_results};
use crate::compare::peers::{Disruptor, Stream};

/// The way in which the completers get their tickets.
#[derive(Clone, Copy)]
enum Distribution {
    /// From a queue that the producer fills.
    Queue,
    /// Each completer has a fixed share of the positions.
    Dealt,
}

pub(super) fn run(settings: &Settings, run_comparison: &mut RunComparison<'_>) {
    let expected: Vec<u64> = (0..settings.amount(500_000, 50_000)).collect();
    for (name, distribution) in
        [("hand-off-queue", Distribution::Queue), ("hand-off-dealt", Distribution::Dealt)]
    {
        for threads in THREADS {
            let mut comparison = Comparison::new(name, threads, settings);
            let mut hand_off =
                HandOff { comparison: &mut comparison, distribution, threads, expected: &expected };
            hand_off.add::<Ring<u64>>(OURS);
            hand_off.add::<Flags>("flags");
            hand_off.add::<PairWindow>("pair-window");
            hand_off.add::<MutexDeque>("mutex");
            hand_off.add::<MutexMap>("mutex-map");
            hand_off.add::<ChannelHeap>("channel-heap");
            if let Distribution::Dealt = distribution {
                hand_off.add_disruptor();
            }
            run_comparison(comparison);
        }
    }
}

struct HandOff<'c, 'a> {
    comparison: &'c mut Comparison<'a>,
    distribution: Distribution,
    threads: usize,
    expected: &'a [u64],
}

impl HandOff<'_, '_> {
    fn add<S: Structure + 'static>(&mut self, peer: &'static str) {
        let &mut HandOff { distribution, threads, expected, .. } = self;
        let mut results = Vec::with_capacity(expected.len());
        self.comparison.add_peer(peer, S::new, move |structure, _| {
            results.clear();
            let start = Instant::now();
            match distribution {
                Distribution::Queue => {
                    through_queue(structure, threads, expected.len(), &mut results)
                }
                Distribution::Dealt => dealt(structure, threads, expected.len(), &mut results),
            }
            let nanos = start.elapsed().as_nanos() as f64 / expected.len() as f64;
            check_results(&results, expected)?;
            Ok(Sample { nanos, ..Sample::default() })
        });
    }

    /// Adds `disruptor`, which also gives each handler a fixed share of the numbers. It has its own
    /// threads for the handlers, and its producer is also the consumer.
    fn add_disruptor(&mut self) {
        let &mut HandOff { threads, expected, .. } = self;
        let mut results = Vec::with_capacity(expected.len());
        self.comparison.add_peer(
            "disruptor",
            || Disruptor(threads),
            move |peer, _| {
                results.clear();
                let count = expected.len() as u64;
                let start = Instant::now();
                peer.stream(0..count, WINDOW, |number| number, &mut |number| results.push(number));
                let nanos = start.elapsed().as_nanos() as f64 / count as f64;
                check_results(&results, expected)?;
                Ok(Sample { nanos, ..Sample::default() })
            },
        );
    }
}

/// Repeats `attempt` until it returns a value.
fn retry<T>(mut attempt: impl FnMut() -> Option<T>) -> T {
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
                // `None` in the queue is the end.
                while let Some((ticket, number)) = retry(|| queue.pop()) {
                    match queue.pop() {
                        // The completer completes the second ticket first.
                        Some(Some((next, next_number))) => structure.complete(next, next_number),
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
                let ticket = retry(&mut reserve);
                retry(|| queue.push(Some((ticket, number))).ok());
            }
            for _ in 0..threads {
                retry(|| queue.push(None).ok());
            }
        });
        for _ in 0..count {
            results.push(retry(&mut take));
        }
    });
}

fn dealt(structure: &impl Structure, threads: usize, count: usize, results: &mut Vec<u64>) {
    let (mut reserve, mut take) = structure.open();
    let Some(first) = (count > 0).then(|| retry(&mut reserve)) else { return };
    thread::scope(|scope| {
        for completer in 0..threads {
            scope.spawn(move || {
                // The completer completes the second of its next two positions first.
                for number in (completer..count).step_by(2 * threads) {
                    for number in [number + threads, number] {
                        if number < count {
                            let ticket = retry(|| structure.ticket_at(first, number as u64));
                            structure.complete(ticket, number as u64);
                        }
                    }
                }
            });
        }
        scope.spawn(move || (1..count).for_each(|_| _ = retry(&mut reserve)));
        for _ in 0..count {
            results.push(retry(&mut take));
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    type Run<'r> = &'r dyn Fn(&mut Vec<u64>, usize, usize, Distribution);

    /// Calls `test` with each structure, as a function that runs it.
    fn each(mut test: impl FnMut(Run<'_>)) {
        fn run<S: Structure>(structure: &S) -> impl Fn(&mut Vec<u64>, usize, usize, Distribution) {
            |results, threads, count, distribution| match distribution {
                Distribution::Queue => through_queue(structure, threads, count, results),
                Distribution::Dealt => dealt(structure, threads, count, results),
            }
        }
        test(&run(&<Ring<u64> as Structure>::new()));
        test(&run(&Flags::new()));
        test(&run(&PairWindow::new()));
        test(&run(&MutexDeque::new()));
        test(&run(&MutexMap::new()));
        test(&run(&ChannelHeap::new()));
    }

    #[test]
    fn every_structure_returns_the_numbers_in_order() {
        each(|run| {
            for distribution in [Distribution::Queue, Distribution::Dealt] {
                for (threads, count) in [(1, 1), (2, 5000), (3, 3001)] {
                    let mut results = Vec::new();
                    run(&mut results, threads, count, distribution);
                    let expected: Vec<u64> = (0..count as u64).collect();
                    assert_eq!(check_results(&results, &expected), Ok(()));
                }
            }
        });
    }
}
