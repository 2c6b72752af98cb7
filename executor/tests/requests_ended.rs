//! Requests that are futures, and what ends them before they are ready.

mod common;
#[path = "common/futures.rs"]
mod futures;

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Instant;

use common::{Census, executor, kinds, without_hanging};
use futures::{HOUR, MS, endless, requests, runtime, spawner};
use reorder_executor::{AttemptOutcome, CancellationToken, Failure, Retry, Shutdown};

#[test]
fn dropping_and_cancelling_end_the_futures() {
    without_hanging(|| {
        let (executor, runtime) = (executor(2), runtime());
        for cancel in [false, true] {
            let census = Census::default();
            let token = CancellationToken::new();
            let (started, all) = mpsc::channel();
            let futures = census.clone();
            let batch = executor.batch(0..50).cancelled_by(&token).requests();
            let handle = batch.submit_async(spawner(&runtime), move |_, _| {
                started.send(()).ok();
                endless(&futures)
            });
            (0..50).for_each(|_| all.recv().unwrap());
            if cancel {
                // Also if nobody waits for the batch.
                token.cancel();
                census.wait_for_none();
                assert_eq!(kinds(handle.unwrap().wait().outcomes()), "c".repeat(50));
            } else {
                drop(handle);
                census.wait_for_none();
            }
        }
    });
}

#[test]
fn a_shutdown_ends_the_futures() {
    without_hanging(|| {
        let (executor, runtime) = (executor(2), runtime());
        let census = Census::default();
        let (started, all) = mpsc::channel();
        let futures = census.clone();
        let batch = executor.batch(0..20).requests();
        let handle = batch.submit_async(spawner(&runtime), move |_, _| {
            started.send(()).ok();
            endless(&futures)
        });
        (0..20).for_each(|_| all.recv().unwrap());
        assert!(executor.shutdown(Shutdown::Abort, Some(HOUR)).is_complete());
        census.wait_for_none();
        assert_eq!(kinds(handle.unwrap().wait().outcomes()), "s".repeat(20));
    });
}

#[test]
fn a_deadline_ends_the_future_of_its_item_alone() {
    without_hanging(|| {
        let (executor, runtime) = (executor(1), runtime());
        let census = Census::default();
        let futures = census.clone();
        let batch = executor.batch(0..5_u64).item_timeout(10 * MS).requests();
        let handle = batch.submit_async(spawner(&runtime), move |n, _| {
            let stuck = (*n == 2).then(|| endless(&futures));
            async move {
                match stuck {
                    Some(stuck) => stuck.await,
                    None => AttemptOutcome::Done(*n),
                }
            }
        });
        assert_eq!(kinds(handle.unwrap().wait().outcomes()), "..i..");
        census.wait_for_none();
    });
}

#[test]
fn fail_fast_ends_those_that_run_and_those_that_wait() {
    without_hanging(|| {
        let (executor, runtime) = (executor(1), runtime());
        let census = Census::default();
        let futures = census.clone();
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
        census.wait_for_none();
    });
}

#[test]
fn a_future_that_is_late_to_start_ends_with_its_item() {
    without_hanging(|| {
        let (executor, runtime) = (executor(1), runtime());
        let census = Census::default();
        let futures = census.clone();
        let batch = executor.batch(0..2).item_timeout(5 * MS).requests();
        let batch = batch.concurrency(NonZeroUsize::new(1).unwrap());
        let handle = batch.submit_async(spawner(&runtime), move |_, _| {
            // Given up before there is a future that could be ended.
            thread::sleep(20 * MS);
            endless(&futures)
        });
        assert_eq!(kinds(handle.unwrap().wait().outcomes()), "ii");
        census.wait_for_none();
    });
}

#[test]
fn failures_and_deadlines_end_futures_though_nobody_looks() {
    without_hanging(|| {
        for fails in [true, false] {
            let (executor, runtime) = (executor(1), runtime());
            let census = Census::default();
            let futures = census.clone();
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
            census.wait_for_none();
            let expected = if fails { "ccccf" } else { "bbbbb" };
            assert_eq!(kinds(handle.unwrap().wait().outcomes()), expected);
        }
    });
}

#[test]
fn a_future_that_shuts_its_executor_down_or_drops_it_does_not_wait_for_itself() {
    without_hanging(|| {
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
        assert!(matches!(outcome, Ok(false) | Err(Failure::ShutDown)), "{outcome:?}");
    });
}

#[test]
fn a_drain_waits_for_the_futures() {
    without_hanging(|| {
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
