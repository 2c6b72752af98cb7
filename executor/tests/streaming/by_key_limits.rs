//! The limits of streams by key: time-outs, cancellation, shutdown, and handles that are dropped.

use std::convert::Infallible;
use std::num::NonZeroUsize;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{
    Latch, LiveCounter, Tracked, are_in_time, block_on, executor, kinds, with_enough_time,
    with_timeout,
};
use reorder_executor::{CancellationToken, Failure, Job, KeyedOutcome, OrderedByKey, Shutdown};

const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);

fn window(items: usize) -> NonZeroUsize {
    NonZeroUsize::new(items).unwrap()
}

/// Returns the indices, and a letter for the kind of each outcome, sorted by index.
fn sorted<U, E>(outcomes: impl IntoIterator<Item = KeyedOutcome<U, E>>) -> (Vec<u64>, String) {
    let mut outcomes: Vec<_> = outcomes.into_iter().collect();
    outcomes.sort_by_key(|it| it.index);
    let (indices, outcomes): (Vec<_>, Vec<_>) =
        outcomes.into_iter().map(|it| (it.index, it.outcome)).unzip();
    (indices, kinds(&outcomes))
}

#[test]
fn an_item_whose_time_is_up_fails_and_its_key_goes_on() {
    let expected = "....i...................................";
    let test = |time| {
        let (executor, latch) = (executor(2), Latch::default());
        let stuck = latch.clone();
        let batch = executor.batch(0..40_u64).item_timeout(time).timed();
        let batch = batch.ordered_by_key(|n| n % 4);
        let mut stream = batch
            .stream(move |n, _| {
                if n == 4 {
                    stuck.wait();
                }
                Ok::<_, Infallible>(n)
            })
            .unwrap();
        let mut outcomes: Vec<_> = stream.by_ref().take(39).collect();
        let late_results = stream.late_results();
        outcomes.extend(stream.by_ref());
        let of_key: Vec<u64> = outcomes.iter().map(|it| it.index).filter(|n| n % 4 == 0).collect();
        assert_eq!(of_key, (0..10).map(|n| n * 4).collect::<Vec<_>>());
        let (indices, kinds) = sorted(outcomes);
        assert_eq!(indices, (0..40).collect::<Vec<_>>());
        latch.open();
        if !are_in_time(&kinds, expected) {
            return false;
        }
        assert_eq!(late_results, 0);
        while stream.late_results() == 0 {
            thread::sleep(MS);
        }
        true
    };
    with_timeout(move || with_enough_time(test));
}

#[test]
fn the_time_of_an_item_ends_while_the_consumer_has_other_outcomes() {
    with_timeout(|| {
        let (executor, latch) = (executor(2), Latch::default());
        let stuck = latch.clone();
        let batch = executor.batch(0_u64..).item_timeout(10 * MS).window(window(64));
        let batch = batch.ordered_by_key(|n| (*n).min(1)).key_window(window(1));
        let stream = batch.stream(move |n, _| {
            if n == 0 {
                stuck.wait();
            }
            Ok::<_, Infallible>(n)
        });
        // The other key always has an outcome, so the consumer may never wait.
        let given_up = stream.unwrap().find(|it| it.index == 0).expect("the source is endless");
        assert!(matches!(given_up.outcome, Err(Failure::ItemDeadline(_))));
        latch.open();
    });
}

#[test]
fn an_item_that_was_given_up_counts_in_the_window_of_its_key_until_it_returns() {
    with_timeout(|| {
        let (executor, latch) = (executor(2), Latch::default());
        let (stuck, (entered, entries)) = (latch.clone(), mpsc::channel());
        let batch = executor.batch(0..3_u64).item_timeout(5 * MS);
        let batch = batch.ordered_by_key(|_| ()).key_window(window(1));
        let mut stream = batch
            .stream(move |n, _| {
                entered.send(n).unwrap();
                if n == 0 {
                    stuck.wait();
                }
                Ok::<_, Infallible>(n)
            })
            .unwrap();
        let first = stream.next().expect("three items");
        assert!(matches!(first.outcome, Err(Failure::ItemDeadline(_))));
        assert_eq!(entries.recv(), Ok(0));
        assert!(stream.next_timeout(20 * MS).is_err());
        assert!(entries.try_recv().is_err(), "the job of the first item runs");
        latch.open();
        let mut rest: Vec<u64> = stream.map(|it| it.index).collect();
        rest.sort_unstable();
        assert_eq!(rest, [1, 2]);
    });
}

/// Opens a stream of 7 items of key 0 or 1. Items 0 and 1 are stuck, item 2 waits for item 0, and
/// the others are parked.
fn half_stuck<'a>(
    batch: reorder_executor::BatchBuilder<'a, std::ops::Range<u64>>,
    latch: &Latch,
    live: &LiveCounter,
) -> OrderedByKey<'static, Tracked, &'static str> {
    let (stuck, live) = (latch.clone(), live.clone());
    let (entered, entries) = mpsc::channel();
    let batch = batch.window(window(7)).ordered_by_key(|n| n % 2).key_window(window(2));
    let job = move |n: u64, _: &Job<'_>| {
        entered.send(n).ok();
        if n < 2 {
            stuck.wait();
        }
        Ok(live.track(n))
    };
    let stream = batch.stream(job).unwrap();
    let mut started: Vec<u64> = entries.iter().take(4).collect();
    started.sort_unstable();
    assert_eq!(started, [0, 1, 2, 3]);
    while stream.progress().pulled() < 7 || stream.progress().finished() < 2 {
        thread::yield_now();
    }
    stream
}

#[test]
fn a_cancelled_stream_has_an_outcome_for_each_pulled_item_in_order_by_key() {
    with_timeout(|| {
        for kind in ["token", "deadline", "shutdown"] {
            let (executor, latch, live) = (executor(4), Latch::default(), LiveCounter::default());
            let token = CancellationToken::new();
            let mut batch = executor.batch(0..100).cancelled_by(&token);
            if kind == "deadline" {
                batch = batch.deadline(Instant::now() + 2000 * MS);
            }
            let stream = half_stuck(batch, &latch, &live);
            match kind {
                "token" => token.cancel(),
                "shutdown" => {
                    let report = executor.shutdown(Shutdown::Abort, Some(Duration::ZERO));
                    assert!(!report.is_complete(), "two jobs run");
                }
                _ => {}
            }
            let outcomes: Vec<_> = stream.collect();
            let indices: Vec<u64> = outcomes.iter().map(|it| it.index).collect();
            for key in 0..2 {
                let of_key = indices[..7].iter().filter(|&n| n % 2 == key);
                assert!(of_key.is_sorted(), "{kind}: {indices:?}");
            }
            let (indices, kinds) = sorted(outcomes);
            assert_eq!(indices, [0, 1, 2, 3, 4, 5, 6, 7], "{kind}");
            let letter = match kind {
                "token" => "c",
                "deadline" => "b",
                _ => "s",
            };
            let expected = format!("{0}{0}..{0}{0}{0}{0}", letter);
            assert_eq!(kinds, expected, "{kind}: items 2 and 3 have run");
            latch.open();
            live.wait_until_none_alive();
        }
    });
}

#[test]
fn a_failure_ends_a_stream_that_fails_fast() {
    with_timeout(|| {
        let (executor, latch) = (executor(2), Latch::default());
        let stuck = latch.clone();
        let batch = executor.batch(0..1000_u64).fail_fast().ordered_by_key(|n| n % 2);
        let stream = batch.stream(move |n, _| {
            if n == 0 {
                stuck.wait();
            }
            if n == 7 { Err("seven") } else { Ok(n) }
        });
        let outcomes: Vec<_> = stream.unwrap().collect();
        latch.open();
        let failed: Vec<_> = outcomes
            .iter()
            .filter(|it| matches!(it.outcome, Err(Failure::Failed { error: "seven", .. })))
            .map(|it| it.index)
            .collect();
        assert_eq!(failed, [7]);
        let (indices, kinds) = sorted(outcomes);
        assert_eq!(indices, (0..indices.len() as u64).collect::<Vec<_>>());
        assert!(kinds.starts_with('c') && kinds.ends_with('c') && kinds.len() < 1000, "{kinds}");
    });
}

#[test]
fn running_items_finish_and_parked_ones_fail_at_a_gentle_shutdown() {
    with_timeout(|| {
        let (executor, latch, live) = (executor(4), Latch::default(), LiveCounter::default());
        let stream = half_stuck(executor.batch(0..100), &latch, &live);
        let report = executor.shutdown(Shutdown::FinishRunning, Some(20 * MS));
        assert!(!report.is_complete(), "two jobs run");
        let consumer = thread::spawn(move || sorted(stream));
        latch.open();
        assert!(executor.shutdown(Shutdown::FinishRunning, None).is_complete());
        let (indices, kinds) = consumer.join().unwrap();
        assert_eq!((indices.len(), &*kinds), (8, "....ssss"));
        live.wait_until_none_alive();
    });
}

#[test]
fn a_dropped_or_forgotten_handle_stops_the_stream() {
    with_timeout(|| {
        for is_forgotten in [false, true] {
            let (executor, latch, live) = (executor(4), Latch::default(), LiveCounter::default());
            let stream = half_stuck(executor.batch(0..100), &latch, &live);
            assert_eq!(live.alive(), 2, "they wait for items 0 and 1");
            if is_forgotten {
                std::mem::forget(stream);
                latch.open();
                while live.alive() < 7 {
                    thread::yield_now();
                }
                assert_eq!(executor.map(0..100, |n| n + 1).len(), 100, "the workers are free");
                continue;
            }
            drop(stream);
            assert_eq!(live.alive(), 0);
            latch.open();
            live.wait_until_none_alive();
        }
    });
}

#[test]
fn a_source_that_panics_ends_the_stream() {
    with_timeout(|| {
        let executor = executor(2);
        let source = (0..10_u64).inspect(|n| assert!(*n < 5, "no more"));
        let batch = executor.batch(source).ordered_by_key(|n| n % 2);
        let outcomes = batch.stream(|n, _| Ok::<_, Infallible>(n)).unwrap();
        let (indices, kinds) = sorted(outcomes);
        assert_eq!((indices, &*kinds), ((0..6).collect(), ".....?"));
    });
}

#[test]
fn tasks_and_workers_and_callers_without_workers_consume() {
    with_timeout(|| {
        let square = |n: u64, _: &Job<'_>| Ok::<_, Infallible>(n * n);
        let batch = |executor: &reorder_executor::Executor| {
            let batch = executor.batch(0..500).window(window(20)).ordered_by_key(|n| n % 3);
            batch.key_window(window(1)).stream(square).unwrap()
        };
        let executor = executor(1);
        let mut stream = batch(&executor);
        let mut indices = Vec::new();
        while let Some(next) = block_on(stream.next_async()) {
            indices.push(next.index);
        }
        assert_eq!(indices.len(), 500);
        // The only worker consumes.
        let counts = executor.map(0..2, |_| batch(&executor).count());
        assert_eq!(counts, [500, 500]);
        let in_batch = executor.batch([()]).submit(|(), _| Ok::<_, ()>(()));
        assert!(in_batch.unwrap().wait().into_values().is_ok());
        let stream = batch(&executor);
        drop(executor);
        let (indices, kinds) = sorted(stream);
        assert_eq!(indices, (0..indices.len() as u64).collect::<Vec<_>>());
        assert!(kinds.ends_with('s'), "a failure stands for the items that were not pulled");
    });
}

#[test]
fn the_deadline_of_a_batch_ends_a_wait() {
    with_timeout(|| {
        let (executor, latch) = (executor(1), Latch::default());
        let stuck = latch.clone();
        let batch = executor.batch(0..3).deadline(Instant::now() + 10 * MS).item_timeout(HOUR);
        let stream = batch.ordered_by_key(|n| n % 2).stream(move |n: u64, _| {
            stuck.wait();
            Ok::<_, Infallible>(n)
        });
        let (indices, kinds) = sorted(stream.unwrap());
        assert_eq!((indices.len(), kinds.trim_matches('b')), (kinds.len(), ""));
        latch.open();
    });
}
