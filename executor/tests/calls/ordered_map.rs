//! `ordered_map` and its forms: order, panics at their place, early ends, borrowed data, nesting.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use crate::common::{Latch, LiveCounter, executor, with_timeout};
use reorder_executor::{CancellationToken, Executor, IteratorExt};

#[test]
fn values_come_in_the_order_of_the_source() {
    for (workers, window) in [(1, 1), (2, 2), (2, 3), (3, 64)] {
        let executor = Executor::builder().workers(workers).window(window).build().unwrap();
        let job = |item: u64| {
            if item % 97 == 0 {
                thread::sleep(Duration::from_micros(200));
            }
            item * 2
        };
        let expected = || (0..2000).map(|item| item * 2);
        assert!((0..2000).ordered_map_in(&executor, job).eq(expected()));
        let mut folded = Vec::new();
        (0..2000).ordered_map_in(&executor, job).for_each(|value| folded.push(value));
        assert!(folded.into_iter().eq(expected()));
        let results = (0..2000).try_ordered_map_in(&executor, move |item| Ok::<_, ()>(job(item)));
        assert!(results.eq(expected().map(Ok)));
    }
}

#[test]
fn no_items_have_no_values() {
    let mut values = std::iter::empty::<u8>().ordered_map(|item| item);
    assert_eq!((values.next(), values.next()), (None, None));
    assert_eq!(Vec::<u8>::new().into_iter().ordered_map(|item| item).count(), 0);
    let mut results = std::iter::empty::<u8>().try_ordered_map(Err::<u8, _>);
    assert_eq!((results.next(), results.next()), (None, None));
}

#[test]
fn threads_that_use_the_global_executor_first_share_one() {
    const THREADS: usize = 8;
    let barrier = Barrier::new(THREADS);
    let addresses = thread::scope(|scope| {
        let first_use = || {
            barrier.wait();
            std::ptr::from_ref(Executor::global()) as usize
        };
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(first_use)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<BTreeSet<_>>()
    });
    assert_eq!(addresses.len(), 1);
    let processors = thread::available_parallelism().map_or(1, usize::from);
    assert_eq!(Executor::global().workers(), processors);
}

#[derive(Debug, PartialEq)]
struct Payload(u64);

/// Returns the payload with which `f` panics.
fn payload<R>(f: impl FnOnce() -> R) -> Payload {
    let payload = catch_unwind(AssertUnwindSafe(|| drop(f()))).expect_err("it panics");
    *payload.downcast().expect("the payload of the job")
}

fn panics_at_multiples_of_7(item: u64) -> u64 {
    if item % 7 == 0 {
        resume_unwind(Box::new(Payload(item)));
    }
    item
}

#[test]
fn a_panic_is_resumed_at_the_place_of_its_item() {
    let executor = Executor::builder().workers(3).window(16).build().unwrap();
    let mut values = (1..30).ordered_map_in(&executor, panics_at_multiples_of_7);
    for item in 1..30 {
        if item % 7 == 0 {
            assert_eq!(payload(|| values.next()), Payload(item));
        } else {
            assert_eq!(values.next(), Some(item));
        }
    }
    assert_eq!(values.next(), None);

    let mut seen = Vec::new();
    let values = (1..30).ordered_map_in(&executor, panics_at_multiples_of_7);
    assert_eq!(payload(|| values.for_each(|value| seen.push(value))), Payload(7));
    assert_eq!(seen, [1, 2, 3, 4, 5, 6]);

    let job = |item| if item == 9 { Err(item) } else { Ok(panics_at_multiples_of_7(item)) };
    let mut results = (6..).try_ordered_map_in(&executor, job);
    assert_eq!(results.next(), Some(Ok(6)));
    assert_eq!(payload(|| results.next()), Payload(7));
    assert_eq!(results.next(), Some(Ok(8)));
    assert_eq!((results.next(), results.next()), (Some(Err(9)), None));
}

#[test]
fn the_error_of_an_item_has_its_index_in_the_source() {
    let executor = Executor::builder().workers(3).window(16).build().unwrap();
    let job = |item| if item == 9 { Err(item) } else { Ok(panics_at_multiples_of_7(item)) };
    let mut results = (5..).try_ordered_map_in(&executor, job);
    // The index counts from the start of the source.
    assert_eq!(results.next(), Some(Ok(5)));
    let mut results = results.item_results();
    assert_eq!(results.next().expect("item 1").unwrap(), 6);
    assert_eq!(payload(|| results.next()), Payload(7));
    assert_eq!(results.next().expect("item 3").unwrap(), 8);
    let error = results.next().expect("item 4").unwrap_err();
    assert_eq!((error.index, error.failure.into_error()), (4, Some(9)));
    assert!(results.next().is_none() && results.next().is_none());
}

#[test]
fn a_panic_of_the_source_is_resumed_and_the_last() {
    let source = (0..9).map(|item| if item == 3 { panic_any(Payload(item)) } else { item });
    let mut values = source.ordered_map(|item| item);
    for item in 0..3 {
        assert_eq!(values.next(), Some(item));
    }
    assert_eq!(payload(|| values.next()), Payload(3));
    assert_eq!((values.next(), values.next()), (None, None));
}

#[test]
fn an_item_that_a_limit_ended_is_a_panic_and_no_missing_value() {
    let (executor, token) = (executor(1), CancellationToken::new());
    token.cancel();
    let batch = executor.batch(0..9).cancelled_by(&token);
    let mut values = batch.stream(|item, _| Ok::<_, Infallible>(item)).unwrap().values();
    let text = catch_unwind(AssertUnwindSafe(|| values.next())).expect_err("it panics");
    let text = text.downcast::<String>().expect("a text");
    assert!(text.ends_with("cancelled before it started"), "{text}");
    assert_eq!(values.next(), None);
}

#[test]
fn an_early_drop_cancels() {
    with_timeout(|| {
        for taken in [0, 1, 7] {
            // The consumer must not help: it would block in a job that only it unblocks.
            let executor = Executor::builder().workers(2).consumer_helps(false).build().unwrap();
            let (items, results, late) =
                (LiveCounter::default(), LiveCounter::default(), Latch::default());
            let (tracked, tracker, latch) = (items.clone(), results.clone(), late.clone());
            let source = (0_u64..).map(move |item| tracked.track(item));
            let mut values = source.ordered_map_in(&executor, move |item| {
                // Far behind the items that are taken, which may share a chunk with later items.
                if item.value > 20 {
                    latch.wait();
                }
                tracker.track(item.value)
            });
            for item in 0..taken {
                assert_eq!(values.next().unwrap().value, item);
            }
            drop(values);
            late.open();
            // The source is endless: these end because nothing more is pulled.
            items.wait_until_none_alive();
            results.wait_until_none_alive();
        }
    });
}

#[test]
fn the_first_error_ends_the_results_and_cancels() {
    with_timeout(|| {
        let executor = Executor::builder().workers(2).window(8).build().unwrap();
        let (items, results) = (LiveCounter::default(), LiveCounter::default());
        let (tracked, tracker) = (items.clone(), results.clone());
        let later_failed = Latch::default();
        let has_failed = later_failed.clone();
        let source = (0_u64..).map(move |item| tracked.track(item));
        // The items are not cheap, so each of them is taken alone.
        let mut values = source.try_ordered_map_in(&executor, move |item| {
            thread::sleep(Duration::from_micros(100));
            match item.value {
                3 => {
                    has_failed.wait();
                    Err(tracker.track(3))
                }
                4 => {
                    has_failed.open();
                    Err(tracker.track(4))
                }
                value => Ok(tracker.track(value)),
            }
        });
        for item in 0..3 {
            assert!(values.next().is_some_and(|result| result.is_ok_and(|it| it.value == item)));
        }
        let error = values.next().unwrap().err().expect("item 3 fails");
        assert_eq!(error.value, 3, "the first error in order, although item 4 failed before");
        assert!(values.next().is_none());
        assert_eq!(values.size_hint(), (0, Some(0)));
        drop(error);
        // The iterator is still there, but its stream is not.
        items.wait_until_none_alive();
        results.wait_until_none_alive();
        assert!(values.next().is_none());
    });
}

#[test]
fn each_item_and_each_value_is_dropped_once() {
    with_timeout(|| {
        let executor = executor(2);
        let (items, results) = (LiveCounter::default(), LiveCounter::default());
        let (tracked, tracker) = (items.clone(), results.clone());
        let source = (0..5000).map(move |item| tracked.track(item));
        let job = move |item: crate::common::Tracked| tracker.track(item.value);
        let mut values = source.ordered_map_in(&executor, job);
        let kept: Vec<_> = values.by_ref().take(2500).collect();
        assert!(kept.iter().map(|value| value.value).eq(0..2500));
        drop(kept);
        assert_eq!(values.count(), 2500);
        items.wait_until_none_alive();
        results.wait_until_none_alive();
    });
}

#[test]
fn a_forgotten_iterator_keeps_its_window_and_nothing_else() {
    with_timeout(|| {
        let executor = Executor::builder().workers(2).window(8).build().unwrap();
        let pulled = LiveCounter::default();
        let count = pulled.clone();
        let source = (0_u64..).inspect(move |&item| std::mem::forget(count.track(item)));
        let mut values = source.ordered_map_in(&executor, |item| item);
        assert_eq!(values.next(), Some(0));
        std::mem::forget(values);
        // Other calls go on, and the executor ends.
        assert!((0..1000).ordered_map_in(&executor, |item| item).eq(0..1000));
        assert_eq!(executor.map(0..1000, |item| item).len(), 1000);
        drop(executor);
        assert!(pulled.alive() <= 9, "{} items were pulled", pulled.alive());
    });
}

#[test]
fn borrowed_sources_and_jobs_run_in_a_scope() {
    let executor = executor(2);
    let (mut numbers, ran) = ((0..1000_u64).rev().collect::<Vec<_>>(), AtomicUsize::new(0));
    let firsts = executor.scope(|scope| {
        let job = |chunk: &mut [u64]| {
            ran.fetch_add(1, SeqCst);
            chunk.sort_unstable();
            chunk[0]
        };
        numbers.chunks_mut(10).ordered_map_scoped(scope, job).collect::<Vec<_>>()
    });
    assert!(firsts.into_iter().eq((0..100).rev().map(|chunk| chunk * 10)));
    assert_eq!((numbers[0], numbers[9], ran.load(SeqCst)), (990, 999, 100));

    let texts: Vec<String> = ["1", "2", "x", "4"].map(String::from).into();
    let parsed = executor.scope(|scope| {
        let lines = texts.iter().map(String::as_str);
        let parse = |text| str::parse::<u32>(text).map_err(|_| text);
        lines.try_ordered_map_scoped(scope, parse).collect::<Result<Vec<_>, _>>()
    });
    assert_eq!(parsed, Err("x"));
}

#[test]
fn jobs_call_it_again() {
    with_timeout(|| {
        let sum = |outer: u64| (0..100).ordered_map(move |inner| inner * outer).sum::<u64>();
        assert!((0..50).ordered_map(sum).eq((0..50).map(|outer| outer * 4950)));
        // With one worker, which has to run the items of each inner call.
        let executor = Arc::new(executor(1));
        let inner = Arc::clone(&executor);
        let sums = (0..20_u64).ordered_map_in(&executor, move |outer| {
            (0..100).ordered_map_in(&inner, move |inner| inner * outer).sum::<u64>()
        });
        assert!(sums.eq((0..20).map(|outer| outer * 4950)));
        let sums = executor.scope(|scope| {
            let job = |outer| {
                let times = (0..100).ordered_map_scoped(scope, move |inner| inner * outer);
                times.sum::<u64>()
            };
            (0..20_u64).ordered_map_scoped(scope, job).collect::<Vec<_>>()
        });
        assert!(sums.into_iter().eq((0..20).map(|outer| outer * 4950)));
    });
}
