//! Requests whose jobs are futures: cancellation, deadlines, failures and shutdown drop the futures
//! that are not ready.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Instant;

use crate::common::{LiveCounter, are_in_time, executor, kinds, with_enough_time, with_timeout};
use crate::futures::{HOUR, MS, endless, requests, runtime, spawner};
use reorder_executor::{CancellationToken, Failure, Shutdown};
use reorder_requests::{AttemptOutcome, RequestsExt, Retry};

#[test]
fn drop_and_cancellation_end_the_futures() {
    with_timeout(|| {
        let (executor, runtime) = (executor(2), runtime());
        for cancel in [false, true] {
            let live = LiveCounter::default();
            let token = CancellationToken::new();
            let (started, all) = mpsc::channel();
            let futures = live.clone();
            let batch = executor.batch(0..50).cancelled_by(&token).requests();
            let handle = batch.submit_async(spawner(&runtime), move |_, _| {
                started.send(()).ok();
                endless(&futures)
            });
            (0..50).for_each(|_| all.recv().unwrap());
            if cancel {
                // The futures end before the batch is waited for.
                token.cancel();
                live.wait_until_none_alive();
                assert_eq!(kinds(handle.unwrap().wait().outcomes()), "c".repeat(50));
            } else {
                drop(handle);
                live.wait_until_none_alive();
            }
        }
    });
}

#[test]
fn a_shutdown_ends_the_futures() {
    with_timeout(|| {
        let (executor, runtime) = (executor(2), runtime());
        let live = LiveCounter::default();
        let (started, all) = mpsc::channel();
        let futures = live.clone();
        let batch = executor.batch(0..20).requests();
        let handle = batch.submit_async(spawner(&runtime), move |_, _| {
            started.send(()).ok();
            endless(&futures)
        });
        (0..20).for_each(|_| all.recv().unwrap());
        assert!(executor.shutdown(Shutdown::Abort, Some(HOUR)).is_complete());
        live.wait_until_none_alive();
        assert_eq!(kinds(handle.unwrap().wait().outcomes()), "s".repeat(20));
    });
}

#[test]
fn an_item_timeout_ends_the_future_of_that_item_only() {
    let test = |time| {
        let (executor, runtime) = (executor(1), runtime());
        let live = LiveCounter::default();
        let futures = live.clone();
        let batch = executor.batch(0..5_u64).item_timeout(time).requests();
        let handle = batch.submit_async(spawner(&runtime), move |n, _| {
            let stuck = (*n == 2).then(|| endless(&futures));
            async move {
                match stuck {
                    Some(stuck) => stuck.await,
                    None => AttemptOutcome::Done(*n),
                }
            }
        });
        let kinds = kinds(handle.unwrap().wait().outcomes());
        live.wait_until_none_alive();
        are_in_time(&kinds, "..i..")
    };
    with_timeout(move || with_enough_time(test));
}

#[test]
fn fail_fast_ends_running_futures_and_waiting_items() {
    with_timeout(|| {
        let (executor, runtime) = (executor(1), runtime());
        let live = LiveCounter::default();
        let futures = live.clone();
        let batch = executor.batch(0..30).fail_fast().requests();
        let batch = batch.retry(Retry::new().within(10 * HOUR));
        let handle = batch.submit_async(spawner(&runtime), move |n, _| {
            let stuck = (*n % 2 == 0).then(|| endless(&futures));
            async move {
                match stuck {
                    Some(stuck) => stuck.await,
                    None if *n == 29 => AttemptOutcome::Failed(()),
                    None => AttemptOutcome::Retry { error: (), after: Some(HOUR) },
                }
            }
        });
        let report = handle.unwrap().wait();
        assert_eq!(kinds(report.outcomes()), "c".repeat(29) + "f");
        live.wait_until_none_alive();
    });
}

#[test]
fn a_future_that_is_made_after_the_timeout_of_its_item_ends() {
    with_timeout(|| {
        let (executor, runtime) = (executor(1), runtime());
        let live = LiveCounter::default();
        let futures = live.clone();
        let batch = executor.batch(0..2).item_timeout(5 * MS).requests();
        let batch = batch.concurrency(NonZeroUsize::new(1).unwrap());
        let handle = batch.submit_async(spawner(&runtime), move |_, _| {
            // The item is given up before its future exists.
            thread::sleep(20 * MS);
            endless(&futures)
        });
        assert_eq!(kinds(handle.unwrap().wait().outcomes()), "ii");
        live.wait_until_none_alive();
    });
}

#[test]
fn failures_and_deadlines_end_futures_without_a_consumer() {
    with_timeout(|| {
        for fails in [true, false] {
            let (executor, runtime) = (executor(1), runtime());
            let live = LiveCounter::default();
            let futures = live.clone();
            let batch = executor.batch(0..5);
            let batch = match fails {
                true => batch.fail_fast(),
                false => batch.deadline(Instant::now() + 20 * MS),
            };
            let handle = batch.requests().submit_async(spawner(&runtime), move |n, _| {
                let stuck = (!fails || *n < 4).then(|| endless(&futures));
                async move {
                    match stuck {
                        Some(stuck) => stuck.await,
                        None => AttemptOutcome::Failed(()),
                    }
                }
            });
            assert!(executor.shutdown(Shutdown::Drain, Some(HOUR)).is_complete());
            live.wait_until_none_alive();
            let expected = if fails { "ccccf" } else { "bbbbb" };
            assert_eq!(kinds(handle.unwrap().wait().outcomes()), expected);
        }
    });
}

#[test]
fn a_future_that_shuts_down_and_drops_its_executor_does_not_wait_for_itself() {
    with_timeout(|| {
        let (executor, runtime) = (Arc::new(executor(1)), runtime());
        let own = Mutex::new(Some(Arc::clone(&executor)));
        let handle =
            executor.batch([()]).requests().submit_async(spawner(&runtime), move |_, _| {
                let own = own.lock().unwrap().take().unwrap();
                async move {
                    let report = own.shutdown(Shutdown::Drain, None);
                    AttemptOutcome::<_, ()>::Done(report.is_complete())
                }
            });
        drop(executor);
        let outcome = handle.unwrap().wait().into_outcomes().remove(0);
        assert!(matches!(outcome, Ok(false) | Err(Failure::ShutDown(_))), "{outcome:?}");
    });
}

#[test]
fn a_drain_waits_for_the_futures() {
    with_timeout(|| {
        let (executor, runtime) = (executor(1), runtime());
        let handle = requests(&executor, 0..20_u32)
            .submit_async(spawner(&runtime), |n, attempt| async move {
                tokio::time::sleep(MS).await;
                match attempt.number() {
                    1 => AttemptOutcome::Retry { error: (), after: None },
                    _ => AttemptOutcome::Done(*n),
                }
            })
            .unwrap();
        assert!(executor.shutdown(Shutdown::Drain, Some(HOUR)).is_complete());
        assert!(handle.is_finished());
        assert!(handle.wait().into_values().unwrap().into_iter().eq(0..20));
    });
}
