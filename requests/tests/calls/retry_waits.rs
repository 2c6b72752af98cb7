//! The waits of retries, and the retry budget of a batch.

use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::common::{executor, kinds, with_timeout};
use crate::futures::{HOUR, MS, runtime, spawner};
use backon::{BackoffBuilder, ExponentialBuilder};
use reorder_executor::Failure;
use reorder_requests::{Attempt, AttemptOutcome, RequestStats, RequestsExt, Retry, RetryBudget};

type Busy = AttemptOutcome<(), u32>;

fn busy(attempt: &Attempt) -> Busy {
    AttemptOutcome::Retry { error: attempt.number(), after: None }
}

#[test]
fn a_builder_of_backon_fits() {
    with_timeout(|| {
        let builder = ExponentialBuilder::default().with_min_delay(MS).with_max_times(3);
        let retry = Retry::new().within(HOUR).waits(move || builder.with_jitter().build());
        let executor = executor(2);
        let batch = executor.batch(0..20).requests().retry(retry);
        let report = batch.submit(|_: &u32, attempt| busy(attempt)).unwrap().wait();
        assert_eq!(kinds(report.outcomes()), "x".repeat(20));
        assert!(report.failures().all(|(_, failure)| failure.error() == Some(&4)));
    });
}

#[test]
fn an_iterator_decides_when_each_attempt_starts() {
    with_timeout(|| {
        let started = Arc::new(Mutex::new(Vec::new()));
        let starts = Arc::clone(&started);
        let retry = Retry::new().waits(|| [20 * MS, 50 * MS]);
        let executor = executor(1);
        let handle = executor.batch([()]).requests().retry(retry).submit(move |(), attempt| {
            starts.lock().unwrap().push(Instant::now());
            busy(attempt)
        });
        let outcome = handle.unwrap().wait().into_outcomes().remove(0);
        assert!(matches!(outcome, Err(Failure::RetriesExhausted(_))));
        let started = started.lock().unwrap();
        let waits: Vec<Duration> = started.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert_eq!(waits.len(), 2);
        assert!(waits[0] >= 20 * MS && waits[1] >= 50 * MS, "{waits:?}");
    });
}

/// An iterator that counts itself, and panics when it is asked again.
struct Panics(Arc<AtomicUsize>, bool);

impl Iterator for Panics {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        assert!(self.1, "no more waits");
        self.1 = false;
        Some(Duration::ZERO)
    }
}

impl Drop for Panics {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
        panic!("the iterator panics when it is dropped");
    }
}

#[test]
fn a_panic_of_an_iterator_is_the_outcome_of_its_item() {
    with_timeout(|| {
        let (executor, runtime) = (executor(1), runtime());
        let dropped = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&dropped);
        let retry = Retry::new().waits(move || Panics(Arc::clone(&count), true));
        let batch = || executor.batch(0..3_u32).requests().retry(retry.clone());
        let asks = |n: u32, attempt: &Attempt| match n {
            1 => busy(attempt),
            _ => AttemptOutcome::Done(()),
        };
        let blocking = batch().submit(move |&n, attempt| asks(n, attempt)).unwrap();
        let job = move |n: Arc<u32>, attempt: Attempt| async move { asks(*n, &attempt) };
        let spawned = batch().submit_async(spawner(&runtime), job).unwrap();
        for report in [blocking.wait(), spawned.wait()] {
            assert_eq!(kinds(report.outcomes()), ".p.");
            let (_, failure) = report.failures().next().unwrap();
            assert_eq!(failure.to_string(), "the job panicked at attempt 2: no more waits");
        }
        // A thread drops the iterator after it has delivered the outcome.
        drop((executor, runtime));
        assert_eq!(dropped.load(SeqCst), 2);
    });
}

#[test]
fn a_factory_that_panics_fails_its_items_alone() {
    with_timeout(|| {
        let executor = executor(1);
        let retry = Retry::new().waits(|| -> [Duration; 0] { panic!("no waits") });
        let handle =
            executor.batch(0..3).requests().retry(retry).submit(|&n, attempt| {
                if n == 1 { busy(attempt) } else { AttemptOutcome::Done(()) }
            });
        assert_eq!(kinds(handle.unwrap().wait().outcomes()), ".p.");
    });
}

#[test]
fn a_retry_budget_ends_the_retries_of_a_service_that_is_down() {
    with_timeout(|| {
        // One attempt at a time: if two fail at once, both tokens may be taken before the first
        // asks for its retry.
        let executor = executor(1);
        for (tokens, retries) in [(1, 0), (2, 0), (3, 1), (10, 4), (100, 49)] {
            let budget = RetryBudget::new(NonZeroU32::new(tokens).unwrap(), 0.5);
            let retry = Retry::new().wait(MS, MS).budget(budget);
            let batch = executor.batch(0..500).requests().retry(retry);
            let batch = batch.concurrency(NonZeroUsize::MIN);
            let report = batch.submit(|_: &u32, attempt| busy(attempt)).unwrap().wait();
            assert_eq!(report.stats::<RequestStats>().unwrap().attempts, 500 + retries);
            assert_eq!(kinds(report.outcomes()), "r".repeat(500));
            let (_, failure) = report.failures().next().unwrap();
            let text = failure.to_string();
            assert!(text.starts_with("not retried, because too many attempts"), "{text}");
        }
    });
}

#[test]
fn answers_pay_for_retries() {
    with_timeout(|| {
        let executor = executor(1);
        // Each item fails once. Without answers, the budget would end after 4 of them.
        let budget = RetryBudget::new(NonZeroU32::new(10).unwrap(), 1.0);
        let retry = Retry::new().waits(|| [Duration::ZERO]).budget(budget);
        let batch = executor.batch(0..200_u32).requests().retry(retry);
        let outcomes = batch.concurrency(NonZeroUsize::MIN).stream(|&n, attempt| {
            if attempt.number() == 1 {
                return AttemptOutcome::Retry { error: (), after: None };
            }
            AttemptOutcome::Done(n)
        });
        assert!(outcomes.unwrap().map(Result::unwrap).eq(0..200));
    });
}
