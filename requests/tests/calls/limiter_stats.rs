//! The statistics of a limiter, which add up the counts of the batches of all executors.

use std::iter;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::common::{executor, with_timeout};
use crate::futures::{HOUR, MS};
use reorder_executor::BatchHandle;
use reorder_requests::{
    Attempt, AttemptOutcome, Hedge, LimiterStats, Quota, RateLimiter, RequestStats, RequestsExt,
    Retry,
};

fn stats_of(handle: BatchHandle<u64, &'static str>) -> RequestStats {
    *handle.wait().stats::<RequestStats>().unwrap()
}

fn retry() -> Retry {
    Retry::new().within(10 * HOUR).wait(MS, MS)
}

fn wait_for(attempt: &Attempt) {
    while !attempt.should_stop() {
        thread::yield_now();
    }
}

/// Returns the counts that a limiter adds up over its batches.
fn counts(stats: &LimiterStats) -> [u64; 5] {
    [stats.attempts, stats.timed_out, stats.hedges, stats.hedges_won, stats.hedges_wasted]
}

/// Returns the waits that a limiter adds up over its batches, without the wait for the throttle.
fn waits(stats: &LimiterStats) -> [Duration; 5] {
    [
        stats.waited_for_pace,
        stats.waited_for_quota,
        stats.waited_for_closing,
        stats.waited_for_in_flight,
        stats.waited_for_retry,
    ]
}

#[test]
fn hedges_and_time_outs_of_two_executors_add_up_and_no_count_ever_falls() {
    with_timeout(|| {
        let executors = [executor(2), executor(2)];
        let limiter = RateLimiter::builder().build().unwrap();
        let hedged = executors[0].batch(0..20).requests().through(&limiter).retry(retry());
        let hedged = hedged.hedge(Hedge::after(5 * MS)).submit(|&n: &u64, attempt: &Attempt| {
            if n == 3 && attempt.number() == 1 {
                wait_for(attempt);
            }
            // The hedge of this item fails, and its first attempt goes on.
            match (n, attempt.is_hedge()) {
                (4, true) => return AttemptOutcome::Retry { error: "busy", after: None },
                (4, false) => thread::sleep(20 * MS),
                _ => {}
            }
            AttemptOutcome::Done(n)
        });
        let timed = executors[1].batch(0..20).requests().through(&limiter);
        let timed = timed.retry(retry().attempt_timeout(20 * MS));
        let timed = timed.submit(|&n: &u64, attempt: &Attempt| {
            if n % 7 == 0 && attempt.number() == 1 {
                wait_for(attempt);
            }
            AttemptOutcome::Done(n)
        });
        let handles = [hedged.unwrap(), timed.unwrap()];
        let mut before = limiter.stats();
        while !handles.iter().all(BatchHandle::is_finished) {
            let after = limiter.stats();
            assert!(iter::zip(counts(&before), counts(&after)).all(|(old, new)| old <= new));
            assert!(iter::zip(waits(&before), waits(&after)).all(|(old, new)| old <= new));
            before = after;
            thread::yield_now();
        }
        let batches = handles.map(stats_of);
        let sum = |of: fn(&RequestStats) -> u64| batches.iter().map(of).sum::<u64>();
        let expected = [
            sum(|batch| batch.attempts),
            sum(|batch| batch.timed_out),
            sum(|batch| batch.hedges),
            sum(|batch| batch.hedges_won),
            sum(|batch| batch.hedges_wasted),
        ];
        assert_eq!(counts(&limiter.stats()), expected);
        let [_, timed_out, _, won, _] = expected;
        assert!(timed_out >= 3 && won >= 1, "{expected:?}");
    });
}

#[test]
fn waits_of_two_executors_add_up_by_cause() {
    with_timeout(|| {
        let one = NonZeroU32::MIN;
        let quota = Quota::new(one, 5 * MS).unwrap();
        let settings = RateLimiter::builder().pace(MS).quota(quota).max_in_flight(one);
        let limiter = settings.build().unwrap();
        let first = Mutex::new(Some(limiter.clone()));
        let job = move |&n: &u64, attempt: &Attempt| {
            // During the first attempt of all, the other batch begins to wait for its end.
            let limiter = first.lock().unwrap().take();
            while limiter.as_ref().is_some_and(|it| it.stats().waiting_batches == 0) {
                thread::yield_now();
            }
            match (n, attempt.number()) {
                (1, 1) => AttemptOutcome::Retry { error: "busy", after: Some(MS) },
                (2, 1) => AttemptOutcome::Closed { error: "closed", after: 5 * MS },
                _ => AttemptOutcome::Done(n),
            }
        };
        let job = Arc::new(job);
        let executors = [executor(1), executor(1)];
        let handles = executors.each_ref().map(|executor| {
            let job = Arc::clone(&job);
            let batch = executor.batch(0..5_u64).requests().retry(retry()).through(&limiter);
            batch.submit(move |n, attempt| job(n, attempt)).unwrap()
        });
        let batches = handles.map(stats_of);
        let sum = |of: fn(&RequestStats) -> Duration| batches.iter().map(of).sum::<Duration>();
        let all = limiter.stats();
        let expected = [
            sum(|batch| batch.waited_for_pace),
            sum(|batch| batch.waited_for_quota),
            sum(|batch| batch.waited_for_closing),
            sum(|batch| batch.waited_for_in_flight),
            sum(|batch| batch.waited_for_retry),
        ];
        assert_eq!(waits(&all), expected);
        assert_eq!(all.waited_for_retry, 2 * MS);
        let [pace, quota, closing, in_flight, _] = expected;
        assert!([pace, quota, closing, in_flight].iter().all(|wait| !wait.is_zero()), "{all:?}");
    });
}
