//! Batches that end early, and items that take too long.

mod common;

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use common::{executor, kinds, without_hanging};
use reorder_executor::{CancellationToken, Failure, Job};

#[test]
fn one_of_a_thousand_fails_with_its_input_index() {
    let report = executor(2).batch(0..1000).run(|n, _| if n == 617 { Err("617") } else { Ok(n) });
    let failed: Vec<_> =
        report.outcomes().iter().enumerate().filter(|(_, outcome)| outcome.is_err()).collect();
    let [(617, Err(Failure::Failed("617")))] = failed[..] else { panic!("{failed:?}") };
    let first = report.into_values().unwrap_err();
    assert!(matches!(first, (617, Failure::Failed("617"))), "{first:?}");
}

/// Returns once the batch has failed.
fn wait_for_the_end(job: &Job<'_>) {
    while !job.should_stop() {
        thread::yield_now();
    }
}

#[test]
fn fail_fast_returns_what_finished_and_starts_nothing_more() {
    without_hanging(|| {
        let started = AtomicUsize::new(0);
        let report = executor(2).batch(0..10_000).fail_fast().run(|n, job| {
            started.fetch_add(1, SeqCst);
            match n {
                20 => return Err("no more"),
                21.. => wait_for_the_end(job),
                _ => {}
            }
            Ok(n)
        });
        let started = started.into_inner();
        // Those up to the one that fails, and one on each other thread.
        assert!(started <= 23, "{started} were started");
        let mut ran = 0;
        for (index, outcome) in report.into_iter().enumerate() {
            ran += usize::from(!matches!(outcome, Err(Failure::Cancelled)));
            match outcome {
                Ok(value) => assert_eq!(value, index as i32),
                Err(Failure::Failed(_)) => assert_eq!(index, 20),
                Err(Failure::Cancelled) => {}
                Err(failure) => panic!("{index}: {failure}"),
            }
        }
        assert_eq!(ran, started, "what was started has its outcome");
    });
}

#[test]
fn a_panic_fails_fast_too() {
    without_hanging(|| {
        let report = executor(1).batch(0..1000).fail_fast().run(|n, job| {
            if n == 0 {
                resume_unwind(Box::new("the first"));
            }
            wait_for_the_end(job);
            Ok::<_, ()>(n)
        });
        let outcomes = report.outcomes();
        assert!(
            matches!(&outcomes[0], Err(Failure::Panicked(panic)) if panic.message() == "the first")
        );
        let cancelled =
            outcomes.iter().filter(|outcome| matches!(outcome, Err(Failure::Cancelled)));
        // The other thread may have started one, wherever it is.
        assert!((998..=999).contains(&cancelled.count()));
    });
}

#[test]
fn without_fail_fast_all_run() {
    let report = executor(2).batch(0..100).run(|n, _| if n % 2 == 0 { Err(n) } else { Ok(n) });
    assert_eq!((report.late_results(), report.outcomes().len()), (0, 100));
    for (index, outcome) in report.into_iter().enumerate() {
        match outcome {
            Ok(n) => assert_eq!((n, n % 2), (index, 1)),
            Err(Failure::Failed(n)) => assert_eq!((n, n % 2), (index, 0)),
            Err(failure) => panic!("{failure}"),
        }
    }
}

/// The token is cancelled while every job waits for just that.
#[test]
fn cancel_while_all_wait_ends_the_batch() {
    without_hanging(|| {
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
        assert!((1..=3).contains(&finished), "{finished} ran: at most one on each thread");
        assert!(
            report
                .outcomes()
                .iter()
                .all(|outcome| matches!(outcome, Ok(_) | Err(Failure::Cancelled)))
        );
    });
}

#[test]
fn a_batch_that_was_cancelled_before_runs_nothing_and_drops_its_items() {
    let (token, item) = (CancellationToken::new(), Arc::new(()));
    token.cancel();
    let items = (0..100).map(|_| Arc::clone(&item));
    let report = executor(2)
        .batch(items)
        .cancelled_by(&token)
        .run(|_, _| -> Result<(), ()> { unreachable!() });
    assert_eq!(report.outcomes().len(), 100);
    assert!(report.into_iter().all(|outcome| matches!(outcome, Err(Failure::Cancelled))));
    assert_eq!(Arc::strong_count(&item), 1);
}

/// The deadline passes while an item runs: its result is dropped and counted, and no other starts.
#[test]
fn a_deadline_refuses_what_comes_later() {
    let deadline = Instant::now() + Duration::from_millis(500);
    let value = Arc::new(());
    let report = executor(1).batch(0..1000).deadline(deadline).run(|_, job| {
        while !job.should_stop() {
            thread::sleep(Duration::from_millis(1));
        }
        Ok::<_, ()>(Arc::clone(&value))
    });
    assert_eq!(kinds(report.outcomes()), "b".repeat(1000));
    assert!((1..=2).contains(&report.late_results()), "one on each thread");
    assert_eq!(Arc::strong_count(&value), 1, "a late result is kept");
}

/// A stuck head of line does not keep the others from their results, and a time-out of the job's own is told
/// from the executor's.
#[test]
fn a_stuck_head_with_a_deadline_and_a_timeout_of_its_own() {
    let report = executor(2).batch(0..10).item_timeout(Duration::from_millis(500)).run(|n, job| {
        match n {
            0 => {
                while !job.should_stop() {
                    thread::sleep(Duration::from_millis(1));
                }
            }
            1 => return Err("the server's time-out"),
            _ => {}
        }
        Ok(n)
    });
    let outcomes = report.outcomes();
    assert!(matches!(outcomes[0], Err(Failure::ItemDeadline)), "{:?}", outcomes[0]);
    assert!(matches!(outcomes[1], Err(Failure::Failed("the server's time-out"))));
    assert!(outcomes[2..].iter().zip(2..).all(|(outcome, n)| *outcome.as_ref().unwrap() == n));
    assert_eq!(report.late_results(), 1);
}

/// Each item has one outcome, at its index, in its batch, whatever goes wrong in the batches beside it.
#[test]
fn batches_with_all_kinds_of_failures_at_once() {
    without_hanging(|| {
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
                            Ok(name) | Err(Failure::Failed(name)) => name,
                            Err(Failure::Panicked(panic)) => {
                                *panic.into_payload().downcast().unwrap()
                            }
                            Err(Failure::Cancelled | Failure::BatchDeadline) => continue,
                            Err(failure) => panic!("{failure}"),
                        };
                        assert_eq!(found, batch * 1000 + n);
                    }
                });
            }
        });
    });
}
