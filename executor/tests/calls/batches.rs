//! Batches by `map` and `execute_batch`: order, panics, nesting, sharing, types of items.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{Latch, LiveCounter, executor, with_timeout};
use reorder_executor::{BuildError, Executor, Failure};

#[test]
fn results_are_in_the_order_of_the_input_for_every_size() {
    let executor = executor(3);
    // Sizes around those at which the number of blocks, or the size of a block, changes.
    for size in [0, 1, 2, 63, 64, 65, 127, 128, 129, 65_535, 65_536, 65_537, 131_073, 200_001] {
        let expected: Vec<usize> = (0..size).map(|item| item * 3).collect();
        assert_eq!(executor.map(0..size, |item| item * 3), expected, "{size} items");
    }
}

#[test]
fn each_item_runs_once_and_each_value_is_dropped_once() {
    let (executor, items, results) = (executor(3), LiveCounter::default(), LiveCounter::default());
    let runs = AtomicUsize::new(0);
    let made: Vec<_> = (0..5000).map(|value| items.track(value)).collect();
    let values = executor.map(made, |item| {
        runs.fetch_add(1, SeqCst);
        results.track(item.value + 1)
    });
    assert_eq!(runs.load(SeqCst), 5000);
    assert_eq!((items.alive(), results.alive()), (0, 5000));
    assert!(values.iter().zip(1..).all(|(result, value)| result.value == value));
    drop(values);
    assert_eq!(results.alive(), 0);
}

#[test]
fn a_panic_is_the_outcome_of_its_item_only() {
    let executor = executor(2);
    for size in [10, 3000] {
        let report = executor.execute_batch(0..size, |item| {
            assert!(item % 3 != 1, "item {item}");
            item
        });
        assert_eq!(report.outcomes().len(), size);
        for (index, outcome) in report.outcomes().iter().enumerate() {
            match outcome {
                Ok(value) => assert_eq!((*value, index % 3 != 1), (index, true)),
                Err(Failure::Panicked(panic)) => {
                    assert_eq!((panic.message(), index % 3), (&*format!("item {index}"), 1));
                }
                Err(other) => panic!("{other}"),
            }
        }
        let error = report.into_values().unwrap_err();
        assert_eq!(error.to_string(), "item 1: the job panicked: item 1");
    }
    assert_eq!(executor.map(0..9, |item| item).len(), 9, "the workers are gone");
}

#[test]
fn map_resumes_the_first_panic_after_all_items_have_run() {
    let (executor, results) = (executor(2), LiveCounter::default());
    let runs = AtomicUsize::new(0);
    for size in [7u64, 5000] {
        runs.store(0, SeqCst);
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            executor.map(0..size, |item| {
                runs.fetch_add(1, SeqCst);
                if item >= 3 && item % 2 == 1 {
                    std::panic::panic_any(item);
                }
                results.track(item)
            })
        }));
        let payload = panicked.map(|values| values.len()).unwrap_err();
        assert_eq!(payload.downcast_ref::<u64>(), Some(&3), "not the panic of the lowest index");
        assert_eq!((runs.load(SeqCst) as u64, results.alive()), (size, 0));
    }
}

#[test]
fn calls_nest_five_deep_with_one_worker() {
    fn leaves(executor: &Executor, depth: u32) -> usize {
        if depth == 0 {
            return 1;
        }
        executor.map(0..3, |_| leaves(executor, depth - 1)).into_iter().sum()
    }
    with_timeout(|| {
        let executor = executor(1);
        assert_eq!(leaves(&executor, 5), 243);
        // Several callers at once, so that the worker runs nested calls, too.
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| assert_eq!(leaves(&executor, 5), 243));
            }
        });
    });
}

/// Spins for longer than a chunk of items should take, so that each item is claimed alone.
fn spin_for_5_us() {
    let started = Instant::now();
    while started.elapsed() < Duration::from_micros(5) {
        std::hint::spin_loop();
    }
}

#[test]
fn a_slow_item_does_not_hold_back_the_others() {
    with_timeout(|| {
        // Of 5000 items, most are not yet pulled from the source when the slow one starts.
        for (items, slow) in [(64, 0), (64, 37), (64, 63), (5000, 0), (5000, 4000)] {
            let (executor, done) = (executor(2), AtomicUsize::new(0));
            executor.map(0..items, |item| {
                if item == slow {
                    // The slow item ends only after all others, on whichever thread it runs.
                    while done.load(SeqCst) < items - 1 {
                        thread::yield_now();
                    }
                } else {
                    spin_for_5_us();
                    done.fetch_add(1, SeqCst);
                }
            });
        }
    });
}

#[test]
fn a_slow_item_among_cheap_ones_holds_back_at_most_31() {
    with_timeout(|| {
        for items in [64, 5000] {
            let (executor, done) = (executor(2), AtomicUsize::new(0));
            executor.map(0..items, |item| {
                if item == items / 2 {
                    while done.load(SeqCst) < items - 32 {
                        thread::yield_now();
                    }
                }
                done.fetch_add(1, SeqCst);
            });
        }
    });
}

#[test]
fn a_job_whose_items_become_expensive_is_shared_with_the_workers() {
    with_timeout(|| {
        let (executor, expensive) = (executor(2), AtomicBool::new(false));
        let threads = Mutex::new(HashSet::new());
        let job = |item: u64| {
            if expensive.load(SeqCst) {
                spin_for_5_us();
                threads.lock().unwrap().insert(thread::current().id());
                // The caller may run the first item alone. The others wait for a second thread.
                while item > 0 && threads.lock().unwrap().len() < 2 {
                    thread::yield_now();
                }
            }
            item
        };
        for round in 0..200 {
            expensive.store(round % 10 == 9, SeqCst);
            threads.lock().unwrap().clear();
            assert!(executor.map(0..64, job).into_iter().eq(0..64));
        }
    });
}

#[test]
fn workers_leave_a_huge_batch_for_a_small_one() {
    const HUGE: usize = 20_000;
    with_timeout(|| {
        let executor = executor(2);
        let (started, enough, both) = (Latch::default(), AtomicUsize::new(0), Barrier::new(2));
        let (ran, running) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            scope.spawn(|| {
                executor.map(0..HUGE, |_| {
                    ran.fetch_add(1, SeqCst);
                    if running.fetch_add(1, SeqCst) == 2 {
                        // Three threads run items: the caller and both workers.
                        started.open();
                    }
                    if enough.load(SeqCst) == 0 {
                        thread::sleep(Duration::from_millis(1));
                    }
                    running.fetch_sub(1, SeqCst);
                });
            });
            started.wait();
            // The two items need two threads: the caller, and a worker that leaves the huge batch.
            executor.map(0..2, |_| both.wait());
            let ran = ran.load(SeqCst);
            enough.store(1, SeqCst);
            assert!(ran < HUGE / 2, "the small batch ran after {ran} of {HUGE} items");
        });
    });
}

#[test]
fn a_batch_wakes_all_sleeping_workers() {
    const WORKERS: usize = 3;
    with_timeout(|| {
        let executor = executor(WORKERS);
        for _ in 0..3 {
            // Usually all workers are asleep after this.
            thread::sleep(Duration::from_millis(30));
            let all = Barrier::new(WORKERS + 1);
            executor.map(0..=WORKERS, |_| all.wait());
        }
    });
}

#[test]
fn items_and_results_of_various_sizes_and_alignments() {
    #[repr(align(128))]
    #[derive(Clone, Copy, PartialEq, Debug)]
    struct Aligned(u8);
    let executor = executor(2);
    assert_eq!(executor.map(vec![(); 5000], |()| ()).len(), 5000);
    let aligned = executor.map((0..200).map(Aligned), |Aligned(n)| Aligned(n + 1));
    assert!(aligned.iter().zip(1..).all(|(value, n)| *value == Aligned(n)));
    assert!(aligned.iter().all(|value| std::ptr::from_ref(value).addr() % 128 == 0));
    let pages = executor.map(0..50u8, |n| [n; 4096]);
    assert!(pages.iter().zip(0..).all(|(page, n)| *page == [n; 4096]));
    let (longer, shorter) =
        (executor.map(0..200u8, u64::from), executor.map(0..200u64, |n| n as u8));
    assert!(longer.into_iter().eq(0..200) && shorter.into_iter().eq(0..200));
    let strings = executor.map(vec!["a".to_owned(), "b".to_owned()], |text| text + "!");
    assert_eq!(strings, ["a!", "b!"]);
}

#[test]
fn one_arc_of_an_executor_may_be_dropped_while_others_use_it() {
    with_timeout(|| {
        let executor = Arc::new(executor(2));
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let executor = Arc::clone(&executor);
                thread::spawn(move || executor.map(0..1000, |item| item).len())
            })
            .collect();
        drop(executor);
        assert!(threads.into_iter().all(|thread| thread.join().unwrap() == 1000));
    });
}

#[test]
fn settings_out_of_range_are_refused_with_a_typed_error() {
    let refused = Executor::builder().workers(0).build().unwrap_err();
    assert!(matches!(refused, BuildError::NoWorkers));
    assert_eq!(refused.to_string(), "an executor needs at least 1 worker, not 0");
    let refused = Executor::builder().window(0).build().unwrap_err();
    assert!(matches!(refused, BuildError::Window(_)));
    let refused = Executor::builder().workers(2).window(usize::MAX).build().unwrap_err();
    assert!(matches!(refused, BuildError::Window(_)));
    let refused = Executor::builder().workers(2).stack_size(usize::MAX / 2).build();
    assert!(matches!(refused, Err(BuildError::Spawn { started: 0, requested: 2, .. })));
}
