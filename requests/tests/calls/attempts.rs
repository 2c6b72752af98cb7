//! The number of attempts of a failure, for each way in which a request fails.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use crate::common::{executor, with_timeout};
use reorder_executor::{CancellationToken, Failure};
use reorder_requests::{AttemptOutcome, RequestsExt, Retry};

const LONG: Duration = Duration::from_secs(100);

/// Returns the index and the attempts of each failure.
fn attempts<U, E>(outcomes: impl IntoIterator<Item = Result<U, Failure<E>>>) -> Vec<(usize, u32)> {
    let failures = outcomes.into_iter().enumerate();
    failures.filter_map(|(index, outcome)| Some((index, outcome.err()?.attempts()))).collect()
}

#[test]
fn a_request_has_the_number_of_its_last_attempt() {
    with_timeout(|| {
        let executor = executor(2);
        let retry = Retry::new().retries(3).wait(Duration::ZERO, Duration::ZERO);
        let batch = executor.batch(0..5_u32).requests().retry(retry);
        let handle = batch.submit(|&n, attempt| match (n, attempt.number()) {
            (0, 1) => AttemptOutcome::Failed("at once"),
            (1, 3) => AttemptOutcome::Failed("at last"),
            (2, 2) => panic!("on purpose"),
            (4, 4) => AttemptOutcome::Done(()),
            _ => AttemptOutcome::Retry { error: "busy", after: None },
        });
        let report = handle.unwrap().wait();
        let texts: Vec<_> = report.failures().map(|(_, failure)| failure.to_string()).collect();
        assert_eq!(
            texts,
            [
                "the job failed: at once",
                "the job failed at attempt 3: at last",
                "the job panicked at attempt 2: on purpose",
                "all 4 attempts failed, the last with: busy",
            ]
        );
        assert_eq!(attempts(report), [(0, 1), (1, 3), (2, 2), (3, 4)]);
    });
}

#[test]
fn a_request_without_an_attempt_never_starts() {
    with_timeout(|| {
        let executor = executor(2);
        for round in 0..2000 {
            let token = CancellationToken::new();
            let ran = Arc::new([const { AtomicBool::new(false) }; 32]);
            let runs = Arc::clone(&ran);
            let batch = executor.batch(0..32).cancelled_by(&token).requests();
            let mut outcomes = batch
                .stream(move |&n: &usize, _| {
                    runs[n].store(true, SeqCst);
                    AttemptOutcome::<_, Infallible>::Done(n)
                })
                .unwrap();
            let taken = outcomes.by_ref().take(round % 8).count();
            token.cancel();
            let failed = attempts(outcomes.by_ref());
            assert!(outcomes.until_idle(Some(LONG)));
            for (behind, attempts) in failed {
                let has_run = ran.get(taken + behind).is_some_and(|ran| ran.load(SeqCst));
                assert!(attempts > 0 || !has_run, "item {} has run", taken + behind);
            }
        }
    });
}

#[test]
fn a_future_that_its_runtime_dropped_was_an_attempt() {
    let executor = executor(1);
    let batch = executor.batch([7]).requests();
    let handle = batch
        .submit_async(drop, |_: Arc<i32>, _| async { AttemptOutcome::<(), Infallible>::Done(()) });
    assert_eq!(attempts(handle.unwrap().wait()), [(0, 1)]);
    let panics = |_| panic!("the spawner panics, on purpose");
    let handle = executor.batch([7]).requests().submit_async(panics, |_: Arc<i32>, _| async {
        AttemptOutcome::<(), Infallible>::Done(())
    });
    assert_eq!(attempts(handle.unwrap().wait()), [(0, 1)]);
}
