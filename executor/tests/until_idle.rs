//! Waiting until the last job of a call that was given up has ended.
#![cfg(feature = "requests")]

mod common;
#[path = "common/futures.rs"]
mod futures;

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use common::{Latch, executor, with_timeout};
use futures::MS;
use reorder_executor::{AttemptOutcome, CancellationToken};

#[test]
fn a_caller_can_wait_for_the_jobs_that_a_cancelled_call_left() {
    with_timeout(|| {
        let (token, executor) = (CancellationToken::new(), executor(2));
        let (latch, (entered, entries)) = (Latch::default(), mpsc::channel());
        let batch = || executor.batch(0..10).cancelled_by(&token);
        let job = |latch: &Latch, entered: &mpsc::Sender<()>| {
            let (latch, entered) = (latch.clone(), entered.clone());
            move || {
                entered.send(()).unwrap();
                latch.wait();
            }
        };
        let run = job(&latch, &entered);
        let mut submitted = batch().submit(move |n, _| Ok::<_, ()>((run(), n))).unwrap();
        entries.recv().unwrap();
        entries.recv().unwrap();
        let run = job(&latch, &entered);
        let requests = batch().requests();
        let mut requests =
            requests.submit(move |&n, _| AttemptOutcome::<_, ()>::Done((run(), n))).unwrap();
        token.cancel();
        assert!(!submitted.until_idle(Some(20 * MS)), "two jobs run");
        assert!(requests.until_idle(None), "no attempt has started");
        latch.open();
        assert!(submitted.until_idle(None));
        // Both have their outcomes, and no job touches anything any more.
        assert_eq!(submitted.wait().outcomes().len(), 10);
        assert_eq!(requests.wait().outcomes().len(), 10);
        assert!(entries.try_recv().is_err(), "no other job has started");
    });
}

#[test]
fn jobs_behind_a_deadline_and_futures_are_waited_for() {
    with_timeout(|| {
        let (executor, runtime) = (executor(1), futures::runtime());
        let (latch, (entered, entries)) = (Latch::default(), mpsc::channel());
        let stuck = latch.clone();
        let batch = executor.batch(0..).deadline(Instant::now() + 2000 * MS);
        let mut stream = batch
            .stream(move |n: u64, _| {
                entered.send(()).ok();
                stuck.wait();
                Ok::<_, ()>(n)
            })
            .unwrap();
        entries.recv().unwrap();
        assert!(stream.all(|outcome| outcome.is_err()));
        assert!(!stream.until_idle(Some(Duration::ZERO)), "the job still runs");
        latch.open();
        assert!(stream.until_idle(None));

        // A future that was aborted is over when its runtime has dropped it.
        let live = common::LiveCounter::default();
        let (token, counted) = (CancellationToken::new(), live.clone());
        let requests = executor.batch(0..3).cancelled_by(&token).requests();
        let job = move |_, _| futures::endless(&counted);
        let mut handle = requests.submit_async(futures::spawner(&runtime), job).unwrap();
        while live.alive() < 3 {
            thread::yield_now();
        }
        assert!(!handle.until_idle(Some(10 * MS)));
        token.cancel();
        assert!(handle.until_idle(None));
        assert_eq!(live.alive(), 0);
    });
}
