//! Batches that end early, and items that take too long.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{Latch, are_in_time, executor, kinds, with_enough_time, with_timeout};
use reorder_executor::{CancellationToken, Failure, Job};

#[test]
fn a_failure_is_reported_at_its_input_index() {
    let report = executor(2).batch(0..1000).run(|n, _| if n == 617 { Err("617") } else { Ok(n) });
    let failed: Vec<_> =
        report.outcomes().iter().enumerate().filter(|(_, outcome)| outcome.is_err()).collect();
    let [(617, Err(Failure::Failed { error: "617", .. }))] = failed[..] else {
        panic!("{failed:?}")
    };
    let first = report.into_values().unwrap_err();
    assert!(matches!((first.index, first.failure), (617, Failure::Failed { error: "617", .. })));
}

/// Blocks until the batch has ended, by a failure or a limit.
fn wait_until_stopped(job: &Job<'_>) {
    while !job.should_stop() {
        thread::yield_now();
    }
}

#[test]
fn fail_fast_returns_the_completed_items_and_starts_no_more() {
    with_timeout(|| {
        let started = AtomicUsize::new(0);
        let report = executor(2).batch(0..10_000).fail_fast().run(|n, job| {
            started.fetch_add(1, SeqCst);
            match n {
                20 => return Err("the failure"),
                21.. => wait_until_stopped(job),
                _ => {}
            }
            Ok(n)
        });
        let started = started.into_inner();
        // The items up to the failing item, and one on each other thread.
        assert!(started <= 23, "{started} items were started");
        let mut ran = 0;
        for (index, outcome) in report.into_iter().enumerate() {
            ran += usize::from(!matches!(outcome, Err(Failure::Cancelled(_))));
            match outcome {
                Ok(value) => assert_eq!(value, index as i32),
                Err(Failure::Failed { .. }) => assert_eq!(index, 20),
                Err(Failure::Cancelled(_)) => {}
                Err(failure) => panic!("{index}: {failure}"),
            }
        }
        assert_eq!(ran, started, "each started item has an outcome of its own");
    });
}

#[test]
fn a_panic_fails_fast_too() {
    with_timeout(|| {
        let report = executor(1).batch(0..1000).fail_fast().run(|n, job| {
            if n == 0 {
                resume_unwind(Box::new("the first"));
            }
            wait_until_stopped(job);
            Ok::<_, ()>(n)
        });
        let outcomes = report.outcomes();
        assert!(
            matches!(&outcomes[0], Err(Failure::Panicked(panic)) if panic.message() == "the first")
        );
        let cancelled =
            outcomes.iter().filter(|outcome| matches!(outcome, Err(Failure::Cancelled(_))));
        // The other thread may have started one item.
        assert!((998..=999).contains(&cancelled.count()));
    });
}

#[test]
fn without_fail_fast_all_items_run() {
    let report = executor(2).batch(0..100).run(|n, _| if n % 2 == 0 { Err(n) } else { Ok(n) });
    assert_eq!((report.late_results(), report.outcomes().len()), (0, 100));
    for (index, outcome) in report.into_iter().enumerate() {
        match outcome {
            Ok(n) => assert_eq!((n, n % 2), (index, 1)),
            Err(Failure::Failed { error: n, .. }) => assert_eq!((n, n % 2), (index, 0)),
            Err(failure) => panic!("{failure}"),
        }
    }
}

/// Every job waits until the token is cancelled.
#[test]
fn cancellation_ends_a_batch_whose_jobs_all_wait() {
    with_timeout(|| {
        let (executor, token) = (executor(2), CancellationToken::new());
        let (runs, running) = mpsc::channel();
        let report = thread::scope(|scope| {
            let canceller = token.clone();
            scope.spawn(move || {
                running.recv().unwrap();
                canceller.cancel();
            });
            executor.batch(0..1000).cancelled_by(&token).run(|n, job| {
                runs.send(()).ok();
                while !job.should_stop() {
                    thread::sleep(Duration::from_micros(100));
                }
                Ok::<_, ()>(n)
            })
        });
        let finished = report.outcomes().iter().filter(|outcome| outcome.is_ok()).count();
        assert!((1..=3).contains(&finished), "{finished} items ran: not 1 to 3, one per thread");
        assert!(
            report
                .outcomes()
                .iter()
                .all(|outcome| matches!(outcome, Ok(_) | Err(Failure::Cancelled(_))))
        );
    });
}

#[test]
fn a_batch_that_is_cancelled_before_it_starts_runs_no_job_and_drops_its_items() {
    let (token, item) = (CancellationToken::new(), Arc::new(()));
    token.cancel();
    let items = (0..100).map(|_| Arc::clone(&item));
    let report = executor(2)
        .batch(items)
        .cancelled_by(&token)
        .run(|_, _| -> Result<(), ()> { unreachable!() });
    assert_eq!(report.outcomes().len(), 100);
    assert!(report.into_iter().all(|outcome| matches!(outcome, Err(Failure::Cancelled(_)))));
    assert_eq!(Arc::strong_count(&item), 1);
}

/// The deadline passes while an item runs. The result of the item is dropped and counted, and no
/// other item starts.
#[test]
fn results_after_the_batch_deadline_are_dropped_and_counted() {
    with_enough_time(|time| {
        let value = Arc::new(());
        let executor = executor(1);
        let batch = executor.batch(0..1000).deadline(Instant::now() + time);
        let report = batch.run(|_, job| {
            while !job.should_stop() {
                thread::sleep(Duration::from_millis(1));
            }
            Ok::<_, ()>(Arc::clone(&value))
        });
        assert_eq!(kinds(report.outcomes()), "b".repeat(1000));
        assert_eq!(Arc::strong_count(&value), 1, "a late result was not dropped");
        assert!(report.late_results() <= 2, "more than one late result per thread");
        // Without one, no item started before the deadline.
        report.late_results() > 0
    });
}

/// The other items get their results while the head of line times out. A timeout error that the job
/// itself returns is a plain failure.
#[test]
fn a_head_that_times_out_and_a_timeout_error_of_the_job() {
    with_enough_time(|time| {
        let report = executor(2).batch(0..10).item_timeout(time).run(|n, job| {
            match n {
                0 => {
                    while !job.should_stop() {
                        thread::sleep(Duration::from_millis(1));
                    }
                }
                1 => return Err("the server's timeout"),
                _ => {}
            }
            Ok(n)
        });
        let outcomes = report.outcomes();
        let kinds = kinds(outcomes);
        // The failure may be late, too.
        if kinds.starts_with("ii") || !are_in_time(&kinds, "if........") {
            return false;
        }
        assert!(matches!(outcomes[1], Err(Failure::Failed { error: "the server's timeout", .. })));
        assert!(outcomes[2..].iter().zip(2..).all(|(outcome, n)| *outcome.as_ref().unwrap() == n));
        assert_eq!(report.late_results(), 1);
        true
    });
}

/// The consumer gives up on an item because of a cancellation. The job still ends with a value.
#[test]
fn the_result_of_a_cancelled_item_is_counted_as_late() {
    with_timeout(|| {
        let (executor, token) = (executor(1), CancellationToken::new());
        let (latch, (running, runs)) = (Latch::default(), mpsc::channel());
        let job = {
            let latch = latch.clone();
            move |n, _: &Job<'_>| {
                running.send(()).unwrap();
                latch.wait();
                Ok::<_, ()>(n)
            }
        };
        let mut stream = executor.batch(0..1).cancelled_by(&token).stream(job).unwrap();
        runs.recv().unwrap();
        token.cancel();
        assert!(matches!(stream.next(), Some(Err(Failure::Cancelled(_)))));
        assert_eq!(stream.late_results(), 0);
        latch.open();
        while stream.late_results() == 0 {
            thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(stream.late_results(), 1);
    });
}

/// Each item has exactly one outcome, at its own index of its own batch, whatever fails in the
/// batches beside it.
#[test]
fn batches_with_all_kinds_of_failures_at_once() {
    with_timeout(|| {
        let executor = executor(3);
        thread::scope(|scope| {
            for batch in 0..20_usize {
                let executor = &executor;
                scope.spawn(move || {
                    let token = CancellationToken::new();
                    let mut builder = executor.batch(0..1000_usize).cancelled_by(&token);
                    if batch % 3 == 0 {
                        builder = builder.fail_fast();
                    }
                    if batch % 4 == 0 {
                        builder = builder.deadline(Instant::now() + Duration::from_millis(5));
                    }
                    let report = builder.run(|n, _| {
                        match (n * 7 + batch) % 500 {
                            0 => return Err(batch * 1000 + n),
                            1 => resume_unwind(Box::new(batch * 1000 + n)),
                            2 if batch % 5 == 0 => token.cancel(),
                            _ => {}
                        }
                        Ok(batch * 1000 + n)
                    });
                    assert_eq!(report.outcomes().len(), 1000);
                    for (n, outcome) in report.into_iter().enumerate() {
                        let found = match outcome {
                            Ok(name) | Err(Failure::Failed { error: name, .. }) => name,
                            Err(Failure::Panicked(panic)) => {
                                *panic.into_payload().downcast().unwrap()
                            }
                            Err(Failure::Cancelled(_) | Failure::BatchDeadline(_)) => continue,
                            Err(failure) => panic!("{failure}"),
                        };
                        assert_eq!(found, batch * 1000 + n);
                    }
                });
            }
        });
    });
}
