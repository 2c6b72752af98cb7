//! Many batches of requests at once, each with failures, panics, cancellations and timeouts.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::common::{block_on, executor, kinds, with_timeout};
use reorder_executor::{CancellationToken, Executor};
use reorder_requests::{Attempt, AttemptOutcome, RateLimiter, RequestsExt, Retry, Throttle};

/// Each item has exactly one outcome, at its own index of its own batch, whatever fails in this
/// batch and in the batches beside it. Half of the batches share a limiter.
#[test]
fn a_hundred_batches_of_requests_with_all_kinds_of_failures() {
    with_timeout(|| {
        let executor = Arc::new(executor(3));
        let throttle =
            Throttle::new(Duration::ZERO, Duration::from_micros(250), Duration::from_micros(20))
                .jitter(0.5);
        let limiter = RateLimiter::builder().throttle(throttle).build().unwrap();
        let batches: Vec<_> = (0..100_usize)
            .map(|batch| {
                let (executor, limiter) = (Arc::clone(&executor), limiter.clone());
                thread::spawn(move || run_requests(&executor, &limiter, batch))
            })
            .collect();
        let mut seen = std::collections::BTreeMap::new();
        for batch in batches {
            for kind in batch.join().unwrap().chars() {
                *seen.entry(kind).or_insert(0) += 1;
            }
        }
        assert!(seen.keys().copied().eq(".cfipx".chars()), "{seen:?}");
    });
}

/// Runs a batch and returns the kind of each outcome. Each item has a name, made of the batch and
/// the index, and its outcome must carry that name.
fn run_requests(executor: &Executor, limiter: &RateLimiter, batch: usize) -> String {
    let token = CancellationToken::new();
    let canceller = token.clone();
    let job = move |&n: &usize, attempt: &Attempt| {
        let name = batch * 1000 + n;
        match (n * 7 + attempt.number() as usize * 3 + batch) % 23 {
            0 => AttemptOutcome::Failed(name),
            1 if n % 5 == 0 => std::panic::resume_unwind(Box::new(name)),
            2 if batch % 5 == 0 && n > 90 => {
                canceller.cancel();
                AttemptOutcome::Done(name)
            }
            3..10 => {
                AttemptOutcome::Retry { error: name, after: (n % 2 == 0).then_some(Duration::ZERO) }
            }
            10 if n % 9 == 0 => {
                AttemptOutcome::Retry { error: name, after: Some(Duration::from_secs(3600)) }
            }
            _ => AttemptOutcome::Done(name),
        }
    };
    let mut builder = executor.batch(0..100_usize).cancelled_by(&token);
    builder = builder.item_timeout(Duration::from_millis(200));
    if batch % 7 == 0 {
        builder = builder.fail_fast();
    }
    let millis = Duration::from_millis;
    let retry = Retry::new().within(millis(100_000_000)).wait(millis(1), millis(1)).retries(1);
    let mut requests = builder.requests().retry(retry);
    if batch % 2 == 0 {
        requests = requests.through(limiter);
    }
    let handle = requests.submit(job).unwrap();
    let report = if batch % 3 == 0 { block_on(handle) } else { handle.wait() };
    assert_eq!(report.outcomes().len(), 100);
    for (n, outcome) in report.outcomes().iter().enumerate() {
        match outcome {
            Ok(name) => assert_eq!(*name, batch * 1000 + n),
            Err(failure) => {
                assert!(failure.error().is_none_or(|&name| name == batch * 1000 + n));
            }
        }
    }
    kinds(report.outcomes())
}
