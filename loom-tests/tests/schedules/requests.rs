//! Requests. Under shuttle, the model provides their clock and timers.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_core::Stream;
use reorder_executor::{CancellationToken, Failure, Shutdown};
use reorder_requests::{Attempt, AttemptOutcome, RateLimiter, RequestsExt, Retry, Throttle};
use shuttle::sync::Mutex;
use shuttle::{future, thread};

use super::{executor, explore};

const MICRO: Duration = Duration::from_micros(1);

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Returns a retry policy without a time limit: the model would wait until the limit.
fn unlimited_retry() -> Retry {
    Retry::new().within(Duration::MAX).wait(Duration::from_micros(20), Duration::from_micros(20))
}

/// Succeeds at the second attempt.
fn retry_once(n: &usize, attempt: &Attempt) -> AttemptOutcome<usize, ()> {
    match attempt.number() {
        1 => AttemptOutcome::Retry { error: (), after: None },
        _ => AttemptOutcome::Done(*n),
    }
}

#[test]
fn batches_that_share_a_limiter_are_all_woken_and_complete() {
    for workers in [1, 2] {
        explore(move || {
            let executor = executor(workers);
            let limiter = RateLimiter::builder().pace(Duration::from_micros(100)).build().unwrap();
            let batches = [10, 20].map(|base| {
                let batch = executor.batch(base..base + 2).requests().through(&limiter);
                (base, batch.retry(unlimited_retry()).submit(retry_once).unwrap())
            });
            for (base, handle) in batches {
                assert_eq!(handle.wait().into_values().unwrap(), [base, base + 1]);
            }
        });
    }
}

#[test]
fn batches_that_miss_their_turns_or_end_at_a_limiter_stop_no_other() {
    explore(|| {
        let executor = executor(2);
        let throttle = Throttle::new(Duration::ZERO, MICRO * 40, MICRO * 20);
        let limiter = RateLimiter::builder().pace(MICRO * 10).throttle(throttle).build().unwrap();
        let submit = |token: &CancellationToken| {
            let batch = executor.batch(0..2).cancelled_by(token).requests().through(&limiter);
            batch.retry(unlimited_retry()).submit(retry_once).unwrap()
        };
        let (token, none) = (CancellationToken::new(), CancellationToken::new());
        let (first, cancelled, last) = (submit(&none), submit(&token), submit(&none));
        let canceller = thread::spawn(move || token.cancel());
        assert_eq!(last.wait().into_values().unwrap(), [0, 1]);
        drop(cancelled);
        assert_eq!(first.wait().into_values().unwrap(), [0, 1]);
        canceller.join().unwrap();
    });
}

#[test]
fn retries_race_a_shutdown_and_a_cancellation() {
    for mode in [Shutdown::Drain, Shutdown::Abort] {
        explore(move || {
            let (executor, token) = (Arc::new(executor(1)), CancellationToken::new());
            let batch = executor.batch(0..3).cancelled_by(&token).requests();
            let handle = batch.retry(unlimited_retry()).submit(retry_once).unwrap();
            let canceller = thread::spawn(move || token.cancel());
            let other = Arc::clone(&executor);
            let shutdown = thread::spawn(move || assert!(other.shutdown(mode, None).is_complete()));
            let outcomes = handle.wait().into_outcomes();
            assert_eq!(outcomes.len(), 3);
            for (n, outcome) in outcomes.into_iter().enumerate() {
                match outcome {
                    Ok(value) => assert_eq!(value, n),
                    Err(Failure::Cancelled(_)) => {}
                    Err(Failure::ShutDown(_)) => assert_eq!(mode, Shutdown::Abort),
                    Err(failure) => panic!("{failure:?}"),
                }
            }
            canceller.join().unwrap();
            shutdown.join().unwrap();
        });
    }
}

#[test]
fn futures_complete_while_their_stream_is_taken_and_dropped() {
    explore(|| {
        let executor = executor(1);
        let alive = Arc::new(());
        let counted = Arc::clone(&alive);
        let spawner = |task: Task| drop(thread::spawn(move || future::block_on(task)));
        let batch = executor.batch(0_usize..).requests().retry(unlimited_retry());
        let mut stream = batch
            .stream_async(spawner, move |n, attempt| {
                let counted = Arc::clone(&counted);
                async move {
                    future::yield_now().await;
                    retry_once(&n, &attempt).map(|n| (n, counted))
                }
            })
            .unwrap();
        for n in 0..2 {
            assert_eq!(stream.next().unwrap().unwrap().0, n);
        }
        drop(stream);
        drop(executor);
        // The last futures may still be running on their threads.
        while Arc::strong_count(&alive) > 1 {
            thread::yield_now();
        }
    });
}

/// A source that another thread opens, which then uses the waker.
#[derive(Clone, Default)]
struct Gate(Arc<Mutex<(bool, Option<Waker>)>>);

impl Stream for Gate {
    type Item = usize;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<usize>> {
        let mut gate = self.0.lock().unwrap();
        if gate.0 {
            return Poll::Ready(None);
        }
        gate.1 = Some(cx.waker().clone());
        Poll::Pending
    }
}

#[test]
fn a_source_that_waits_wakes_a_worker() {
    // The source is opened while a worker may look at it, or when all workers may sleep.
    for pause in [0, 100] {
        explore(move || {
            let executor = executor(1);
            let gate = Gate::default();
            let batch = executor.batch(gate.clone()).requests().retry(unlimited_retry());
            let mut stream = batch.map_stream(retry_once).unwrap();
            let opener = thread::spawn(move || {
                (0..pause).for_each(|_| thread::yield_now());
                let mut gate = gate.0.lock().unwrap();
                gate.0 = true;
                let waker = gate.1.take();
                drop(gate);
                waker.into_iter().for_each(Waker::wake);
            });
            assert!(stream.next().is_none());
            opener.join().unwrap();
        });
    }
}

#[test]
fn requests_within_a_budget_go_on_when_there_is_room() {
    for workers in [1, 2] {
        explore(move || {
            let executor = executor(workers);
            let batch = executor.batch(0..4_usize).weight(3, |&n| n as u64).requests();
            let job = |n: &usize, attempt: &Attempt| {
                if *n == 3 {
                    // There is room before its outcome is taken.
                    attempt.set_weight(0);
                }
                retry_once(n, attempt)
            };
            let stream = batch.retry(unlimited_retry()).stream(job).unwrap();
            assert!(stream.map(Result::unwrap).eq(0..4));
        });
    }
}

#[test]
fn batches_go_on_after_a_service_was_closed() {
    for workers in [1, 2] {
        explore(move || {
            let executor = executor(workers);
            let limiter = RateLimiter::builder().build().unwrap();
            // If the attempt of the first batch ends last, no further call at the limiter follows.
            let batches = [(10, 1), (20, 3)].map(|(base, count)| {
                let batch = executor.batch(base..base + count).requests().through(&limiter);
                let handle = batch.retry(Retry::never()).submit(move |&n, attempt| {
                    if n == 10 && attempt.number() == 1 {
                        return AttemptOutcome::Closed { error: (), after: MICRO * 30 };
                    }
                    thread::yield_now();
                    AttemptOutcome::Done(n)
                });
                (base..base + count, handle.unwrap())
            });
            for (values, handle) in batches {
                assert!(handle.wait().into_values().unwrap().into_iter().eq(values));
            }
        });
    }
}
