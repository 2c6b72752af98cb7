//! Waiting until the last job of a call that was given up has ended.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::common::{Latch, executor, with_timeout};
use reorder_executor::CancellationToken;

const MS: Duration = Duration::from_millis(1);

#[test]
fn a_caller_can_wait_for_the_jobs_that_a_cancelled_call_left() {
    with_timeout(|| {
        let (token, executor) = (CancellationToken::new(), executor(2));
        let (latch, (entered, entries)) = (Latch::default(), mpsc::channel());
        let stuck = latch.clone();
        let batch = executor.batch(0..10).cancelled_by(&token);
        let submitted = batch.submit(move |n, _| {
            entered.send(()).unwrap();
            stuck.wait();
            Ok::<_, ()>(n)
        });
        let mut submitted = submitted.unwrap();
        entries.recv().unwrap();
        entries.recv().unwrap();
        token.cancel();
        assert!(!submitted.until_idle(Some(20 * MS)), "two jobs run");
        latch.open();
        assert!(submitted.until_idle(None));
        // All items have their outcomes, and no job touches anything any more.
        assert_eq!(submitted.wait().outcomes().len(), 10);
        assert!(entries.try_recv().is_err(), "no other job has started");
    });
}

#[test]
fn jobs_behind_a_deadline_are_waited_for() {
    with_timeout(|| {
        let executor = executor(1);
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
    });
}
