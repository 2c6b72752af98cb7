//! The executor under schedules that shuttle chooses: at random, and by probabilistic concurrency
//! testing (PCT). PCT finds bugs that need few thread switches at the right points.
//!
//! A call that never returns is a deadlock, and shuttle reports it with its schedule.
//! `ci/schedules.sh` runs these tests.
#![cfg(reorder_shuttle)]

mod by_key;
mod requests;

use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::Arc;

use reorder_executor::{CancellationToken, Executor, Failure, Shutdown};
use shuttle::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use shuttle::sync::{Condvar, Mutex};
use shuttle::thread;

/// The number of thread switches that PCT places: the most that a bug is expected to need.
const DEPTH: usize = 4;

fn explore(test: impl Fn() + Send + Sync + 'static) {
    let schedules = std::env::var("REORDER_SCHEDULES").ok();
    let schedules = schedules.map_or(300, |number| number.parse().expect("a number of schedules"));
    let test = Arc::new(test);
    let random = Arc::clone(&test);
    shuttle::check_random(move || random(), schedules);
    shuttle::check_pct(move || test(), schedules, DEPTH);
}

fn executor(workers: usize) -> Executor {
    Executor::builder().workers(workers).window(4).build().expect("shuttle's threads start")
}

/// A latch: threads wait at it until another thread opens it for good.
#[derive(Default)]
struct Latch {
    is_open: Mutex<bool>,
    changed: Condvar,
}

impl Latch {
    fn open(&self) {
        *self.is_open.lock().unwrap() = true;
        self.changed.notify_all();
    }

    fn wait(&self) {
        let mut is_open = self.is_open.lock().unwrap();
        while !*is_open {
            is_open = self.changed.wait(is_open).unwrap();
        }
    }
}

#[test]
fn callers_get_their_own_rows() {
    explore(|| {
        let executor = Arc::new(executor(2));
        let callers = [10, 20].map(|base| {
            let executor = Arc::clone(&executor);
            thread::spawn(move || executor.map(base..base + 4, |n| n + 1))
        });
        let rows = callers.map(|caller| caller.join().unwrap());
        assert_eq!(rows, [[11, 12, 13, 14], [21, 22, 23, 24]]);
    });
}

#[test]
fn nested_batches_with_one_worker() {
    explore(|| {
        let executor = executor(1);
        let sums = executor.map([1, 2], |n| executor.map([n, n], |m| m * 10).iter().sum::<i32>());
        assert_eq!(sums, [20, 40]);
    });
}

#[test]
fn stream_in_a_job_with_one_worker() {
    explore(|| {
        let executor = executor(1);
        let sums = executor.map([1, 2], |n| {
            executor.stream(0..3, move |m| m * n).map(Result::unwrap).sum::<i32>()
        });
        assert_eq!(sums, [3, 6]);
    });
}

#[test]
fn panics_are_outcomes() {
    explore(|| {
        let executor = executor(1);
        let report = executor.execute_batch(0..3, |n| if n == 1 { panic_any(n) } else { n });
        let failed: Vec<_> = report.into_iter().map(|outcome| outcome.ok()).collect();
        assert_eq!(failed, [Some(0), None, Some(2)]);
    });
}

#[test]
fn job_that_waits_for_an_older_stream() {
    explore(|| {
        let executor = Arc::new(executor(2));
        let latch = Arc::new(Latch::default());
        // Nothing polls the older stream while the newer one runs: the two items need two threads.
        let (opener, waiter) = (Arc::clone(&latch), Arc::clone(&latch));
        let mut older = executor.stream(0..1, move |n| {
            opener.open();
            n
        });
        let mut newer = executor.stream(0..1, move |n| {
            waiter.wait();
            n
        });
        assert_eq!(newer.next().unwrap().unwrap(), 0);
        assert_eq!(older.next().unwrap().unwrap(), 0);
    });
}

#[test]
fn stream_keeps_its_order() {
    explore(|| {
        let executor = executor(2);
        let delivered: Vec<_> = executor.stream(0..9, |n| n).map(Result::unwrap).collect();
        assert_eq!(delivered, (0..9).collect::<Vec<_>>());
    });
}

#[test]
fn stream_is_dropped_in_the_middle() {
    explore(|| {
        let executor = executor(1);
        let alive = Arc::new(());
        let counted = Arc::clone(&alive);
        let mut stream = executor.stream(0..9, move |n| (n, Arc::clone(&counted)));
        assert_eq!(stream.next().unwrap().unwrap().0, 0);
        drop(stream);
        drop(executor);
        assert_eq!(Arc::strong_count(&alive), 1, "a value of the stream was not dropped");
    });
}

#[test]
fn stream_outlives_its_executor() {
    explore(|| {
        let executor = executor(1);
        let stream = executor.stream(0..5, |n| n);
        let dropping = thread::spawn(move || drop(executor));
        let delivered: Vec<_> = stream.map(Result::unwrap).collect();
        assert_eq!(delivered, [0, 1, 2, 3, 4]);
        dropping.join().unwrap();
    });
}

#[test]
fn source_that_panics_ends_its_stream() {
    explore(|| {
        let executor = executor(2);
        let source = (0..4).inspect(|&n| {
            if n == 2 {
                panic_any(n)
            }
        });
        let outcomes: Vec<_> = executor.stream(source, |n| n).collect();
        let (last, before) = outcomes.split_last().unwrap();
        assert!(matches!(last, Err(Failure::SourcePanicked(_))), "{last:?}");
        assert!(before.iter().map(|outcome| outcome.as_ref().unwrap()).eq(&[0, 1]));
    });
}

#[test]
fn scope_waits_for_its_streams() {
    explore(|| {
        let executor = executor(1);
        let mut borrowed = vec![1, 2, 3];
        let ran = AtomicUsize::new(0);
        let unwound = catch_unwind(AssertUnwindSafe(|| {
            executor.scope(|scope| {
                let mut stream = scope.stream(borrowed.iter(), |n| {
                    ran.fetch_add(1, SeqCst);
                    n * 2
                });
                assert_eq!(stream.next().unwrap().unwrap(), 2);
                panic_any("the scope panics");
            })
        }));
        assert!(unwound.is_err());
        let after = ran.load(SeqCst);
        borrowed.clear();
        drop(executor);
        assert_eq!(ran.load(SeqCst), after, "a job ran after its scope");
    });
}

#[test]
fn submissions_race_a_shutdown() {
    for mode in [Shutdown::Drain, Shutdown::Abort] {
        explore(move || {
            let executor = Arc::new(executor(1));
            let submitters = [10, 20].map(|base| {
                let executor = Arc::clone(&executor);
                thread::spawn(move || {
                    let items = base..base + 3;
                    let submitted = executor.batch(items.clone()).submit(|n, _| Ok::<_, ()>(n));
                    (items, submitted)
                })
            });
            assert!(executor.shutdown(mode, None).is_complete());
            for submitter in submitters {
                let (items, submitted) = submitter.join().unwrap();
                let handle = match submitted {
                    Ok(handle) => handle,
                    Err(refused) => {
                        assert!(refused.into_inner().into_iter().eq(items));
                        continue;
                    }
                };
                assert!(mode == Shutdown::Abort || handle.is_finished());
                let outcomes = handle.wait().into_outcomes();
                assert_eq!(outcomes.len(), 3);
                for (outcome, n) in outcomes.into_iter().zip(items) {
                    match outcome {
                        Ok(value) => assert_eq!(value, n),
                        Err(Failure::ShutDown(_)) => assert_eq!(mode, Shutdown::Abort),
                        Err(failure) => panic!("{failure:?}"),
                    }
                }
            }
        });
    }
}

#[test]
fn shutdowns_race_each_other_and_a_consumer() {
    explore(|| {
        let executor = Arc::new(executor(1));
        let mut stream = executor.stream(0..6, |n| n);
        let shutdowns = [Shutdown::Drain, Shutdown::Abort].map(|mode| {
            let executor = Arc::clone(&executor);
            thread::spawn(move || assert!(executor.shutdown(mode, None).is_complete()))
        });
        // The consumer takes all outcomes, and does not ask for the end.
        assert!(stream.by_ref().take(6).map(Result::unwrap).eq(0..6));
        shutdowns.into_iter().for_each(|shutdown| shutdown.join().unwrap());
    });
}

#[test]
fn cancellation_wakes_the_consumer_of_a_blocked_job() {
    explore(|| {
        let (executor, token) = (executor(1), CancellationToken::new());
        let (may_end, started) = (Arc::new(Latch::default()), Arc::new(Latch::default()));
        let (job_may_end, job_started) = (Arc::clone(&may_end), Arc::clone(&started));
        let handle = executor.batch(0..3).cancelled_by(&token).submit(move |n, _| {
            if n == 1 {
                job_started.open();
                job_may_end.wait();
            }
            Ok::<_, ()>(n)
        });
        let canceller = thread::spawn(move || {
            started.wait();
            token.cancel();
        });
        let outcomes = handle.unwrap().wait().into_outcomes();
        // The others are cancelled, too, unless the consumer took their outcomes before. A spare
        // worker may have run the last one.
        assert!(matches!(outcomes[0], Ok(0) | Err(Failure::Cancelled(_))));
        assert!(matches!(outcomes[1], Err(Failure::Cancelled(_))));
        assert!(matches!(outcomes[2], Ok(2) | Err(Failure::Cancelled(_))));
        may_end.open();
        canceller.join().unwrap();
    });
}

#[test]
fn failures_and_panics_end_a_batch_that_fails_fast() {
    explore(|| {
        let executor = executor(2);
        let job = |n: usize, _: &reorder_executor::Job<'_>| match n {
            2 => Err("no"),
            3 => panic_any("no"),
            n => Ok(n),
        };
        let scoped = executor.batch(0..5).fail_fast().run(job).into_outcomes();
        let submitted =
            executor.batch(0..5).fail_fast().submit(job).unwrap().wait().into_outcomes();
        let streamed: Vec<_> = executor.batch(0..5).fail_fast().stream(job).unwrap().collect();
        assert_eq!((scoped.len(), submitted.len()), (5, 5));
        for outcomes in [scoped, submitted, streamed] {
            assert!(outcomes.len() <= 5 + 1);
            let mut failed = 0;
            for (n, outcome) in outcomes.into_iter().enumerate() {
                match outcome {
                    Ok(value) => assert_eq!(value, n),
                    Err(Failure::Failed { error: "no", .. }) => failed += usize::from(n == 2),
                    Err(Failure::Panicked(_)) => failed += usize::from(n == 3),
                    Err(Failure::Cancelled(_)) => {}
                    Err(failure) => panic!("{n}: {failure:?}"),
                }
            }
            assert!(failed >= 1, "the failure that ended the batch is missing");
        }
    });
}

#[test]
fn submitted_batch_is_dropped_in_the_middle() {
    explore(|| {
        let executor = executor(2);
        let alive = Arc::new(());
        let items: Vec<_> = (0..4).map(|_| Arc::clone(&alive)).collect();
        drop(executor.batch(items).submit(|item, _| Ok::<_, ()>(item)));
        assert_eq!(executor.map(0..3, |n| n), [0, 1, 2]);
        drop(executor);
        assert_eq!(Arc::strong_count(&alive), 1, "a value of the batch was not dropped");
    });
}

/// A source whose `size_hint` lets other threads run before it returns.
struct SlowHint(std::ops::Range<usize>);

impl Iterator for SlowHint {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        self.0.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0..3).for_each(|_| thread::yield_now());
        self.0.size_hint()
    }
}

#[test]
fn a_stream_with_a_window_of_one_continues_without_workers() {
    explore(|| {
        let executor = Executor::builder().workers(1).window(1).build().unwrap();
        let stream = executor.stream(SlowHint(0..3), |n| n);
        let stopping = thread::spawn(move || drop(executor));
        assert!(stream.map(Result::unwrap).eq(0..3));
        stopping.join().unwrap();
    });
}

/// Submits a batch from another thread when it is dropped, waits for it, and opens the latch.
struct WaitsForABatch(Arc<Executor>, Arc<Latch>);

impl Drop for WaitsForABatch {
    fn drop(&mut self) {
        let executor = Arc::clone(&self.0);
        let other = thread::spawn(move || {
            executor.batch(0..1).submit(|n, _| Ok::<_, ()>(n)).unwrap().wait()
        });
        assert_eq!(other.join().unwrap().outcomes().len(), 1);
        self.1.open();
    }
}

#[test]
fn the_drop_of_a_capture_may_wait_for_another_batch() {
    explore(|| {
        let (executor, latch) = (Arc::new(executor(2)), Arc::new(Latch::default()));
        let capture = WaitsForABatch(Arc::clone(&executor), Arc::clone(&latch));
        let stream = executor.stream(0..2, move |n| {
            _ = &capture;
            n
        });
        assert!(stream.map(Result::unwrap).eq(0..2));
        latch.wait();
    });
}
