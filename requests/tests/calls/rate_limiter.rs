//! Batches that share a rate limiter. The unit tests of the limiter use virtual time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;

use crate::common::{Wakes, executor, with_timeout};
use reorder_executor::{CancellationToken, Executor};
use reorder_requests::{
    Attempt, AttemptOutcome, RateLimiter, RequestStats, RequestsExt, Retry, Throttle,
};

const MS: Duration = Duration::from_millis(1);

#[test]
fn a_slow_attempt_does_not_cost_its_batch_the_turns_at_a_shared_limiter() {
    with_timeout(|| {
        let executor = executor(2);
        let limiter = RateLimiter::builder().pace(MS).build().unwrap();
        let token = CancellationToken::new();
        let batch =
            || executor.batch(0..u64::MAX).cancelled_by(&token).requests().through(&limiter);
        let of_other = Arc::new(AtomicUsize::new(0));
        let (counted, seen) = (Arc::clone(&of_other), Arc::clone(&of_other));
        let other = batch().stream(move |_, _| {
            counted.fetch_add(1, SeqCst);
            AttemptOutcome::<_, ()>::Done(())
        });
        let others = thread::spawn(move || other.unwrap().count());
        // Its first attempt costs as much time as thousands of the other's.
        let slow = batch().stream(move |&n, _| {
            if n == 0 {
                thread::sleep(500 * MS);
            }
            AttemptOutcome::<_, ()>::Done(seen.load(SeqCst))
        });
        let mut slow = slow.unwrap().map(Result::unwrap);
        let start = slow.next().unwrap();
        let end = slow.filter(|&seen| seen > start).nth(99).unwrap();
        token.cancel();
        others.join().unwrap();
        assert!(end - start < 300, "100 turns of the one, {} of the other", end - start);
    });
}

#[test]
fn a_peak_counts_attempts_and_not_items_that_wait() {
    with_timeout(|| {
        let executor = executor(1);
        // The only worker makes one attempt at a time, while ten items are under way.
        let batch = executor.batch(0..10).timed().requests();
        let handle = batch.submit(|&n, attempt| match attempt.number() {
            1 => AttemptOutcome::Retry { error: (), after: Some(5 * MS) },
            _ => AttemptOutcome::Done(n),
        });
        assert_eq!(handle.unwrap().wait().peak_concurrency(), Some(1));
    });
}

#[test]
fn the_delay_in_statistics_is_that_of_their_own_batch() {
    with_timeout(|| {
        let executor = executor(1);
        let throttle = Throttle::new(Duration::ZERO, MS, MS);
        let limiter = RateLimiter::builder().throttle(throttle).build().unwrap();
        let stream = |is_busy: bool| {
            let requests = executor.batch([1]).requests().retry(Retry::never()).through(&limiter);
            let stream = requests.stream(move |&n, _| match is_busy {
                true => AttemptOutcome::Retry { error: (), after: None },
                false => AttemptOutcome::Done(n),
            });
            let mut stream = stream.unwrap();
            _ = stream.next();
            stream
        };
        let (first, second) = (stream(false), stream(true));
        assert_eq!(first.stats::<RequestStats>().unwrap().current_delay, Duration::ZERO);
        assert_eq!(second.stats::<RequestStats>().unwrap().current_delay, MS);
    });
}

#[test]
fn the_statistics_of_a_limiter_are_the_sums_of_its_batches() {
    with_timeout(|| {
        let limiter = RateLimiter::builder().pace(MS).build().unwrap();
        let executors = [executor(1), executor(2)];
        let handles = executors.each_ref().map(|executor| {
            let retry = Retry::new().retries(1);
            let batch = executor.batch(0..20).requests().retry(retry).through(&limiter);
            batch.submit(|&n: &u32, attempt: &Attempt| match n {
                5 if attempt.number() == 1 => {
                    AttemptOutcome::Retry { error: "busy", after: Some(MS) }
                }
                6 => panic!("an attempt without an answer"),
                7 => AttemptOutcome::Failed("no such item"),
                _ => AttemptOutcome::Done(n),
            })
        });
        let stats = handles.map(|handle| *handle.unwrap().wait().stats::<RequestStats>().unwrap());
        let sum = |of: fn(&RequestStats) -> Duration| stats.iter().map(of).sum::<Duration>();
        let all = limiter.stats();
        assert_eq!(all.attempts, stats.iter().map(|batch| batch.attempts).sum());
        assert_eq!((all.attempts, all.done, all.capacity_retries), (42, 36, 2));
        assert_eq!((all.failed, all.unanswered, all.in_flight), (2, 2, 0));
        assert_eq!(all.waited_for_pace, sum(|batch| batch.waited_for_pace));
        assert!(all.waited_for_pace > Duration::ZERO);
        assert_eq!(all.waited_for_throttle, Duration::ZERO);
        assert_eq!((all.waiting_batches, all.closings), (0, 0));
        // The slots are a pace apart, and no attempt starts before its slot.
        assert!(all.rate().unwrap() <= 1000.1, "{all:?}");
    });
}

/// No consumer looks again by itself: each waits for its waker.
#[test]
fn batches_of_two_executors_are_told_that_their_limiter_has_no_limit_any_more() {
    with_timeout(|| {
        let executors = [executor(1), executor(1)];
        let limiter = RateLimiter::builder().pace(1_000_000 * MS).build().unwrap();
        let open = |executor: &Executor| {
            let batch = executor.batch(0..1_u32).requests().through(&limiter);
            let batch = batch.retry(Retry::never());
            batch.stream(|&n, _| AttemptOutcome::<_, ()>::Done(n)).unwrap()
        };
        assert_eq!(open(&executors[0]).next().unwrap().unwrap(), 0, "the first attempt may start");
        let mut streams = executors.each_ref().map(open);
        let wakes = [(); 2].map(|()| Arc::new(Wakes::default()));
        for (stream, wakes) in streams.iter_mut().zip(&wakes) {
            let waker = Waker::from(Arc::clone(wakes));
            assert!(stream.poll_next(&mut Context::from_waker(&waker)).is_pending());
        }
        // Usually both batches wait for their turns after this. The test is correct in any case.
        thread::sleep(20 * MS);
        limiter.reconfigure(RateLimiter::builder()).unwrap();
        while wakes.iter().any(|wakes| wakes.0.load(SeqCst) == 0) {
            thread::sleep(MS);
        }
        assert!(streams.into_iter().all(|mut stream| matches!(stream.next(), Some(Ok(0)))));
    });
}
