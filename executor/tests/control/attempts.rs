//! The index and the number of attempts of a failure, for each way in which an item fails.

use std::convert::Infallible;
use std::num::NonZeroUsize;
use std::time::Duration;

use crate::common::{Latch, executor, kinds, with_timeout};
use reorder_executor::{CancellationToken, Executor, Failure, Job, Shutdown, StreamExt};

const MS: Duration = Duration::from_millis(1);
const LONG: Duration = Duration::from_secs(100);

/// Returns the index and the attempts of each failure.
fn attempts<U, E>(outcomes: impl IntoIterator<Item = Result<U, Failure<E>>>) -> Vec<(usize, u32)> {
    let failures = outcomes.into_iter().enumerate();
    failures.filter_map(|(index, outcome)| Some((index, outcome.err()?.attempts()))).collect()
}

#[test]
fn a_job_that_ran_had_one_attempt() {
    let executor = executor(2);
    let job = |n: u32| match n {
        1 => Err("no"),
        3 => panic!("on purpose"),
        _ => Ok(n),
    };
    let expected = [(1, 1), (3, 1)];
    let report = executor.batch(0..5).run(move |n, _| job(n));
    assert!(report.failures().map(|(index, it)| (index, it.attempts())).eq(expected));
    assert_eq!(attempts(report), expected);
    let handle = executor.batch(0..5).submit(move |n, _| job(n)).unwrap();
    assert_eq!(attempts(handle.wait()), expected);
    assert_eq!(attempts(executor.batch(0..5).stream(move |n, _| job(n)).unwrap()), expected);
    assert_eq!(attempts(executor.execute_batch(0..5, |n| job(n).unwrap_or(0))), [(3, 1)]);
    assert_eq!(attempts(executor.stream(0..5, move |n| job(n).unwrap_or(0))), [(3, 1)]);
    let (sender, results) = executor.queue(move |n| job(n).unwrap_or(0)).build().unwrap();
    (0..4).for_each(|n| sender.send(n).unwrap());
    let place = sender.reserve().unwrap();
    drop((place, sender));
    // No job ran for the place, which was dropped.
    assert_eq!(attempts(results), [(3, 1), (4, 0)]);
    let (sender, results) = executor.batch(()).queue(|n: u32, _| Ok::<_, &str>(n)).build().unwrap();
    sender.reserve().unwrap().complete(Err("no")).unwrap();
    drop(sender);
    assert_eq!(attempts(results), [(0, 1)]);
}

#[test]
fn a_source_that_panics_is_no_attempt() {
    let source = (0..2).inspect(|&n| assert!(n < 1, "on purpose"));
    assert_eq!(attempts(executor(1).stream(source, |n| n)), [(1, 0)]);
}

#[test]
fn an_item_that_did_not_start_had_no_attempt() {
    with_timeout(|| {
        let executor = executor(1);
        let token = CancellationToken::new();
        token.cancel();
        let cancelled = || executor.batch(0..3).cancelled_by(&token);
        let job = |n, _: &Job<'_>| Ok::<i32, Infallible>(n);
        assert_eq!(attempts(cancelled().run(job)), [(0, 0), (1, 0), (2, 0)]);
        assert_eq!(attempts(cancelled().submit(job).unwrap().wait()), [(0, 0), (1, 0), (2, 0)]);
        assert_eq!(attempts(cancelled().stream(job).unwrap()), [(0, 0)]);
    });
}

/// Runs items of which the last one blocks, and returns how `end` ended them.
fn stopped_while_running(
    executor: &Executor,
    token: &CancellationToken,
    timeout: Duration,
    end: impl FnOnce(),
) -> Vec<(usize, u32)> {
    let (inside, go_on) = (Latch::default(), Latch::default());
    let (signal, latch) = (inside.clone(), go_on.clone());
    let batch = executor.batch(0..4).cancelled_by(token).item_timeout(timeout);
    let batch = batch.window(NonZeroUsize::new(2).unwrap());
    let mut stream = batch
        .stream(move |n, _| {
            if n == 1 {
                signal.open();
                latch.wait();
            }
            Ok::<_, Infallible>(n)
        })
        .unwrap();
    // On a busy machine, item 0 may take longer than a short time-out.
    assert!(stream.next().unwrap().is_ok() || timeout < LONG);
    inside.wait();
    end();
    let first = stream.next().unwrap();
    go_on.open();
    attempts([first])
}

#[test]
fn an_item_that_was_given_up_while_it_ran_had_one_attempt() {
    with_timeout(|| {
        let (executor, token) = (executor(1), CancellationToken::new());
        assert_eq!(stopped_while_running(&executor, &token, MS, || {}), [(0, 1)]);
        assert_eq!(stopped_while_running(&executor, &token, LONG, || token.cancel()), [(0, 1)]);
        let fresh = CancellationToken::new();
        let end = || _ = executor.shutdown(Shutdown::Abort, Some(Duration::ZERO));
        assert_eq!(stopped_while_running(&executor, &fresh, LONG, end), [(0, 1)]);
    });
}

#[test]
fn an_item_without_a_timeout_that_was_given_up_while_it_ran_had_one_attempt() {
    with_timeout(|| {
        let (executor, token) = (executor(1), CancellationToken::new());
        let (inside, go_on) = (Latch::default(), Latch::default());
        let (signal, latch) = (inside.clone(), go_on.clone());
        let handle = executor.batch([0]).cancelled_by(&token).submit(move |n, _| {
            signal.open();
            latch.wait();
            Ok::<_, Infallible>(n)
        });
        inside.wait();
        token.cancel();
        assert_eq!(attempts(handle.unwrap().wait()), [(0, 1)]);
        go_on.open();
    });
}

#[test]
fn a_batch_that_waits_for_its_items_counts_those_that_ran() {
    with_timeout(|| {
        let executor = executor(1);
        let slow = |_, job: &Job<'_>| {
            while !job.should_stop() {
                std::thread::yield_now();
            }
            Err::<(), _>("stopped")
        };
        let report = executor.batch([()]).item_timeout(MS).run(slow);
        let [Err(failure @ Failure::ItemDeadline(item))] = report.outcomes() else { panic!() };
        assert_eq!((failure.attempts(), item.attempts()), (1, 1));
        assert!(failure.to_string().ends_with("; the job failed: stopped"), "{failure}");
    });
}

#[test]
fn a_place_counts_as_started_unless_it_was_dropped() {
    with_timeout(|| {
        let executor = executor(1);
        let token = CancellationToken::new();
        let queue = |timeout| {
            let batch = executor.batch(()).cancelled_by(&token).item_timeout(timeout);
            batch.queue(|n: u32, _| Ok::<_, Infallible>(n)).build().unwrap()
        };
        // One place is dropped, and no result comes for the other before its time is over.
        let (sender, results) = queue(MS);
        let places = [(); 2].map(|()| sender.reserve().unwrap());
        let [dropped, late] = places;
        drop((dropped, sender));
        let outcomes: Vec<_> = results.collect();
        assert_eq!(kinds(&outcomes[1..]), "i");
        assert_eq!(late.complete(Ok(1)), Err(Ok(1)));
        // On a busy machine, the time of the first place is over before its drop.
        let dropped = matches!(outcomes[0], Err(Failure::PlaceDropped));
        assert_eq!(attempts(outcomes), [(0, u32::from(!dropped)), (1, 1)]);

        let (sender, mut results) = queue(LONG);
        let [dropped, cancelled] = [(); 2].map(|()| sender.reserve().unwrap());
        drop(dropped);
        assert_eq!(attempts(results.next()), [(0, 0)]);
        token.cancel();
        let outcomes = [results.next().unwrap()];
        assert_eq!(kinds(&outcomes), "c");
        assert_eq!(attempts(outcomes), [(0, 1)]);
        assert_eq!(cancelled.complete(Ok(1)), Err(Ok(1)));
    });
}

#[test]
fn item_results_name_their_items() {
    let executor = Executor::builder().workers(2).window(1024).build().unwrap();
    let stream = || {
        let mut stream = executor.stream(0..5000_u64, |n| assert!(n % 1000 != 7, "on purpose"));
        // The index counts the outcomes that were taken before.
        assert_eq!(stream.by_ref().take(3).count(), 3);
        stream.item_results()
    };
    let expected = [7, 1007, 2007, 3007, 4007];
    let mut one_by_one = Vec::new();
    for result in stream() {
        one_by_one.extend(result.err());
    }
    assert!(one_by_one.iter().map(|error| error.index).eq(expected));
    assert_eq!(one_by_one[1].to_string(), "item 1007: the job panicked: on purpose");
    let folded = stream().fold(Vec::new(), |mut errors, result| {
        errors.extend(result.err());
        errors
    });
    assert!(folded.iter().map(|error| error.index).eq(expected));
    let all: Result<Vec<()>, _> = stream().collect();
    assert_eq!(all.unwrap_err().index, 7);
    assert_eq!(stream().size_hint(), (4997, Some(4997)));
}

#[test]
fn a_lost_source_of_futures_is_no_attempt() {
    // The runtime drops the task that polls the source, before any item.
    let lost = futures_util::stream::iter([7]).map_ordered(drop, 4, |n| async move { n });
    assert_eq!(attempts(futures_executor::block_on_stream(lost)), [(0, 0)]);
}
