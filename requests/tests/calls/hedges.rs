//! Hedges: second attempts at the item that holds up all others. The tests of the dispatcher show
//! when a hedge starts.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{Latch, LiveCounter, executor, kinds, with_timeout};
use crate::futures::{HOUR, MS, Task, endless, runtime, spawner};
use reorder_executor::{BatchReport, CancellationToken, Failure, Outcome, Shutdown};
use reorder_requests::{Attempt, AttemptOutcome, Hedge, RequestStats, RequestsExt, Retry};

fn retry() -> Retry {
    Retry::new().within(10 * HOUR).wait(MS, MS)
}

fn wait_for(attempt: &Attempt) {
    while !attempt.should_stop() {
        thread::yield_now();
    }
}

/// Returns the hedges of a batch that were started, have won, and were wasted.
fn hedges<U, E>(report: &BatchReport<U, E>) -> [u64; 3] {
    let stats = report.stats::<RequestStats>().unwrap();
    [stats.hedges, stats.hedges_won, stats.hedges_wasted]
}

#[test]
fn a_hedge_wins_and_the_job_that_lost_learns_it() {
    with_timeout(|| {
        let executor = executor(2);
        let live = LiveCounter::default();
        let values = live.clone();
        let batch = executor.batch(0..9_u64).requests().hedge(Hedge::after(20 * MS));
        let handle = batch.submit(move |&n, attempt| {
            assert_eq!(attempt.is_hedge(), attempt.number() == 2);
            if n == 3 && attempt.number() == 1 {
                // Only the end of its item stops it.
                wait_for(attempt);
            }
            AttemptOutcome::<_, ()>::Done(values.track(n))
        });
        let mut handle = handle.unwrap();
        assert!(handle.until_idle(Some(HOUR)));
        let report = handle.wait();
        let [started, won, wasted] = hedges(&report);
        // On a busy machine, others may have had a hedge.
        assert!(won >= 1 && started == won + wasted);
        assert!(report.late_results() >= 1);
        assert_eq!(report.attempts()[3], 2);
        let values = report.into_values().unwrap();
        assert!(values.iter().map(|value| value.value).eq(0..9));
        drop(values);
        live.wait_until_none_alive();
    });
}

#[test]
fn the_first_attempt_wins_and_its_hedge_is_wasted() {
    with_timeout(|| {
        let executor = executor(2);
        let hedged = Latch::default();
        let batch = executor.batch([7]).requests().hedge(Hedge::after(Duration::ZERO));
        let handle = batch.submit(move |&n, attempt| {
            if attempt.is_hedge() {
                hedged.open();
                wait_for(attempt);
                return AttemptOutcome::<_, ()>::Done(0);
            }
            hedged.wait();
            AttemptOutcome::Done(n)
        });
        let mut handle = handle.unwrap();
        assert!(handle.until_idle(Some(HOUR)));
        let report = handle.wait();
        assert_eq!((hedges(&report), report.late_results()), ([1, 0, 1], 1));
        assert_eq!(report.attempts(), [2]);
        assert_eq!(report.into_values().unwrap(), [7]);
    });
}

#[test]
fn the_future_that_loses_is_dropped() {
    with_timeout(|| {
        let (executor, runtime) = (executor(1), runtime());
        for winner in [1, 2] {
            let live = LiveCounter::default();
            let (futures, both) = (live.clone(), Arc::new(AtomicUsize::new(0)));
            let batch = executor.batch([7]).requests().hedge(Hedge::after(Duration::ZERO));
            let handle = batch.submit_async(spawner(&runtime), move |n, attempt| {
                let (tracked, both) = (futures.track(0), Arc::clone(&both));
                let stuck = (attempt.number() != winner).then(|| endless(&futures));
                async move {
                    let _tracked = tracked;
                    both.fetch_add(1, SeqCst);
                    while both.load(SeqCst) < 2 {
                        tokio::task::yield_now().await;
                    }
                    match stuck {
                        Some(stuck) => stuck.await,
                        None => AttemptOutcome::Done(*n),
                    }
                }
            });
            let report = handle.unwrap().wait();
            let won = u64::from(winner - 1);
            assert_eq!(hedges(&report), [1, won, 1 - won]);
            assert_eq!(report.into_values().unwrap(), [7]);
            live.wait_until_none_alive();
        }
    });
}

/// An item with two attempts.
struct Both {
    outcome: Outcome<u32, String>,
    stats: RequestStats,
    attempts: u32,
    late: usize,
}

/// Runs an item whose first attempt and hedge run at the same time, and end like this. `order` says
/// which one ends first. Waits for this number of late results.
fn run_both(
    retry: Retry,
    order: [u32; 2],
    late: usize,
    end: impl Fn(u32) -> AttemptOutcome<u32, String> + Send + Sync + 'static,
) -> Both {
    let executor = executor(2);
    let (hedged, first_ended) = (Latch::default(), Latch::default());
    let go_on = first_ended.clone();
    let batch = executor.batch([()]).requests().retry(retry).hedge(Hedge::after(Duration::ZERO));
    let mut stream = batch
        .stream(move |(), attempt| {
            let number = attempt.number();
            if number == 2 {
                hedged.open();
            }
            hedged.wait();
            if number == order[1] {
                go_on.wait();
            }
            end(number)
        })
        .unwrap();
    let has_ended = |stats: RequestStats| stats.capacity_retries + stats.refused_as_closed > 0;
    while !has_ended(stream.stats::<RequestStats>().unwrap()) && stream.progress().finished() == 0 {
        thread::yield_now();
    }
    first_ended.open();
    let outcome = stream.next().unwrap();
    assert!(stream.until_idle(Some(HOUR)));
    // An attempt is over shortly before its result counts as late.
    while stream.late_results() < late {
        thread::yield_now();
    }
    let (stats, attempts) = (stream.stats::<RequestStats>().unwrap(), stream.attempts().unwrap());
    Both { outcome, stats, attempts, late: stream.late_results() }
}

#[test]
fn if_both_fail_the_item_is_retried_with_the_outcome_of_the_later_one() {
    with_timeout(|| {
        for order in [[1, 2], [2, 1]] {
            let busy = |number: u32| AttemptOutcome::Retry {
                error: format!("error {number}"),
                after: None,
            };
            let both = run_both(retry().retries(0), order, 0, busy);
            let expected = format!("all 2 attempts failed, the last with: error {}", order[1]);
            assert_eq!(both.outcome.unwrap_err().to_string(), expected);
            let both = run_both(retry().retries(1), order, 0, move |number| match number {
                1 | 2 => busy(number),
                _ => AttemptOutcome::Done(number),
            });
            assert!(both.attempts >= 3);
            assert_eq!(both.stats.capacity_retries, 2);
            assert!(both.outcome.is_ok());
        }
    });
}

#[test]
fn a_failure_and_a_panic_are_results() {
    with_timeout(|| {
        for order in [[1, 2], [2, 1]] {
            let won = u64::from(order[0] - 1);
            let check = |both: &Both, kind: char| {
                assert_eq!((both.late, both.attempts), (1, 2));
                let stats = both.stats;
                let hedges = (stats.hedges, stats.hedges_won, stats.hedges_wasted);
                assert_eq!(hedges, (1, won, 1 - won));
                let actual = match &both.outcome {
                    Ok(_) => '.',
                    Err(Failure::Failed { .. }) => 'f',
                    Err(Failure::Panicked(_)) => 'p',
                    Err(_) => '?',
                };
                assert_eq!(actual, kind);
            };
            let fails = move |number| match number == order[0] {
                true => AttemptOutcome::Failed("refused".to_owned()),
                false => AttemptOutcome::Done(number),
            };
            check(&run_both(retry(), order, 1, fails), 'f');
            let panics = move |number| {
                assert_ne!(number, order[0], "on purpose");
                AttemptOutcome::Done(number)
            };
            check(&run_both(retry(), order, 1, panics), 'p');
            // The attempt that comes too late may panic as well.
            let panics = move |number| {
                assert_ne!(number, order[1], "on purpose");
                AttemptOutcome::Done(number)
            };
            check(&run_both(retry(), order, 1, panics), '.');
        }
    });
}

#[test]
fn the_other_attempt_decides_after_a_retry_or_a_closing() {
    with_timeout(|| {
        for order in [[1, 2], [2, 1]] {
            for closed in [false, true] {
                let both = run_both(retry().retries(0), order, 0, move |number| {
                    let error = "busy".to_owned();
                    match (number == order[0], closed) {
                        (false, _) => AttemptOutcome::Done(number),
                        (true, false) => AttemptOutcome::Retry { error, after: None },
                        (true, true) => AttemptOutcome::Closed { error, after: MS },
                    }
                });
                assert_eq!((both.late, both.outcome.unwrap()), (0, order[1]));
            }
        }
    });
}

#[test]
fn a_future_that_its_runtime_drops_leaves_the_item_to_the_other_attempt() {
    with_timeout(|| {
        let (executor, runtime) = (executor(1), runtime());
        let (handle, calls) = (runtime.handle().clone(), AtomicUsize::new(0));
        let held = Mutex::new(None);
        // The first future is dropped when the second one has been spawned.
        let spawner = move |task: Task| {
            if calls.fetch_add(1, SeqCst) == 0 {
                *held.lock().unwrap() = Some(task);
                return;
            }
            handle.spawn(task);
            drop(held.lock().unwrap().take());
        };
        let batch = executor.batch([7]).requests().hedge(Hedge::after(MS));
        let outcomes = batch.submit_async(spawner, |n, _| async move {
            tokio::time::sleep(20 * MS).await;
            AttemptOutcome::<_, ()>::Done(*n)
        });
        assert_eq!(outcomes.unwrap().wait().into_values().unwrap(), [7]);
    });
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Cancellation,
    Shutdown,
    Deadline,
    Timeout,
    AttemptTimeout,
    Drop,
}

#[test]
fn both_futures_are_dropped_when_their_item_ends() {
    with_timeout(|| {
        for end in [
            End::Cancellation,
            End::Shutdown,
            End::Deadline,
            End::Timeout,
            End::AttemptTimeout,
            End::Drop,
        ] {
            let (executor, runtime) = (executor(1), runtime());
            let (live, token) = (LiveCounter::default(), CancellationToken::new());
            let (futures, both) = (live.clone(), Latch::default());
            let started = both.clone();
            let mut batch = executor.batch([7_u64]).cancelled_by(&token);
            let mut retry = retry().retries(0);
            match end {
                End::Deadline => batch = batch.deadline(Instant::now() + 100 * MS),
                End::Timeout => batch = batch.item_timeout(100 * MS),
                End::AttemptTimeout => retry = retry.attempt_timeout(100 * MS),
                _ => {}
            }
            let batch = batch.requests().retry(retry).hedge(Hedge::after(MS));
            let handle = batch.submit_async(spawner(&runtime), move |_, attempt| {
                if attempt.is_hedge() {
                    started.open();
                }
                endless(&futures)
            });
            let handle = handle.unwrap();
            if !matches!(end, End::Deadline | End::Timeout | End::AttemptTimeout) {
                both.wait();
            }
            match end {
                End::Cancellation => token.cancel(),
                End::Shutdown => _ = executor.shutdown(Shutdown::Abort, Some(HOUR)),
                _ => {}
            }
            if end == End::Drop {
                drop(handle);
            } else {
                let report = handle.wait();
                let expected = match end {
                    End::Cancellation => "c",
                    End::Shutdown => "s",
                    End::Deadline => "b",
                    End::Timeout => "i",
                    _ => "x",
                };
                assert_eq!(kinds(report.outcomes()), expected, "{end:?}");
                let Err(failure) = &report.outcomes()[0] else { panic!() };
                assert_eq!(failure.attempt_timed_out(), end == End::AttemptTimeout);
                let is_kept = matches!(end, End::Cancellation | End::Shutdown);
                assert!(!is_kept || failure.attempts() == 2, "{end:?}: {failure:?}");
                let [started, won, wasted] = hedges(&report);
                assert_eq!((won, wasted), (0, started), "{end:?}");
            }
            live.wait_until_none_alive();
        }
    });
}

#[test]
fn a_stream_of_hedged_requests_keeps_its_order() {
    with_timeout(|| {
        let (executor, runtime) = (executor(1), runtime());
        let hedge = Hedge::at_quantile(0.9).min_samples(10);
        let batch = executor.batch(0..300_u64).requests().hedge(hedge);
        let mut outcomes = batch
            .stream_async(spawner(&runtime), |n, attempt| async move {
                if *n % 50 == 49 && !attempt.is_hedge() {
                    // The stream would never end without hedges.
                    std::future::pending::<()>().await;
                }
                tokio::time::sleep(MS).await;
                AttemptOutcome::<_, ()>::Done(*n)
            })
            .unwrap();
        assert!(outcomes.by_ref().map(Result::unwrap).eq(0..300));
        let stats = outcomes.stats::<RequestStats>().unwrap();
        assert!(stats.hedges_won >= 6 && stats.attempts == 300 + stats.hedges, "{stats:?}");
    });
}

#[test]
fn the_failure_that_comes_first_counts() {
    with_timeout(|| {
        let both =
            run_both(retry(), [2, 1], 0, |number| AttemptOutcome::Failed(number.to_string()));
        let Err(Failure::Failed { error, attempts: 2, .. }) = both.outcome else { panic!() };
        assert_eq!(error, "2");
    });
}
