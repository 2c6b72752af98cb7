//! A shutdown that starts nothing more, and lets the jobs and attempts that run finish.
#![cfg(feature = "requests")]

mod common;
#[path = "common/futures.rs"]
mod futures;

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use common::{Latch, executor, kinds, with_timeout};
use futures::{HOUR, MS};
use reorder_executor::{AttemptOutcome, Failure, Retry, Shutdown};

#[test]
fn running_jobs_finish_and_no_other_starts() {
    with_timeout(|| {
        for is_stream in [false, true] {
            let executor = executor(2);
            let (latch, (entered, entries)) = (Latch::default(), mpsc::channel());
            let stuck = latch.clone();
            let job = move |n: u64, job: &reorder_executor::Job<'_>| {
                entered.send(()).unwrap();
                stuck.wait();
                assert!(!job.should_stop());
                Ok::<_, ()>(n)
            };
            let batch = executor.batch(0..6_u64);
            let consumer = if is_stream {
                let stream = batch.stream(job).unwrap();
                thread::spawn(move || stream.collect::<Vec<_>>())
            } else {
                let handle = batch.submit(job).unwrap();
                thread::spawn(move || handle.wait().into_outcomes())
            };
            entries.recv().unwrap();
            entries.recv().unwrap();
            let report = executor.shutdown(Shutdown::FinishRunning, Some(20 * MS));
            assert!(!report.is_complete(), "two jobs run");
            latch.open();
            assert!(executor.shutdown(Shutdown::FinishRunning, None).is_complete());
            let outcomes = consumer.join().unwrap();
            let expected = if is_stream { "..s" } else { "..ssss" };
            assert_eq!(kinds(&outcomes), expected);
            assert!(matches!(&outcomes[2], Err(Failure::ShutDown(item)) if !item.was_pulled()));
        }
    });
}

#[test]
fn attempts_on_their_way_finish_and_waiting_items_keep_their_errors() {
    with_timeout(|| {
        let (executor, runtime) = (executor(1), futures::runtime());
        let (go, gate) = tokio::sync::watch::channel(false);
        let (started, starts) = mpsc::channel();
        let retry = Retry::new().within(10 * HOUR).wait(HOUR, HOUR).without_jitter();
        let requests = executor.batch(0..3_u64).requests().retry(retry);
        let job = move |n: std::sync::Arc<u64>, _| {
            let (mut gate, started) = (gate.clone(), started.clone());
            async move {
                started.send(()).unwrap();
                if *n != 1 {
                    gate.wait_for(|&open| open).await.unwrap();
                }
                if *n == 0 {
                    AttemptOutcome::Done(*n)
                } else {
                    AttemptOutcome::Retry { error: "busy", after: None }
                }
            }
        };
        let handle = requests.submit_async(futures::spawner(&runtime), job).unwrap();
        (0..3).for_each(|_| starts.recv().unwrap());
        let consumer = thread::spawn(move || handle.wait().into_outcomes());
        assert!(!executor.shutdown(Shutdown::FinishRunning, Some(20 * MS)).is_complete());
        go.send(true).unwrap();
        assert!(executor.shutdown(Shutdown::FinishRunning, None).is_complete());
        let outcomes = consumer.join().unwrap();
        assert_eq!(kinds(&outcomes), ".ss");
        for outcome in &outcomes[1..] {
            assert_eq!(outcome.as_ref().unwrap_err().error(), Some(&"busy"));
        }
        // Nothing is left to end.
        assert!(executor.shutdown(Shutdown::Abort, Some(Duration::ZERO)).is_complete());
    });
}
