//! `map_indexed`: order, panics, lengths, nesting, and which threads run the indices behind a slow
//! one.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering::{Acquire, Release, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{LiveCounter, executor, with_timeout};

#[test]
fn each_index_runs_once_and_results_are_in_order() {
    let executor = executor(3);
    // Sizes around those at which the number of blocks, or the size of a block, changes. Each runs
    // twice: the second time, the caller knows that the items are cheap.
    for size in [0, 1, 2, 63, 64, 65, 127, 128, 129, 65_535, 65_536, 65_537, 200_001] {
        for _ in 0..2 {
            let runs = AtomicUsize::new(0);
            let results = executor.map_indexed(size, |index| {
                runs.fetch_add(1, SeqCst);
                index * 3
            });
            assert!(results.into_iter().eq((0..size).map(|index| index * 3)), "{size} indices");
            assert_eq!(runs.load(SeqCst), size);
        }
    }
}

/// `map` computes such items from their index.
#[test]
fn a_range_of_any_integers_brings_the_items_that_it_returns() {
    fn check<S: Iterator<Item: Send + PartialEq> + Clone + Send>(source: S) {
        // The caller of a new executor does not know whether the items are cheap, so it shares
        // them.
        assert!(executor(2).map(source.clone(), |item| item).into_iter().eq(source));
    }
    check(-128..=127_i8);
    check(3..=u16::MAX);
    check(-50_000..50_000_i32);
    check(u32::MAX - 100_000..=u32::MAX);
    check(i64::MIN..i64::MIN + 100_000);
    check(u64::MAX - 100_000..u64::MAX);
    let mut used = 0..100_000_usize;
    used.nth(70);
    check(used);
}

#[test]
fn the_lowest_panic_is_resumed_after_all_have_run_and_values_are_dropped() {
    let (executor, results) = (executor(2), LiveCounter::default());
    let runs = AtomicUsize::new(0);
    for (size, first) in [(1, 0), (7, 3), (64, 63), (5000, 0), (5000, 63), (5000, 4999)] {
        for _ in 0..2 {
            runs.store(0, SeqCst);
            let panicked = catch_unwind(AssertUnwindSafe(|| {
                executor.map_indexed(size, |index| {
                    runs.fetch_add(1, SeqCst);
                    if index >= first && (index - first) % 2 == 0 {
                        std::panic::panic_any(index);
                    }
                    results.track(index as u64)
                })
            }));
            let payload = panicked.map(|values| values.len()).unwrap_err();
            assert_eq!(
                payload.downcast_ref::<usize>(),
                Some(&first),
                "not the panic of the lowest index"
            );
            assert_eq!((runs.load(SeqCst), results.alive()), (size, 0));
        }
    }
}

#[test]
fn each_value_is_dropped_once() {
    let (executor, results) = (executor(3), LiveCounter::default());
    for size in [64, 5000] {
        let values = executor.map_indexed(size, |index| results.track(index as u64));
        assert!(values.iter().zip(0..).all(|(result, value)| result.value == value));
        assert_eq!(results.alive(), size);
        drop(values);
        assert_eq!(results.alive(), 0);
    }
}

#[test]
fn indices_continue_when_the_caller_begins_to_share_the_rest() {
    with_timeout(|| {
        let (executor, expensive) = (executor(2), AtomicBool::new(false));
        let threads = Mutex::new(HashSet::new());
        let job = |index: usize| {
            if expensive.load(SeqCst) {
                threads.lock().unwrap().insert(thread::current().id());
                // The caller may run the first index alone. The others wait for a second thread.
                while index > 0 && threads.lock().unwrap().len() < 2 {
                    thread::yield_now();
                }
                let started = Instant::now();
                while started.elapsed() < Duration::from_micros(5) {
                    std::hint::spin_loop();
                }
            }
            index
        };
        for round in 0..100 {
            expensive.store(round % 10 == 9, SeqCst);
            threads.lock().unwrap().clear();
            assert!(executor.map_indexed(64, job).into_iter().eq(0..64));
        }
    });
}

#[test]
fn a_huge_number_of_zero_sized_results_needs_no_memory() {
    // In a build without optimisation, more would take minutes.
    const LEN: usize = if cfg!(debug_assertions) { 10_000_000 } else { u32::MAX as usize + 100 };
    let executor = executor(2);
    let last = AtomicUsize::new(0);
    let results = executor.map_indexed(LEN, |index| {
        if index == LEN - 1 {
            last.fetch_add(1, SeqCst);
        }
    });
    assert_eq!((results.len(), last.load(SeqCst)), (LEN, 1));
}

#[test]
fn calls_nest_with_one_worker() {
    with_timeout(|| {
        let executor = executor(1);
        let sums = executor.map_indexed(8, |i| {
            let inner = executor.map_indexed(5, |j| executor.map(0..=j, |k| i * k));
            inner.into_iter().flatten().sum::<usize>()
        });
        // For each `j`, the sum of the numbers up to `j`: 0, 1, 3, 6, 10.
        assert!(sums.into_iter().eq((0..8).map(|i| i * 20)));
    });
}

#[test]
fn a_slow_index_among_cheap_ones_holds_back_at_most_127() {
    with_timeout(|| {
        let executor = executor(2);
        for (len, slow) in [(5000, 0), (5000, 2500), (100_000, 50_000), (100_000, 30_001)] {
            // One flag per index: a contended counter would make the items expensive.
            let done: Vec<_> = (0..len).map(|_| AtomicBool::new(false)).collect();
            executor.map_indexed(len, |index| {
                if index == slow {
                    while done.iter().filter(|done| done.load(Acquire)).count() < len - 128 {
                        thread::yield_now();
                    }
                }
                done[index].store(true, Release);
            });
        }
    });
}

#[test]
fn all_workers_run_indices_and_boxed_results_reach_the_caller() {
    const WORKERS: usize = 3;
    with_timeout(|| {
        let executor = executor(WORKERS);
        let (all, threads) = (Barrier::new(WORKERS + 1), Mutex::new(Vec::new()));
        let boxes = executor.map_indexed(WORKERS + 1, |index| {
            all.wait();
            threads.lock().unwrap().push(thread::current().id());
            Box::new(index)
        });
        assert!(boxes.into_iter().map(|index| *index).eq(0..=WORKERS));
        let mut threads = threads.into_inner().unwrap();
        threads.sort_by_key(|id| format!("{id:?}"));
        threads.dedup();
        assert_eq!(threads.len(), WORKERS + 1);
    });
}
