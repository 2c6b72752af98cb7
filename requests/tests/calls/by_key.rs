//! Requests whose outcomes are in order by key.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::thread;

use crate::common::{Latch, are_in_time, executor, kinds, with_enough_time, with_timeout};
use crate::futures::{HOUR, MS, runtime};
use reorder_executor::{CancellationToken, Failure, KeyedOutcome, Shutdown};
use reorder_requests::{Attempt, AttemptOutcome, RequestStats, RequestsExt, Retry};

fn window(items: usize) -> NonZeroUsize {
    NonZeroUsize::new(items).unwrap()
}

fn busy<U>() -> AttemptOutcome<U, &'static str> {
    AttemptOutcome::Retry { error: "busy", after: None }
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
fn an_item_that_waits_for_its_next_attempt_holds_back_its_own_key_only() {
    with_timeout(|| {
        let executor = executor(2);
        let token = CancellationToken::new();
        let retry = Retry::new().within(10 * HOUR).wait(HOUR, HOUR);
        let batch = executor.batch(0..60_u64).cancelled_by(&token).window(window(20));
        let requests = batch.requests().retry(retry).ordered_by_key(|n| n % 4);
        let job = |n: &u64, _: &Attempt| if *n == 4 { busy() } else { AttemptOutcome::Done(*n) };
        let mut stream = requests.stream(job).unwrap();
        let others: Vec<u64> = stream.by_ref().take(46).map(|it| it.index).collect();
        for key in 0..4 {
            let mut of_key = others.iter().filter(|&n| n % 4 == key);
            assert!(of_key.clone().is_sorted());
            assert!(key != 0 || of_key.all(|&n| n < 4), "item 4 waits");
        }
        token.cancel();
        let (indices, kinds) = sorted(stream);
        assert_eq!(indices[..14], (1..15).map(|n| n * 4).collect::<Vec<_>>());
        assert_eq!(kinds, "c.............", "the others of its key have run");
    });
}

#[test]
fn random_retries_keep_the_order_of_each_key_and_its_window() {
    with_timeout(|| {
        for key_window in [1, 2, usize::MAX] {
            let executor = executor(3);
            let running: Arc<Vec<AtomicUsize>> = Arc::new((0..5).map(|_| 0.into()).collect());
            let counts = Arc::clone(&running);
            let retry = Retry::new().within(HOUR).wait(MS / 10, MS);
            let requests = executor.batch(0..2000_u64).window(window(64)).requests().retry(retry);
            let requests = requests.ordered_by_key(|n| n % 5).key_window(window(key_window));
            let stream = requests.stream(move |&n, attempt| {
                let count = &counts[n as usize % 5];
                assert!(count.fetch_add(1, SeqCst) < key_window, "the window of key {}", n % 5);
                thread::yield_now();
                count.fetch_sub(1, SeqCst);
                let fails = (n * 7 + u64::from(attempt.number())) % 11 < 3;
                if fails { busy() } else { AttemptOutcome::Done(n) }
            });
            let mut last = HashMap::new();
            let mut count = 0;
            let mut stream = stream.unwrap();
            for next in stream.by_ref() {
                let value = next.outcome.expect("each item succeeds at last");
                assert_eq!(value, next.index);
                assert!(last.insert(value % 5, value).is_none_or(|before| before < value));
                count += 1;
            }
            assert_eq!(count, 2000);
            let stats: RequestStats = stream.stats().expect("they are requests");
            assert!(stats.capacity_retries > 0);
            assert_eq!(stats.attempts, 2000 + stats.capacity_retries);
        }
    });
}

#[test]
fn futures_are_aborted_when_their_time_is_up_and_their_key_goes_on() {
    let test = |time| {
        let (executor, runtime) = (executor(1), runtime());
        let batch = executor.batch(0..12_u64).item_timeout(time);
        let requests = batch.requests().ordered_by_key(|n| n % 3).key_window(window(1));
        let job = |n: Arc<u64>, _: Attempt| async move {
            if *n == 3 {
                std::future::pending::<()>().await;
            }
            if *n == 4 { busy() } else { AttemptOutcome::Done(*n) }
        };
        let spawner = runtime.handle().clone();
        let spawner = move |task| drop(spawner.spawn(task));
        let outcomes: Vec<_> = requests.stream_async(spawner, job).unwrap().collect();
        for key in 0..3 {
            assert!(outcomes.iter().map(|it| it.index).filter(|n| n % 3 == key).is_sorted());
        }
        let failure = outcomes.iter().find(|it| it.index == 4).unwrap();
        let Err(Failure::ItemDeadline(item)) = &failure.outcome else { panic!("{failure:?}") };
        // Without an error, no attempt has ended in time.
        let error = item.error().copied();
        assert!(matches!(error, None | Some("busy")), "{error:?}");
        are_in_time(&sorted(outcomes).1, "...ii.......") && error.is_some()
    };
    with_timeout(move || with_enough_time(test));
}

#[test]
fn a_stop_ends_running_waiting_and_parked_items() {
    with_timeout(|| {
        for is_gentle in [false, true] {
            let (executor, latch) = (executor(2), Latch::default());
            let (stuck, (entered, entries)) = (latch.clone(), mpsc::channel());
            let retry = Retry::new().within(10 * HOUR).wait(HOUR, HOUR);
            let batch = executor.batch(0..100_u64).window(window(8));
            let requests = batch.requests().retry(retry).ordered_by_key(|n| n % 2);
            let requests = requests.key_window(window(1));
            let job = move |&n: &u64, _: &Attempt| {
                entered.send(n).ok();
                if n == 0 {
                    stuck.wait();
                    return AttemptOutcome::Done(n);
                }
                busy()
            };
            // Item 0 runs, item 1 waits, and the others are parked.
            let stream = requests.stream(job).unwrap();
            let mut started = [entries.recv().unwrap(), entries.recv().unwrap()];
            started.sort_unstable();
            assert_eq!(started, [0, 1]);
            while stream.progress().pulled() < 8 {
                thread::yield_now();
            }
            let kind = if is_gentle { Shutdown::FinishRunning } else { Shutdown::Abort };
            let report = executor.shutdown(kind, Some(20 * MS));
            assert!(!report.is_complete());
            let consumer = thread::spawn(move || stream.collect::<Vec<_>>());
            if !is_gentle {
                let (_, kinds) = sorted(consumer.join().unwrap());
                assert_eq!(kinds, "sssssssss");
                latch.open();
                continue;
            }
            latch.open();
            let outcomes = consumer.join().unwrap();
            let waited = outcomes.iter().find(|it| it.index == 1).unwrap();
            let Err(Failure::ShutDown(item)) = &waited.outcome else { panic!("{waited:?}") };
            assert_eq!((item.attempts(), item.error()), (1, Some(&"busy")));
            assert_eq!(sorted(outcomes).1, ".ssssssss");
        }
    });
}

#[test]
fn a_panic_of_the_key_is_the_outcome_of_its_item() {
    with_timeout(|| {
        let executor = executor(2);
        let requests = executor.batch(0..9_u64).requests().ordered_by_key(|n| {
            assert!(n % 4 != 3, "no key");
            n % 2
        });
        let stream = requests.stream(|&n, _| AttemptOutcome::<_, ()>::Done(n)).unwrap();
        assert_eq!(sorted(stream).1, "...p...p.");
        let requests = executor.batch(0_u64..).requests().ordered_by_key(|n| n % 2);
        let stream = requests.stream(|&n, _| AttemptOutcome::<_, ()>::Done(n)).unwrap();
        assert_eq!(stream.take(100).count(), 100, "a dropped stream ends");
    });
}
