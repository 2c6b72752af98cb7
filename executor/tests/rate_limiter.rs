//! Batches that share a rate limiter. The unit tests of the limiter use virtual time.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use common::{executor, with_timeout};
use reorder_executor::{AttemptOutcome, CancellationToken, RateLimiter};

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
