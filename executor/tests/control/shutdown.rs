//! Shutdown of an executor: drain and abort, during work, and racing other calls.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use crate::common::{Latch, LiveCounter, executor, kinds, with_timeout};
use reorder_executor::{CancellationToken, Executor, Failure, Shutdown};

/// A limit for waits that should end at once. It is never reached, however slow the machine.
const LONG: Option<Duration> = Some(Duration::from_secs(100));

#[test]
fn draining_runs_all_submitted_items() {
    with_timeout(|| {
        let executor = executor(2);
        // Batches of 1, 2, 4, ... 1024 items: a batch that fills its window has not ended.
        let len = |batch: usize| 1 << batch;
        let handles: Vec<_> = (0..11_usize)
            .map(|batch| executor.batch(0..len(batch)).submit(move |n, _| Ok::<_, ()>(n + batch)))
            .collect();
        let report = executor.shutdown(Shutdown::Drain, LONG);
        assert!(report.is_complete(), "{report:?}");
        assert_eq!((report.open_calls(), report.workers()), (0, 0));
        for (batch, handle) in handles.into_iter().enumerate() {
            let handle = handle.unwrap();
            assert!(handle.is_finished());
            let values = handle.wait().into_values().unwrap();
            assert!(values.into_iter().eq(batch..len(batch) + batch));
        }
    });
}

#[test]
fn draining_has_a_deadline_and_can_be_followed_by_an_abort() {
    with_timeout(|| {
        let (executor, latch) = (executor(1), Latch::default());
        let (runs, running) = mpsc::channel();
        let (job, stopped) = (latch.clone(), Arc::new(AtomicBool::new(false)));
        let should_stop = Arc::clone(&stopped);
        let handle = executor
            .batch(0..3)
            .submit(move |n, context| {
                runs.send(()).ok();
                job.wait();
                should_stop.store(context.should_stop(), SeqCst);
                Ok::<_, ()>(n)
            })
            .unwrap();
        running.recv().unwrap();
        let report = executor.shutdown(Shutdown::Drain, Some(Duration::from_millis(20)));
        assert!(!report.is_complete());
        assert_eq!((report.open_calls(), report.workers()), (1, 1));
        let report = executor.shutdown(Shutdown::Abort, Some(Duration::from_millis(20)));
        assert_eq!((report.open_calls(), report.workers()), (1, 1), "the job still runs");
        // The shutdown has waited for the job, so that the drop does not wait again.
        drop(executor);
        let outcomes = handle.wait().into_outcomes();
        assert_eq!(kinds(&outcomes), "sss");
        latch.open();
        while !stopped.load(SeqCst) {
            thread::yield_now();
        }
    });
}

#[test]
fn an_abort_ends_items_that_have_not_started() {
    with_timeout(|| {
        let (executor, latch) = (Arc::new(executor(1)), Latch::default());
        let (runs, running) = mpsc::channel();
        let job = {
            let latch = latch.clone();
            move |n: usize| {
                runs.send(n).ok();
                latch.wait();
                n
            }
        };
        let stream = executor.batch(0..).stream({
            let job = job.clone();
            move |n, _| Ok::<_, ()>(job(n))
        });
        assert_eq!(running.recv(), Ok(0));
        let scoped = thread::spawn({
            let executor = Arc::clone(&executor);
            move || executor.batch(100..200).run(move |n, _| Ok::<_, ()>(job(n)))
        });
        assert_eq!(running.recv(), Ok(100), "the caller's thread runs the first item");
        let opener = {
            let latch = latch.clone();
            thread::spawn(move || {
                thread::sleep(Duration::from_millis(20));
                latch.open();
            })
        };
        let report = executor.shutdown(Shutdown::Abort, LONG);
        assert!(report.is_complete(), "{report:?}");
        opener.join().unwrap();
        let scoped = scoped.join().unwrap().into_outcomes();
        assert_eq!(scoped.len(), 100);
        assert!(matches!(scoped[0], Ok(100)), "the first item had started");
        assert!(matches!(scoped[99], Err(Failure::ShutDown(_))));
        let streamed: Vec<_> = stream.unwrap().collect();
        assert!(
            streamed.iter().all(|outcome| matches!(outcome, Ok(0) | Err(Failure::ShutDown(_))))
        );
        assert!(
            matches!(streamed.last(), Some(Err(Failure::ShutDown(_)))),
            "the end is not reported"
        );
    });
}

#[test]
fn callers_run_calls_without_limits_after_a_shutdown() {
    with_timeout(|| {
        let executor = executor(2);
        let mut before = executor.stream(0..1000, |n| n);
        assert_eq!(before.next().unwrap().unwrap(), 0);
        let report = executor.shutdown(Shutdown::Abort, LONG);
        assert!(report.is_complete());
        assert_eq!(report.open_calls(), 1, "the window of the stream is full");
        assert!(before.map(Result::unwrap).eq(1..1000));
        assert!(executor.map(0..1000, |n| n).into_iter().eq(0..1000));
        assert!(executor.stream(0..1000, |n| n).map(Result::unwrap).eq(0..1000));
        let scoped =
            executor.scope(|scope| scope.stream(0..1000, |n| n).filter(Result::is_ok).count());
        assert_eq!(scoped, 1000);
        assert!(executor.batch(0..1).stream(|n, _| Ok::<_, ()>(n)).is_err());
    });
}

#[test]
fn a_shutdown_races_submissions() {
    with_timeout(|| {
        for round in 0..200 {
            let (executor, live) = (executor(2), LiveCounter::default());
            let (ran, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
            thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| {
                        let mut was_refused = false;
                        while !was_refused {
                            let items: Vec<_> = (0..5).map(|n| live.track(n)).collect();
                            match executor.batch(items).submit(|item, _| Ok::<_, ()>(item)) {
                                Ok(handle) => {
                                    ran.fetch_add(1, SeqCst);
                                    let outcomes = handle.wait().into_outcomes();
                                    assert_eq!(outcomes.len(), 5);
                                    for (outcome, index) in outcomes.into_iter().zip(0..) {
                                        match outcome {
                                            Ok(item) => assert_eq!(item.value, index),
                                            Err(Failure::ShutDown(_)) if round % 2 == 1 => {}
                                            Err(failure) => panic!("{failure:?}"),
                                        }
                                    }
                                }
                                Err(back) => {
                                    refused.fetch_add(1, SeqCst);
                                    assert_eq!(back.into_inner().len(), 5);
                                    was_refused = true;
                                }
                            }
                        }
                    });
                }
                while ran.load(SeqCst) < 3 {
                    thread::yield_now();
                }
                let mode = [Shutdown::Drain, Shutdown::Abort][round % 2];
                let report = executor.shutdown(mode, LONG);
                assert!(report.is_complete(), "{report:?}");
            });
            assert_eq!(refused.load(SeqCst), 3);
            live.wait_until_none_alive();
        }
    });
}

#[test]
fn a_job_that_shuts_its_executor_down_does_not_wait_for_itself() {
    with_timeout(|| {
        for mode in [Shutdown::Drain, Shutdown::Abort] {
            let executor = Arc::new(executor(1));
            let inner = Arc::clone(&executor);
            // The outcome of the job may have been given up when it returns.
            let (report, first) = mpsc::channel();
            let handle = executor.batch(0..2).submit(move |_, _| {
                report.send(inner.shutdown(mode, None)).ok();
                Ok::<_, ()>(())
            });
            assert_eq!(handle.unwrap().wait().outcomes().len(), 2);
            let first = first.recv().unwrap();
            assert!(!first.is_complete());
            assert_eq!(first.workers(), 1);
            let again = executor.shutdown(mode, LONG);
            assert!(again.is_complete(), "{again:?}");
            // The jobs of a `map` shut down, too, some of them on the thread of their caller.
            let executor = self::executor(1);
            let reports = executor.map(0..100, |_| {
                thread::sleep(Duration::from_millis(1));
                executor.shutdown(mode, None)
            });
            assert_eq!(reports.len(), 100);
        }
    });
}

#[test]
fn shutdowns_may_run_at_once_and_be_repeated() {
    with_timeout(|| {
        let executor = executor(2);
        let handle = executor.batch(0..1000).submit(|n, _| Ok::<_, ()>(n)).unwrap();
        thread::scope(|scope| {
            for mode in [Shutdown::Drain, Shutdown::Abort, Shutdown::Drain] {
                let executor = &executor;
                scope.spawn(move || assert!(executor.shutdown(mode, None).is_complete()));
            }
        });
        assert_eq!(handle.wait().into_outcomes().len(), 1000);
        assert!(executor.shutdown(Shutdown::Drain, None).is_complete());
    });
}

#[test]
fn a_drain_waits_until_its_timeout_for_a_stream_without_a_consumer() {
    with_timeout(|| {
        let executor = Executor::builder().workers(1).window(4).build().unwrap();
        let stream = executor.stream(0.., |n: u64| n);
        let report = executor.shutdown(Shutdown::Drain, Some(Duration::from_millis(10)));
        assert_eq!((report.open_calls(), report.workers()), (1, 1));
        drop(stream);
        assert!(executor.shutdown(Shutdown::Drain, LONG).is_complete());
    });
}

#[test]
fn a_stream_whose_consumer_runs_the_last_item_ends_a_drain() {
    with_timeout(|| {
        for _ in 0..200 {
            let executor = Executor::builder().workers(1).window(4).build().unwrap();
            let mut stream = executor.stream(0..50, |n| n);
            thread::scope(|scope| {
                scope.spawn(|| assert!(executor.shutdown(Shutdown::Drain, LONG).is_complete()));
                // The consumer takes all outcomes, and does not ask for the end.
                assert_eq!(stream.by_ref().take(50).filter(Result::is_ok).count(), 50);
            });
        }
    });
}

#[test]
fn a_drain_ends_though_a_cancelled_batch_has_no_consumer() {
    with_timeout(|| {
        let (executor, token, latch) = (executor(1), CancellationToken::new(), Latch::default());
        let inside = latch.clone();
        let (runs, running) = mpsc::channel();
        let batch = executor.batch(0..100).cancelled_by(&token);
        let handle = batch.submit(move |n, _| {
            runs.send(()).ok();
            inside.wait();
            Ok::<_, ()>(n)
        });
        running.recv().unwrap();
        token.cancel();
        latch.open();
        assert!(executor.shutdown(Shutdown::Drain, None).is_complete());
        let outcomes = handle.unwrap().wait().into_outcomes();
        assert_eq!(outcomes.len(), 100);
        assert!(matches!(outcomes[99], Err(Failure::Cancelled(_))));
    });
}

#[test]
fn a_drain_does_not_wait_for_a_scope_whose_streams_have_ended() {
    with_timeout(|| {
        let executor = executor(1);
        executor.scope(|scope| {
            assert_eq!(scope.stream(0..3, |n| n).flatten().count(), 3);
            assert!(executor.shutdown(Shutdown::Drain, LONG).is_complete());
        });
    });
}
