//! Requests whose jobs block, on real threads and in real time. The tests of the dispatcher use
//! virtual time, and test which attempt starts when.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{
    Latch, LiveCounter, are_in_time, block_on, executor, kinds, with_enough_time, with_timeout,
};
use reorder_executor::{BatchHandle, CancellationToken, Executor, Failure, Shutdown};
use reorder_requests::{
    Attempt, AttemptOutcome, RateLimiter, RequestStats, RequestsExt, Retry, Throttle,
};

const HOUR: Duration = Duration::from_secs(60 * 60);
const MS: Duration = Duration::from_millis(1);

/// Returns a retry policy whose limits no test reaches.
fn long_retry() -> Retry {
    Retry::new().within(10 * HOUR).wait(MS, MS)
}

/// Submits a batch, and waits until each of its items has failed once and waits for an hour.
fn submit_waiting(executor: &Executor, items: u64) -> BatchHandle<u64, &'static str> {
    let (attempted, attempts) = mpsc::channel();
    let batch = executor.batch(0..items).requests().retry(long_retry());
    let handle = batch.submit(move |_: &u64, _| {
        attempted.send(()).ok();
        AttemptOutcome::Retry { error: "busy", after: Some(HOUR) }
    });
    (0..items).for_each(|_| attempts.recv().unwrap());
    handle.unwrap()
}

#[test]
fn the_window_is_refilled_when_an_outcome_was_returned() {
    let limit = Duration::from_secs(30);
    let executor = executor(2);
    let (asking, asked) = mpsc::channel();
    let batch = executor.batch(0_u64..).requests().window(NonZeroUsize::new(4).unwrap());
    let mut stream = batch
        .stream(move |&n, _| {
            asking.send(n).ok();
            AttemptOutcome::<_, ()>::Done(n)
        })
        .unwrap();
    let mut first: Vec<_> = (0..4).map(|_| asked.recv_timeout(limit).unwrap()).collect();
    first.sort_unstable();
    assert_eq!(first, [0, 1, 2, 3]);
    for next in 4..24 {
        assert_eq!(stream.next().unwrap().unwrap(), next - 4);
        assert_eq!(asked.recv_timeout(limit), Ok(next), "the window is refilled");
    }
}

#[test]
fn items_are_retried_until_done_and_delivered_in_order() {
    with_timeout(|| {
        let executor = executor(3);
        let batch = executor.batch(0..500_u32).requests().retry(long_retry());
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
        let stats = *report.stats::<RequestStats>().unwrap();
        assert_eq!(stats.capacity_retries, 500 / 4 * (1 + 2 + 3));
        assert_eq!(stats.attempts, 500 + stats.capacity_retries);
        assert_eq!(report.outcomes().len(), 500);
        for (n, outcome) in (0..).zip(report) {
            match outcome {
                Ok(done) => assert_eq!(done, (n, n % 4 + 1)),
                Err(Failure::Failed { error, .. }) => assert!(error == n && n % 10 == 9),
                Err(failure) => panic!("{failure}"),
            }
        }
    });
}

#[test]
fn items_that_wait_for_a_retry_keep_no_worker() {
    with_timeout(|| {
        let executor = executor(1);
        let waiting = submit_waiting(&executor, 1000);
        let open = &executor.snapshot().calls()[0].clone();
        assert_eq!((open.pulled(), open.waiting()), (1000, 0));
        let other = executor.batch(0..100).submit(|n, _| Ok::<_, ()>(n)).unwrap();
        assert_eq!(other.wait().into_values().unwrap(), (0..100).collect::<Vec<_>>());
        assert!(!waiting.is_finished());
        drop(waiting);
    });
}

#[test]
fn with_fail_fast_a_failure_cancels_all_waiting_items() {
    with_timeout(|| {
        let executor = executor(2);
        let tried = AtomicUsize::new(0);
        let batch = executor.batch(0..50).fail_fast().requests().retry(long_retry());
        let handle = batch.submit(move |&n, _| {
            if n == 49 {
                // Fails after all other items have been tried.
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
        assert_eq!(report.into_values().unwrap_err().index, 49);
    });
}

#[test]
fn the_last_error_is_returned_when_the_retries_are_exhausted() {
    with_timeout(|| {
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
        for (retry, attempts) in [(long_retry().retries(3), 4), (Retry::never(), 1)] {
            let Err(Failure::RetriesExhausted(item)) = run(retry) else { panic!() };
            assert_eq!((item.attempts(), item.error()), (attempts, Some(&attempts)));
        }
        let Err(Failure::RetryDeadline(item)) =
            run(long_retry().within(MS).wait(HOUR, HOUR).without_jitter())
        else {
            panic!("the item waited for a retry after the end of its budget")
        };
        assert_eq!((item.attempts(), item.error()), (1, Some(&1)));
    });
}

#[test]
fn an_item_timeout_ends_a_waiting_item_and_a_running_item() {
    let test = |time| {
        let executor = executor(2);
        let latch = Latch::default();
        let stuck = latch.clone();
        let batch = executor.batch(0..3).item_timeout(time).requests().retry(long_retry());
        let handle = batch.submit(move |&n, attempt| {
            assert!(attempt.deadline().is_some());
            match n {
                0 => return AttemptOutcome::Retry { error: (), after: Some(HOUR) },
                1 => stuck.wait(),
                _ => {}
            }
            AttemptOutcome::Done(n)
        });
        let report = handle.unwrap().wait();
        latch.open();
        are_in_time(&kinds(report.outcomes()), "ii.")
    };
    with_timeout(move || with_enough_time(test));
}

#[test]
fn a_panic_is_the_outcome_of_its_item_and_is_not_retried() {
    with_timeout(|| {
        let executor = executor(1);
        let handle = executor.batch(0..3).requests().submit(|&n, attempt| {
            assert_eq!(attempt.number(), 1);
            assert_ne!(n, 1, "item 1 panics, on purpose");
            AttemptOutcome::<_, ()>::Done(n)
        });
        assert_eq!(kinds(handle.unwrap().wait().outcomes()), ".p.");
        let source = (0..).inspect(|&n| assert!(n < 3, "the source panics, on purpose"));
        let stream =
            executor.batch(source).requests().stream(|&n, _| AttemptOutcome::<_, ()>::Done(n));
        assert_eq!(stream.unwrap().filter(Result::is_ok).count(), 3);
    });
}

#[test]
fn running_attempts_never_exceed_the_concurrency() {
    with_timeout(|| {
        let executor = executor(4);
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (now, seen) = (Arc::clone(&running), Arc::clone(&most));
        let batch = executor.batch(0..400_u32).requests().retry(long_retry());
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
fn outstanding_items_never_exceed_the_window() {
    with_timeout(|| {
        let executor = executor(2);
        let pulled = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&pulled);
        let source = (0_usize..).inspect(move |_| _ = counted.fetch_add(1, SeqCst));
        let batch = executor.batch(source).requests().window(NonZeroUsize::new(8).unwrap());
        let mut stream = batch
            .retry(long_retry())
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
    with_timeout(|| {
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
                    assert_eq!(
                        report.stats::<RequestStats>().unwrap().waited_for_throttle,
                        Duration::ZERO
                    );
                    report.into_values().unwrap()
                })
            })
            .collect();
        let mut times: Vec<Instant> =
            batches.into_iter().flat_map(|batch| batch.join().unwrap()).collect();
        times.sort_unstable();
        for (n, time) in (0..).zip(times) {
            assert!(time - start >= 2 * MS * n, "attempt {n} ran after {:?}", time - start);
        }
    });
}

#[test]
fn a_throttle_backs_off_and_recovers() {
    with_timeout(|| {
        let executor = executor(2);
        let throttle = Throttle::new(Duration::ZERO, 20 * MS, MS);
        let limiter = RateLimiter::builder().throttle(throttle).build().unwrap();
        let busy = AtomicU32::new(4);
        let batch = executor.batch(0..40).requests().through(&limiter).retry(long_retry());
        let handle = batch.submit(move |&n, _| {
            if busy.fetch_update(SeqCst, SeqCst, |busy| busy.checked_sub(1)).is_ok() {
                return AttemptOutcome::Retry { error: (), after: None };
            }
            AttemptOutcome::Done(n)
        });
        let report = handle.unwrap().wait();
        let stats = *report.stats::<RequestStats>().unwrap();
        assert_eq!(stats.capacity_retries, 4);
        assert!(stats.peak_delay >= 2 * MS, "{stats:?}");
        assert_eq!((stats.current_delay, limiter.delay()), (Duration::ZERO, Duration::ZERO));
        assert!(stats.waited_for_throttle > Duration::ZERO, "{stats:?}");
    });
}

#[test]
fn an_abort_ends_each_kind_of_wait() {
    with_timeout(|| {
        let throttle = Throttle::new(HOUR, 2 * HOUR, MS);
        let limiters = [
            RateLimiter::builder().build().unwrap(),
            RateLimiter::builder().pace(HOUR).build().unwrap(),
            RateLimiter::builder().throttle(throttle).build().unwrap(),
        ];
        for limiter in &limiters {
            for permits in [1, 8] {
                let executor = executor(2);
                let (attempted, first) = mpsc::channel();
                let batch = executor.batch(0..20).requests().retry(long_retry()).through(limiter);
                let handle =
                    batch.concurrency(NonZeroUsize::new(permits).unwrap()).submit(move |_, _| {
                        attempted.send(()).ok();
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
fn a_drain_waits_for_items_that_are_to_be_retried() {
    with_timeout(|| {
        let executor = executor(1);
        let batch = executor.batch(0..20_u32).requests().retry(long_retry());
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
fn waiting_items_are_dropped_with_their_batch() {
    with_timeout(|| {
        let executor = executor(2);
        let live = LiveCounter::default();
        for cancel in [false, true] {
            let token = CancellationToken::new();
            let (attempted, attempts) = mpsc::channel();
            let items: Vec<_> = (0..100).map(|n| live.track(n)).collect();
            let errors = live.clone();
            let batch = executor.batch(items).cancelled_by(&token).requests().retry(long_retry());
            let handle = batch.submit(move |item, _| {
                attempted.send(()).ok();
                AttemptOutcome::<(), _>::Retry {
                    error: errors.track(item.value),
                    after: Some(HOUR),
                }
            });
            (0..100).for_each(|_| attempts.recv().unwrap());
            if cancel {
                token.cancel();
                assert_eq!(kinds(handle.unwrap().wait().outcomes()), "c".repeat(100));
            } else {
                drop(handle);
            }
            live.wait_until_none_alive();
        }
    });
}

#[test]
fn a_job_may_wait_for_requests_with_one_worker() {
    with_timeout(|| {
        let executor = Arc::new(executor(1));
        let inner = Arc::clone(&executor);
        let outer = executor.batch(0..3_u32).submit(move |n, _| {
            let batch = inner.batch(0..4).requests().retry(long_retry());
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
fn a_handle_of_timed_requests_can_be_polled() {
    with_timeout(|| {
        let executor = executor(1);
        let batch = executor.batch(0..100_u32).timed().requests().retry(long_retry());
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
fn requests_of_no_item_and_of_one_item() {
    with_timeout(|| {
        let executor = executor(2);
        let handle =
            executor.batch([0_u8; 0]).requests().submit(|&n, _| AttemptOutcome::<_, ()>::Done(n));
        assert!(handle.unwrap().wait().outcomes().is_empty());
        let stream =
            executor.batch(0..0).requests().stream(|&n, _| AttemptOutcome::<_, ()>::Done(n));
        assert!(stream.unwrap().next().is_none());
        // The stream ends, though the limiter does not admit another attempt for an hour.
        let limiter = RateLimiter::builder().pace(HOUR).build().unwrap();
        let batch = executor.batch([1]).requests().through(&limiter);
        let mut stream = batch.stream(|&n, _| AttemptOutcome::<_, ()>::Done(n)).unwrap();
        assert!(matches!(stream.next(), Some(Ok(1))));
        assert!(stream.next().is_none());
    });
}

#[test]
fn a_drain_sees_the_end_of_a_batch_that_fills_its_window() {
    with_timeout(|| {
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
