//! A shutdown that starts no attempt more, and lets the attempts that run finish.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::common::{Latch, LiveCounter, executor, kinds, with_timeout};
use crate::futures::{HOUR, MS, endless, runtime, spawner};
use reorder_executor::Shutdown;
use reorder_requests::{AttemptOutcome, RequestsExt, Retry};

#[test]
fn attempts_on_their_way_finish_and_waiting_items_keep_their_errors() {
    with_timeout(|| {
        let (executor, runtime) = (executor(1), runtime());
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
        let handle = requests.submit_async(spawner(&runtime), job).unwrap();
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

#[test]
fn a_consumer_that_waits_ends_the_attempts_that_take_too_long() {
    with_timeout(|| {
        let runtime = runtime();
        for round in 0..50 {
            let (executor, started) = (executor(1), Latch::default());
            let (opens, live) = (started.clone(), LiveCounter::default());
            let futures = live.clone();
            let retry = Retry::new().within(10 * HOUR).wait(MS, MS).attempt_timeout(5 * MS);
            let batch = executor.batch([()]).requests().retry(retry);
            let outcomes = batch.stream_async(spawner(&runtime), move |_, _| {
                opens.open();
                endless(&futures)
            });
            // The workers end while the consumer waits. From then on, it keeps the time-outs.
            let consumer = thread::spawn(|| outcomes.unwrap().collect::<Vec<_>>());
            started.wait();
            thread::sleep(MS / 10 * (round % 10));
            assert!(executor.shutdown(Shutdown::FinishRunning, Some(HOUR)).is_complete());
            assert_eq!(kinds(&consumer.join().unwrap()), "s", "round {round}");
            live.wait_until_none_alive();
        }
    });
}

#[test]
fn an_item_that_is_pulled_when_the_batch_closes_gets_its_outcome() {
    with_timeout(|| {
        for round in 0..500 {
            let executor = executor(2);
            let batch = executor.batch(0_u64..).requests();
            let stream = batch.stream(|&n, _| AttemptOutcome::<_, ()>::Done(n)).unwrap();
            let consumer = thread::spawn(|| stream.filter(Result::is_err).collect::<Vec<_>>());
            thread::sleep(MS / 20 * (round % 10));
            assert!(executor.shutdown(Shutdown::FinishRunning, Some(HOUR)).is_complete());
            // The consumer would wait for ever for a position without an outcome.
            let failures = consumer.join().unwrap();
            assert!(kinds(&failures).bytes().all(|kind| kind == b's'), "round {round}");
        }
    });
}
