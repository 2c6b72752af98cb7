//! Many batches at once, each with failures, panics, cancellations and timeouts.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{block_on, executor, kinds, with_timeout};
use reorder_executor::{CancellationToken, Executor, Failure, Job};

/// Each item has exactly one outcome, at its own index of its own batch, whatever fails in this
/// batch and in the batches beside it.
#[test]
fn a_hundred_batches_of_a_thousand_items_with_all_kinds_of_failures() {
    with_timeout(|| {
        let executor = Arc::new(executor(3));
        let batches: Vec<_> = (0..100_usize)
            .map(|batch| {
                let executor = Arc::clone(&executor);
                thread::spawn(move || run_batch(&executor, batch))
            })
            .collect();
        let mut seen = std::collections::BTreeMap::new();
        for batch in batches {
            for kind in batch.join().unwrap().chars() {
                *seen.entry(kind).or_insert(0) += 1;
            }
        }
        assert!(seen.keys().copied().eq(".bcfip".chars()), "{seen:?}");
    });
}

/// Runs a batch and returns the kind of each outcome. Each item has a name, made of the batch and
/// the index, and its outcome must carry that name.
fn run_batch(executor: &Executor, batch: usize) -> String {
    let token = CancellationToken::new();
    let canceller = token.clone();
    let job = move |n: usize, job: &Job<'_>| {
        let name = batch * 1000 + n;
        match n * 7 % 500 + batch % 3 {
            0 => return Err(name),
            1 => std::panic::resume_unwind(Box::new(name)),
            2 if batch % 5 == 0 => canceller.cancel(),
            3 => {
                while batch % 2 == 0 && !job.should_stop() {
                    thread::yield_now();
                }
            }
            _ => {}
        }
        Ok(name)
    };
    let mut builder = executor.batch(0..1000_usize).cancelled_by(&token);
    builder = builder.item_timeout(Duration::from_millis(3));
    if batch % 7 == 0 {
        builder = builder.fail_fast();
    }
    if batch % 11 == 0 {
        builder = builder.deadline(Instant::now() + Duration::from_millis(5));
    }
    let outcomes = match batch % 4 {
        0 => builder.run(job).into_outcomes(),
        1 => builder.submit(job).unwrap().wait().into_outcomes(),
        2 => block_on(builder.submit(job).unwrap()).into_outcomes(),
        _ => {
            let mut outcomes: Vec<_> = builder.stream(job).unwrap().collect();
            // A stream that ends early delivers one failure for all items that were not pulled.
            // It never delivers more outcomes than its source has items, and that failure.
            assert!(outcomes.len() <= 1001);
            while outcomes.len() < 1000 {
                let last = match outcomes.last() {
                    Some(Err(Failure::Cancelled(item) | Failure::BatchDeadline(item))) => item,
                    last => panic!("{last:?}"),
                };
                assert!(!last.was_pulled());
                let same = Failure::Cancelled(last.clone());
                outcomes.push(Err(same));
            }
            outcomes.truncate(1000);
            outcomes
        }
    };
    assert_eq!(outcomes.len(), 1000);
    let kinds = kinds(&outcomes);
    for (n, outcome) in outcomes.into_iter().enumerate() {
        let name = match outcome {
            Ok(name) | Err(Failure::Failed { error: name, .. }) => name,
            Err(Failure::Panicked(panic)) => *panic.into_payload().downcast().unwrap(),
            Err(Failure::Cancelled(_) | Failure::BatchDeadline(_) | Failure::ItemDeadline(_)) => {
                continue;
            }
            Err(failure) => panic!("{failure:?}"),
        };
        assert_eq!(name, batch * 1000 + n);
    }
    kinds
}
