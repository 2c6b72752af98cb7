//! Batches that share a rate limiter. The unit tests of the limiter use virtual time.
#![cfg(feature = "requests")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use common::{executor, with_timeout};
use reorder_executor::{AttemptOutcome, CancellationToken, RateLimiter, Retry, Throttle};

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
        assert_eq!(first.requests().unwrap().current_delay, Duration::ZERO);
        assert_eq!(second.requests().unwrap().current_delay, MS);
    });
}
