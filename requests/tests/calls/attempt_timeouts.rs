//! Attempts that exceed their time-out.

use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;

use crate::common::{Latch, LiveCounter, executor, kinds, with_timeout};
use crate::futures::{HOUR, MS, endless, runtime, spawner};
use reorder_executor::{CancellationToken, Executor, Failure, Shutdown};
use reorder_requests::{
    Attempt, AttemptOutcome, RateLimiter, RequestStats, RequestsExt, Retry, RetryBudget,
};

fn retry() -> Retry {
    Retry::new().within(10 * HOUR).wait(MS, MS).attempt_timeout(20 * MS)
}

fn wait_for(attempt: &Attempt) {
    while !attempt.should_stop() {
        thread::yield_now();
    }
}

#[test]
fn a_future_that_takes_too_long_is_dropped_and_its_item_tried_again() {
    with_timeout(|| {
        let (executor, runtime) = (executor(1), runtime());
        let live = LiveCounter::default();
        let futures = live.clone();
        let batch = executor.batch(0..20_u64).requests().retry(retry());
        let handle = batch.submit_async(spawner(&runtime), move |n, attempt| {
            let stuck = (u64::from(attempt.number()) <= *n % 3).then(|| endless(&futures));
            assert!(attempt.deadline().is_some());
            async move {
                match stuck {
                    Some(stuck) => stuck.await,
                    None => AttemptOutcome::Done(*n),
                }
            }
        });
        let report = handle.unwrap().wait();
        let stats = *report.stats::<RequestStats>().unwrap();
        // A busy machine may be late with the others, too.
        assert!(stats.timed_out >= 7 + 2 * 6);
        assert_eq!((stats.attempts, stats.capacity_retries), (20 + stats.timed_out, 0));
        for (n, &attempts) in report.attempts().iter().enumerate() {
            assert!(attempts as usize > n % 3, "{n}: {attempts}");
        }
        assert!(report.into_values().unwrap().into_iter().eq(0..20));
        live.wait_until_none_alive();
    });
}

#[test]
fn the_next_attempt_runs_beside_a_job_that_blocks_for_too_long() {
    with_timeout(|| {
        let executor = executor(2);
        let (second, first_ended) = (Latch::default(), Latch::default());
        let (opens, waits, ended) = (second.clone(), second, first_ended.clone());
        let handle = executor.batch([7]).requests().retry(retry()).submit(move |&n, attempt| {
            if attempt.number() == 1 {
                // It ends only after the next attempt has started.
                waits.wait();
                assert!(attempt.should_stop());
                ended.open();
                return AttemptOutcome::<_, ()>::Done(0);
            }
            opens.open();
            AttemptOutcome::Done(n)
        });
        let mut handle = handle.unwrap();
        first_ended.wait();
        assert!(handle.until_idle(Some(HOUR)));
        let report = handle.wait();
        assert!(report.stats::<RequestStats>().unwrap().timed_out >= 1);
        assert!(report.late_results() >= 1);
        assert_eq!(report.into_values().unwrap(), [7]);
    });
}

#[test]
fn a_late_result_is_refused_if_no_thread_was_free_to_notice() {
    with_timeout(|| {
        let executor = executor(1);
        for panics in [false, true] {
            let batch = executor.batch([()]).requests().retry(retry().retries(2));
            let handle = batch.submit(move |(), attempt| {
                wait_for(attempt);
                assert!(!panics, "it panics after its time");
                AttemptOutcome::<_, ()>::Done(())
            });
            let report = handle.unwrap().wait();
            assert_eq!((kinds(report.outcomes()).as_str(), report.late_results()), ("x", 3));
            assert_eq!(
                (report.attempts(), report.stats::<RequestStats>().unwrap().timed_out),
                (&[3][..], 3)
            );
        }
    });
}

#[test]
fn a_failure_tells_that_the_last_attempt_took_too_long() {
    with_timeout(|| {
        let executor = executor(1);
        let texts = |retry: Retry, errors: u32| {
            let handle = executor.batch([()]).requests().retry(retry).submit(move |(), attempt| {
                if attempt.number() <= errors {
                    let error = format!("error {}", attempt.number());
                    return AttemptOutcome::<(), _>::Retry { error, after: None };
                }
                wait_for(attempt);
                AttemptOutcome::Failed("too late".to_owned())
            });
            let failure = handle.unwrap().wait().into_outcomes().remove(0).unwrap_err();
            assert!(failure.attempt_timed_out(), "{failure:?}");
            failure.to_string()
        };
        let budget = RetryBudget::new(NonZeroU32::MIN, 1.0);
        assert_eq!(texts(retry().retries(0), 0), "the only attempt exceeded its time-out");
        let expected = "all 2 attempts failed, the last by its time-out";
        assert_eq!(texts(retry().retries(1), 0), expected);
        let expected = "all 3 attempts failed, the last by its time-out; the last error: error 2";
        assert_eq!(texts(retry().retries(2), 2), expected);
        assert_eq!(
            texts(retry().budget(budget), 0),
            "not retried, because too many attempts of its batch failed; the last attempt \
             exceeded its time-out"
        );
        let text = texts(retry().within(HOUR).wait(100 * HOUR, 100 * HOUR).without_jitter(), 0);
        let expected = "no attempt succeeded within 3600s; the last attempt exceeded its time-out";
        assert_eq!(text, expected);
    });
}

#[test]
fn an_error_after_a_time_out_is_the_last_one() {
    with_timeout(|| {
        let executor = executor(1);
        let batch = executor.batch([()]).requests().retry(retry().retries(1));
        let handle = batch.submit(move |(), attempt| {
            if attempt.number() == 1 {
                wait_for(attempt);
            }
            AttemptOutcome::<(), _>::Retry { error: attempt.number(), after: None }
        });
        let failure = handle.unwrap().wait().into_outcomes().remove(0).unwrap_err();
        // A busy machine may be late with the second attempt, too.
        assert!(failure.attempt_timed_out() || failure.error() == Some(&2), "{failure}");
        assert_eq!(failure.attempts(), 2);
    });
}

#[test]
fn an_attempt_that_exceeds_its_time_keeps_its_permits_until_it_ends() {
    with_timeout(|| {
        let narrow = RateLimiter::builder().max_in_flight(NonZeroU32::MIN).build().unwrap();
        let unlimited = RateLimiter::builder().build().unwrap();
        for (limiter, concurrency) in [(narrow, 9), (unlimited, 1)] {
            let executor = executor(3);
            let running = Arc::new(AtomicUsize::new(0));
            let batch = executor.batch(0..3).requests().retry(retry()).through(&limiter);
            let batch = batch.concurrency(NonZeroUsize::new(concurrency).unwrap());
            let handle = batch.submit(move |&n: &u32, attempt| {
                assert_eq!(running.fetch_add(1, SeqCst), 0, "one attempt at a time");
                if attempt.number() == 1 {
                    wait_for(attempt);
                    thread::sleep(5 * MS);
                }
                running.fetch_sub(1, SeqCst);
                AttemptOutcome::<_, ()>::Done(n)
            });
            assert_eq!(handle.unwrap().wait().into_values().unwrap(), [0, 1, 2]);
        }
    });
}

/// Starts an item whose first attempt exceeds its time, and goes on until the latch is open.
fn stuck_item(executor: &Executor, token: &CancellationToken, go_on: &Latch) -> Latch {
    let (second, opens, waits) = (Latch::default(), Latch::default(), go_on.clone());
    let (started, returned) = (second.clone(), opens.clone());
    let batch = executor.batch([()]).cancelled_by(token).requests().retry(retry());
    let handle = batch.submit(move |(), attempt| {
        if attempt.number() == 1 {
            waits.wait();
            return AttemptOutcome::Done(());
        }
        started.open();
        wait_for(attempt);
        AttemptOutcome::Failed(())
    });
    second.wait();
    thread::spawn(move || {
        let report = handle.unwrap().wait();
        assert!(report.outcomes()[0].is_err());
        returned.open();
    });
    opens
}

#[test]
fn a_cancellation_ends_an_item_with_an_attempt_that_is_late() {
    with_timeout(|| {
        let (executor, go_on) = (executor(2), Latch::default());
        let token = CancellationToken::new();
        let returned = stuck_item(&executor, &token, &go_on);
        token.cancel();
        returned.wait();
        go_on.open();
        assert!(executor.shutdown(Shutdown::Drain, Some(HOUR)).is_complete());
    });
}

#[test]
fn time_outs_hold_while_running_attempts_finish() {
    with_timeout(|| {
        let (executor, runtime) = (executor(1), runtime());
        let live = LiveCounter::default();
        let (futures, started) = (live.clone(), Latch::default());
        let opens = started.clone();
        let batch = executor.batch(0..1_u64).requests().retry(retry());
        let handle = batch.submit_async(spawner(&runtime), move |_, _| {
            opens.open();
            endless(&futures)
        });
        started.wait();
        // The workers end, so the consumer ends the attempt.
        let consumer = thread::spawn(|| handle.unwrap().wait());
        assert!(executor.shutdown(Shutdown::FinishRunning, Some(HOUR)).is_complete());
        let report = consumer.join().unwrap();
        let Err(failure @ Failure::ShutDown(_)) = &report.outcomes()[0] else { panic!() };
        assert!(failure.attempts() >= 1 && failure.attempt_timed_out());
        live.wait_until_none_alive();
    });
}
