//! Requests that block, on real threads and in real time. What is dispatched when is tested in virtual time, by
//! the state machine's own tests.

mod common;

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use common::{Census, Door, block_on, executor, kinds, without_hanging};
use reorder_executor::{
    Attempt, AttemptOutcome, BatchHandle, CancellationToken, Executor, Failure, RateLimiter, Retry,
    Shutdown, Throttle,
};

const HOUR: Duration = Duration::from_secs(60 * 60);
const MS: Duration = Duration::from_millis(1);

fn patient() -> Retry {
    Retry::new().within(10 * HOUR).wait(MS, MS)
}

/// A batch of so many items that have been tried once, and wait for an hour.
fn waiting(executor: &Executor, items: u64) -> BatchHandle<u64, &'static str> {
    let (tried, all) = mpsc::channel();
    let batch = executor.batch(0..items).requests().retry(patient());
    let handle = batch.submit(move |_: &u64, _| {
        tried.send(()).ok();
        AttemptOutcome::Retry { error: "busy", after: Some(HOUR) }
    });
    (0..items).for_each(|_| all.recv().unwrap());
    handle.unwrap()
}

#[test]
fn each_item_is_tried_until_it_is_done_and_comes_in_order() {
    without_hanging(|| {
        let executor = executor(3);
        let batch = executor.batch(0..500_u32).requests().retry(patient());
        let handle = batch.submit(|&n, attempt| {
            assert_eq!(attempt.index(), u64::from(n));
            if attempt.number() <= n % 4 {
                let after = (n % 2 == 0).then_some(Duration::ZERO);
                return AttemptOutcome::Retry { error: n, after };
            }
            if n % 10 == 9 {
                AttemptOutcome::Failed(n)
            } else {
                AttemptOutcome::Done((n, attempt.number()))
            }
        });
        let report = handle.unwrap().wait();
        let stats = *report.requests().unwrap();
        assert_eq!(stats.capacity_retries, 500 / 4 * (1 + 2 + 3));
        assert_eq!(stats.attempts, 500 + stats.capacity_retries);
        assert_eq!(report.outcomes().len(), 500);
        for (n, outcome) in (0..).zip(report) {
            match outcome {
                Ok(done) => assert_eq!(done, (n, n % 4 + 1)),
                Err(Failure::Failed(error)) => assert!(error == n && n % 10 == 9),
                Err(failure) => panic!("{failure}"),
            }
        }
    });
}

#[test]
fn all_workers_are_free_while_all_items_wait() {
    without_hanging(|| {
        let executor = executor(1);
        let waits = waiting(&executor, 1000);
        let open = &executor.snapshot().calls()[0].clone();
        assert_eq!((open.pulled(), open.waiting()), (1000, 0));
        let other = executor.batch(0..100).submit(|n, _| Ok::<_, ()>(n)).unwrap();
        assert_eq!(other.wait().into_values().unwrap(), (0..100).collect::<Vec<_>>());
        assert!(!waits.is_finished());
        drop(waits);
    });
}

#[test]
fn a_fatal_failure_cancels_waiting_siblings_at_once() {
    without_hanging(|| {
        let executor = executor(2);
        let tried = AtomicUsize::new(0);
        let batch = executor.batch(0..50).fail_fast().requests().retry(patient());
        let handle = batch.submit(move |&n, _| {
            if n == 49 {
                // After all others have been tried.
                while tried.load(SeqCst) < 49 {
                    thread::yield_now();
                }
                return AttemptOutcome::Failed("fatal");
            }
            tried.fetch_add(1, SeqCst);
            AttemptOutcome::<(), _>::Retry { error: "busy", after: Some(HOUR) }
        });
        let report = handle.unwrap().wait();
        assert_eq!(kinds(report.outcomes()), "c".repeat(49) + "f");
        assert_eq!(report.into_values().unwrap_err().0, 49);
    });
}

#[test]
fn the_last_error_is_kept_when_the_budget_ends() {
    without_hanging(|| {
        let executor = executor(1);
        let count = |attempt: &Attempt| AttemptOutcome::<(), _>::Retry {
            error: attempt.number(),
            after: None,
        };
        let run = |retry| {
            let handle =
                executor.batch([()]).requests().retry(retry).submit(move |(), it| count(it));
            handle.unwrap().wait().into_outcomes().remove(0)
        };
        let Err(Failure::RetriesExhausted(4)) = run(patient().retries(3)) else { panic!() };
        let Err(Failure::RetriesExhausted(1)) = run(Retry::never()) else { panic!() };
        let Err(Failure::RetriesExhausted(1)) = run(patient().within(MS).wait(HOUR, HOUR)) else {
            panic!("it would wait for nothing")
        };
    });
}

#[test]
fn an_item_deadline_ends_an_item_that_waits_and_one_that_runs() {
    without_hanging(|| {
        let executor = executor(2);
        let door = Door::default();
        let stuck = door.clone();
        let batch = executor.batch(0..3).item_timeout(20 * MS).requests().retry(patient());
        let handle = batch.submit(move |&n, attempt| {
            assert!(attempt.deadline().is_some());
            match n {
                0 => return AttemptOutcome::Retry { error: (), after: Some(HOUR) },
                1 => stuck.pass(),
                _ => {}
            }
            AttemptOutcome::Done(n)
        });
        let report = handle.unwrap().wait();
        assert_eq!(kinds(report.outcomes()), "ii.");
        door.open();
    });
}

#[test]
fn a_panic_is_its_items_and_nothing_is_tried_again() {
    without_hanging(|| {
        let executor = executor(1);
        let handle = executor.batch(0..3).requests().submit(|&n, attempt| {
            assert_eq!(attempt.number(), 1);
            assert_ne!(n, 1, "not this one");
            AttemptOutcome::<_, ()>::Done(n)
        });
        assert_eq!(kinds(handle.unwrap().wait().outcomes()), ".p.");
        let source = (0..).inspect(|&n| assert!(n < 3, "no more"));
        let stream =
            executor.batch(source).requests().stream(|&n, _| AttemptOutcome::<_, ()>::Done(n));
        assert_eq!(stream.unwrap().filter(Result::is_ok).count(), 3);
    });
}

#[test]
fn no_more_run_at_once_than_the_concurrency_says() {
    without_hanging(|| {
        let executor = executor(4);
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (now, seen) = (Arc::clone(&running), Arc::clone(&most));
        let batch = executor.batch(0..400_u32).requests().retry(patient());
        let batch = batch.concurrency(NonZeroUsize::new(2).unwrap());
        let handle = batch.submit(move |&n, attempt| {
            seen.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
            thread::yield_now();
            now.fetch_sub(1, SeqCst);
            if attempt.number() < 3 {
                AttemptOutcome::Retry { error: (), after: None }
            } else {
                AttemptOutcome::Done(n)
            }
        });
        assert_eq!(handle.unwrap().wait().into_values().unwrap().len(), 400);
        assert!((1..=2).contains(&most.load(SeqCst)));
    });
}

#[test]
fn no_more_are_outstanding_than_the_window_says() {
    without_hanging(|| {
        let executor = executor(2);
        let pulled = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&pulled);
        let source = (0_usize..).inspect(move |_| _ = counted.fetch_add(1, SeqCst));
        let batch = executor.batch(source).requests().window(NonZeroUsize::new(8).unwrap());
        let mut stream = batch
            .retry(patient())
            .stream(|&n, attempt| match attempt.number() {
                1 => AttemptOutcome::Retry { error: (), after: None },
                _ => AttemptOutcome::Done(n),
            })
            .unwrap();
        for n in 0..1000 {
            assert_eq!(stream.next().unwrap().unwrap(), n);
            assert!(pulled.load(SeqCst) <= n + 1 + 8);
        }
    });
}

#[test]
fn batches_that_share_a_limiter_share_its_pace() {
    without_hanging(|| {
        let executor = Arc::new(executor(4));
        let limiter = RateLimiter::builder().pace(2 * MS).build().unwrap();
        let start = Instant::now();
        let batches: Vec<_> = (0..4)
            .map(|_| {
                let (executor, limiter) = (Arc::clone(&executor), limiter.clone());
                thread::spawn(move || {
                    let batch = executor.batch(0..10).requests().through(&limiter);
                    let handle = batch.submit(|_, _| AttemptOutcome::<_, ()>::Done(Instant::now()));
                    let report = handle.unwrap().wait();
                    assert_eq!(report.requests().unwrap().waited_for_throttle, Duration::ZERO);
                    report.into_values().unwrap()
                })
            })
            .collect();
        let mut times: Vec<Instant> =
            batches.into_iter().flat_map(|batch| batch.join().unwrap()).collect();
        times.sort_unstable();
        for (n, time) in (0..).zip(times) {
            assert!(time - start >= 2 * MS * n, "the {n}th came after {:?}", time - start);
        }
    });
}

#[test]
fn a_throttle_backs_off_and_recovers() {
    without_hanging(|| {
        let executor = executor(2);
        let throttle = Throttle::new(Duration::ZERO, 20 * MS, MS);
        let limiter = RateLimiter::builder().throttle(throttle).build().unwrap();
        let busy = AtomicU32::new(4);
        let batch = executor.batch(0..40).requests().through(&limiter).retry(patient());
        let handle = batch.submit(move |&n, _| {
            if busy.fetch_update(SeqCst, SeqCst, |busy| busy.checked_sub(1)).is_ok() {
                return AttemptOutcome::Retry { error: (), after: None };
            }
            AttemptOutcome::Done(n)
        });
        let report = handle.unwrap().wait();
        let stats = *report.requests().unwrap();
        assert_eq!(stats.capacity_retries, 4);
        assert!(stats.peak_delay >= 2 * MS, "{stats:?}");
        assert_eq!((stats.current_delay, limiter.delay()), (Duration::ZERO, Duration::ZERO));
        assert!(stats.waited_for_throttle > Duration::ZERO, "{stats:?}");
    });
}

#[test]
fn shutdown_during_each_kind_of_wait() {
    without_hanging(|| {
        let throttle = Throttle::new(HOUR, 2 * HOUR, MS);
        let limiters = [
            RateLimiter::builder().build().unwrap(),
            RateLimiter::builder().pace(HOUR).build().unwrap(),
            RateLimiter::builder().throttle(throttle).build().unwrap(),
        ];
        for limiter in &limiters {
            for permits in [1, 8] {
                let executor = executor(2);
                let (tried, first) = mpsc::channel();
                let batch = executor.batch(0..20).requests().retry(patient()).through(limiter);
                let handle =
                    batch.concurrency(NonZeroUsize::new(permits).unwrap()).submit(move |_, _| {
                        tried.send(()).ok();
                        AttemptOutcome::<(), _>::Retry { error: (), after: Some(HOUR) }
                    });
                if limiter.delay().is_zero() || permits == 1 {
                    _ = first.recv_timeout(50 * MS);
                }
                let report = executor.shutdown(Shutdown::Abort, Some(HOUR));
                assert!(report.is_complete());
                assert_eq!(kinds(handle.unwrap().wait().outcomes()), "s".repeat(20));
            }
        }
    });
}

#[test]
fn a_drain_waits_for_what_is_to_be_tried_again() {
    without_hanging(|| {
        let executor = executor(1);
        let batch = executor.batch(0..20_u32).requests().retry(patient());
        let handle = batch
            .submit(|&n, attempt| match attempt.number() {
                3 => AttemptOutcome::Done(n),
                _ => AttemptOutcome::Retry { error: (), after: Some(2 * MS) },
            })
            .unwrap();
        assert!(executor.shutdown(Shutdown::Drain, Some(HOUR)).is_complete());
        assert!(handle.is_finished());
        assert_eq!(handle.wait().into_values().unwrap().len(), 20);
        let refused =
            executor.batch([7]).requests().submit(|&n, _| AttemptOutcome::<_, ()>::Done(n));
        assert_eq!(refused.unwrap_err().into_inner(), [7]);
    });
}

#[test]
fn what_waits_is_dropped_with_its_batch() {
    without_hanging(|| {
        let executor = executor(2);
        let census = Census::default();
        for cancel in [false, true] {
            let token = CancellationToken::new();
            let (tried, all) = mpsc::channel();
            let items: Vec<_> = (0..100).map(|n| census.join(n)).collect();
            let errors = census.clone();
            let batch = executor.batch(items).cancelled_by(&token).requests().retry(patient());
            let handle = batch.submit(move |item, _| {
                tried.send(()).ok();
                AttemptOutcome::<(), _>::Retry { error: errors.join(item.value), after: Some(HOUR) }
            });
            (0..100).for_each(|_| all.recv().unwrap());
            if cancel {
                token.cancel();
                assert_eq!(kinds(handle.unwrap().wait().outcomes()), "c".repeat(100));
            } else {
                drop(handle);
            }
            census.wait_for_none();
        }
    });
}

#[test]
fn a_job_waits_for_requests_with_one_worker() {
    without_hanging(|| {
        let executor = Arc::new(executor(1));
        let inner = Arc::clone(&executor);
        let outer = executor.batch(0..3_u32).submit(move |n, _| {
            let batch = inner.batch(0..4).requests().retry(patient());
            let handle = batch.submit(move |&m, attempt| match attempt.number() {
                1 => AttemptOutcome::Retry { error: (), after: Some(2 * MS) },
                _ => AttemptOutcome::Done(n * m),
            });
            Ok::<_, ()>(handle.unwrap().wait().into_values().unwrap().into_iter().sum::<u32>())
        });
        assert_eq!(outer.unwrap().wait().into_values().unwrap(), [0, 6, 12]);
    });
}

#[test]
fn requests_are_polled_as_well() {
    without_hanging(|| {
        let executor = executor(1);
        let batch = executor.batch(0..100_u32).timed().requests().retry(patient());
        let handle = batch.submit(|&n, attempt| match attempt.number() {
            1 if n % 2 == 0 => AttemptOutcome::Retry { error: (), after: None },
            _ => AttemptOutcome::Done(n),
        });
        let report = block_on(handle.unwrap());
        assert!(report.timings().iter().all(|timing| timing.completed() >= timing.started()));
        assert!(report.into_values().unwrap().into_iter().eq(0..100));
    });
}

#[test]
fn items_one_by_one_and_none() {
    without_hanging(|| {
        let executor = executor(2);
        let handle =
            executor.batch([0_u8; 0]).requests().submit(|&n, _| AttemptOutcome::<_, ()>::Done(n));
        assert!(handle.unwrap().wait().outcomes().is_empty());
        let stream =
            executor.batch(0..0).requests().stream(|&n, _| AttemptOutcome::<_, ()>::Done(n));
        assert!(stream.unwrap().next().is_none());
        // A closed limiter does not keep the end from being seen.
        let limiter = RateLimiter::builder().pace(HOUR).build().unwrap();
        let batch = executor.batch([1]).requests().through(&limiter);
        let mut stream = batch.stream(|&n, _| AttemptOutcome::<_, ()>::Done(n)).unwrap();
        assert!(matches!(stream.next(), Some(Ok(1))));
        assert!(stream.next().is_none());
    });
}

#[test]
fn the_end_of_a_batch_that_fills_its_window_is_seen() {
    without_hanging(|| {
        for items in [1, 2, 16, 17] {
            let executor = executor(1);
            let handle = executor
                .batch(0..items)
                .requests()
                .submit(|&n, _| AttemptOutcome::<_, ()>::Done(n));
            assert!(executor.shutdown(Shutdown::Drain, Some(HOUR)).is_complete());
            let handle = handle.unwrap();
            assert!(handle.is_finished());
            assert_eq!(handle.wait().outcomes().len(), items);
        }
    });
}
