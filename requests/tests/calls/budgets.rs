//! Budgets of requests: the total weight of items that were pulled and not taken is bounded.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use crate::common::{LiveCounter, executor, kinds, with_timeout};
use crate::futures::{HOUR, MS, endless, runtime, spawner};
use crate::weights::{Fuse, Scale, numbers};
use futures_util::stream;
use reorder_executor::{CancellationToken, Executor, Failure, Ordered, Shutdown};
use reorder_requests::{Attempt, AttemptOutcome, RequestStats, Requests, RequestsExt, Retry};

fn retried<I, W>(requests: Requests<'_, I, W>) -> Requests<'_, I, W> {
    requests.retry(Retry::new().within(10 * HOUR).wait(MS / 10, MS))
}

/// Returns an async stream of the items, which is pending before every second item.
fn hesitant<T>(mut items: impl Iterator<Item = T>) -> impl futures_util::Stream<Item = T> {
    let mut polls = 0_u32;
    stream::poll_fn(move |cx| {
        polls += 1;
        if polls % 3 == 1 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(items.next())
    })
}

/// Adds an item to the scale at its first attempt.
fn start(scale: &Scale, weight: u64, attempt: &Attempt) {
    if attempt.number() == 1 {
        scale.start(weight);
    }
}

/// Needs up to 3 attempts, and may fail.
fn attempt(weight: u64, attempt: &Attempt) -> AttemptOutcome<u64, u64> {
    match (weight + attempt.index()) % 5 {
        needed @ 0..3 if u64::from(attempt.number()) <= needed => {
            AttemptOutcome::Retry { error: weight, after: None }
        }
        3 => AttemptOutcome::Failed(weight),
        _ => AttemptOutcome::Done(weight),
    }
}

#[test]
fn the_weight_of_started_items_stays_within_the_budget_with_retries() {
    with_timeout(|| {
        let weights: Vec<u64> = numbers(400, 60).collect();
        let weigh = |&weight: &u64| weight;
        for (workers, limit) in [(1, 50), (3, 1), (3, 50), (2, 1000)] {
            for of_stream in [false, true] {
                let executor = executor(workers);
                let scale = Scale::new(limit);
                let counts = Arc::clone(&scale);
                let job = move |&weight: &u64, now: &Attempt| {
                    start(&counts, weight, now);
                    attempt(weight, now)
                };
                let outcomes = if of_stream {
                    let batch = executor.batch(hesitant(weights.clone().into_iter()));
                    retried(batch.weight_stream(limit, weigh).requests()).map_stream(job).unwrap()
                } else {
                    let batch = executor.batch(weights.clone()).weight(limit, weigh);
                    retried(batch.requests()).stream(job).unwrap()
                };
                scale.check(outcomes, weights.iter().copied());
            }
        }
    });
}

#[test]
fn the_weight_of_futures_stays_within_the_budget() {
    with_timeout(|| {
        let runtime = runtime();
        let weights: Vec<u64> = numbers(300, 60).collect();
        for of_stream in [false, true] {
            let executor = executor(2);
            let scale = Scale::new(100);
            let counts = Arc::clone(&scale);
            let job = move |weight: Arc<u64>, now: Attempt| {
                start(&counts, *weight, &now);
                async move {
                    tokio::time::sleep(MS / 20 * (*weight % 7) as u32).await;
                    attempt(*weight, &now)
                }
            };
            let outcomes = if of_stream {
                let batch = executor.batch(hesitant(weights.clone().into_iter()));
                let batch = batch.weight_stream(100, |&weight| weight).requests();
                retried(batch).map_stream_async(spawner(&runtime), job)
            } else {
                let batch = executor.batch(weights.clone()).weight(100, |&weight| weight);
                let opened = retried(batch.requests()).stream_async(spawner(&runtime), job);
                Ok(opened.unwrap())
            };
            scale.check(outcomes.unwrap(), weights.iter().copied());
        }
    });
}

#[test]
fn extreme_weights_neither_overflow_nor_stand_still() {
    with_timeout(|| {
        let executor = executor(2);
        let weights = [0, u64::MAX, 0, 0, u64::MAX, u64::MAX, 1, 0, u64::MAX];
        for limit in [0, 1, u64::MAX] {
            let source = weights.into_iter().cycle().take(300);
            let batch = executor.batch(source).weight(limit, |&weight| weight).requests();
            let outcomes = batch.stream(|&weight, _| AttemptOutcome::<_, ()>::Done(weight));
            let taken: Vec<u64> = outcomes.unwrap().map(Result::unwrap).collect();
            assert!(taken.into_iter().eq(weights.into_iter().cycle().take(300)), "limit {limit}");
        }
    });
}

/// Opens a stream of 20 items that weigh 10 in a budget of 30. Their attempts fail until `succeeds`
/// is set. Returns the stream, and the number of items that were pulled.
fn failing(
    executor: &Executor,
    succeeds: Arc<AtomicBool>,
    set_weight: bool,
) -> (Ordered<'static, u64, ()>, Arc<AtomicU64>) {
    let pulled = Arc::new(AtomicU64::new(0));
    let counts = Arc::clone(&pulled);
    let source = (0..20_u64).inspect(move |_| _ = counts.fetch_add(1, SeqCst));
    let batch = executor.batch(source).weight(30, |_| 10);
    let outcomes = retried(batch.requests()).stream(move |&n, attempt| {
        if set_weight {
            attempt.set_weight(1);
        }
        match succeeds.load(SeqCst) {
            true => AttemptOutcome::Done(n),
            false => AttemptOutcome::Retry { error: (), after: None },
        }
    });
    (outcomes.unwrap(), pulled)
}

#[test]
fn items_that_wait_for_an_attempt_count() {
    with_timeout(|| {
        let executor = executor(2);
        let succeeds = Arc::new(AtomicBool::new(false));
        let (outcomes, pulled) = failing(&executor, Arc::clone(&succeeds), false);
        while outcomes.stats::<RequestStats>().unwrap().attempts < 30 {
            thread::yield_now();
        }
        // Three fit, and the fourth waits.
        assert_eq!(pulled.load(SeqCst), 4);
        succeeds.store(true, SeqCst);
        assert!(outcomes.map(Result::unwrap).eq(0..20));
    });
}

#[test]
fn an_attempt_corrects_the_weight_of_its_item() {
    with_timeout(|| {
        let executor = executor(2);
        let succeeds = Arc::new(AtomicBool::new(false));
        // Without a consumer, and while all items wait for their next attempts, all have room.
        let (outcomes, pulled) = failing(&executor, Arc::clone(&succeeds), true);
        while pulled.load(SeqCst) < 20 {
            thread::yield_now();
        }
        succeeds.store(true, SeqCst);
        assert!(outcomes.map(Result::unwrap).eq(0..20));

        // Futures make room at their ends, and heavier results keep later items waiting.
        let runtime = runtime();
        for result in [1, u64::MAX] {
            let started = Arc::new(AtomicU64::new(0));
            let counts = Arc::clone(&started);
            let batch = executor.batch(0..20_u64).weight(100, |_| 91).requests();
            let job = move |n: Arc<u64>, attempt: Attempt| {
                counts.fetch_add(1, SeqCst);
                async move {
                    tokio::time::sleep(MS / 10).await;
                    attempt.set_weight(result);
                    AttemptOutcome::<_, ()>::Done(*n)
                }
            };
            let mut outcomes = batch.stream_async(spawner(&runtime), job).unwrap();
            if result == 1 {
                // 9 small results and one item fit.
                while started.load(SeqCst) < 10 {
                    thread::yield_now();
                }
            }
            for n in 0..20 {
                if result > 1 {
                    assert!(started.load(SeqCst) <= n + 1);
                }
                assert_eq!(outcomes.next().unwrap().unwrap(), n);
            }
            assert!(outcomes.next().is_none());
        }
    });
}

#[test]
fn items_that_the_consumer_skips_make_room() {
    with_timeout(|| {
        let executor = executor(2);
        // They wait for an hour, or run for ever, until the consumer gives up on them.
        let batch = executor.batch(0..20_u64).item_timeout(2 * MS).weight(10, |_| 10);
        let waiting = retried(batch.requests())
            .stream(|_, _| AttemptOutcome::<(), _>::Retry { error: "busy", after: Some(HOUR) });
        let outcomes: Vec<_> = waiting.unwrap().collect();
        assert_eq!(kinds(&outcomes), "i".repeat(20));

        let (live, runtime) = (LiveCounter::default(), runtime());
        let items = live.clone();
        let batch = executor.batch(0..20_u64).item_timeout(2 * MS).weight(25, |_| 10);
        let running = batch.requests().stream_async(spawner(&runtime), move |_, _| endless(&items));
        let outcomes: Vec<_> = running.unwrap().collect();
        assert_eq!(kinds(&outcomes), "i".repeat(20));
        live.wait_until_none_alive();
    });
}

#[test]
fn limits_end_requests_whose_next_item_waits_for_room() {
    with_timeout(|| {
        for by in ["token", "shutdown", "drop", "failure"] {
            let executor = executor(1);
            let live = LiveCounter::default();
            let token = CancellationToken::new();
            let items: Vec<_> = (0..10).map(|n| live.track(n)).collect();
            let batch = executor.batch(items).cancelled_by(&token);
            let batch = if by == "failure" { batch.fail_fast() } else { batch };
            let batch = batch.weight(1, |_| 1).requests();
            let mut outcomes = batch
                .stream(move |item, _| match by {
                    "failure" => AttemptOutcome::Failed(item.value),
                    _ => AttemptOutcome::Done(item.value),
                })
                .unwrap();
            // Item 0 has its outcome, and item 1 was pulled and waits.
            while outcomes.progress().finished() < 1 {
                thread::yield_now();
            }
            match by {
                "token" => token.cancel(),
                "shutdown" => _ = executor.shutdown(Shutdown::Abort, None),
                "failure" => {}
                _ => {
                    drop(outcomes);
                    live.wait_until_none_alive();
                    continue;
                }
            }
            let taken: Vec<_> = outcomes.by_ref().collect();
            let expected = match by {
                "token" => [".c", "c"],
                "shutdown" => [".s", "s"],
                _ => ["fc", "fc"],
            };
            assert!(expected.contains(&&*kinds(&taken)), "{by}: {}", kinds(&taken));
            drop((taken, outcomes));
            live.wait_until_none_alive();
        }
    });
}

#[test]
fn a_panic_of_the_weight_is_the_last_outcome_also_if_all_drops_panic() {
    with_timeout(|| {
        let executor = executor(2);
        for (heavy, of_stream) in [(0, false), (3, false), (0, true), (3, true)] {
            let live = LiveCounter::default();
            let (items, capture) = (live.clone(), Fuse(live.track(0), 0));
            let source = (0..100_u64).map(move |n| Fuse(items.track(n), n));
            let weigh = move |item: &Fuse| {
                let _capture = &capture;
                assert_ne!(item.1, heavy, "no weight");
                1
            };
            let job = |_: &Fuse, _: &Attempt| AttemptOutcome::<_, Infallible>::Done(());
            let outcomes = if of_stream {
                let batch = executor.batch(hesitant(source)).weight_stream(2, weigh);
                batch.requests().map_stream(job).unwrap()
            } else {
                executor.batch(source).weight(2, weigh).requests().stream(job).unwrap()
            };
            let outcomes: Vec<_> = outcomes.collect();
            assert_eq!(outcomes.len() as u64, heavy + 1);
            let Some(Err(Failure::SourcePanicked(panic))) = outcomes.last() else { panic!() };
            assert!(panic.message().contains("no weight"), "{}", panic.message());
            live.wait_until_none_alive();
        }
        // The stream is dropped while an item waits for room.
        let live = LiveCounter::default();
        let (items, capture) = (live.clone(), Fuse(live.track(0), 0));
        let source = (0..100_u64).map(move |n| Fuse(items.track(n), n));
        let weigh = move |_: &Fuse| {
            let _capture = &capture;
            1
        };
        let batch = executor.batch(source).weight(1, weigh).requests();
        let outcomes = batch.stream(|_, _| AttemptOutcome::<_, ()>::Done(())).unwrap();
        while outcomes.progress().finished() < 1 {
            thread::yield_now();
        }
        _ = catch_unwind(AssertUnwindSafe(|| drop(outcomes)));
        live.wait_until_none_alive();
    });
}

#[test]
fn a_refused_source_comes_back_and_its_function_is_dropped() {
    let executor = executor(1);
    _ = executor.shutdown(Shutdown::Drain, None);
    let live = LiveCounter::default();
    let capture = live.track(0);
    let weigh = move |_: &u64| {
        let capture = &capture;
        capture.value
    };
    let batch = executor.batch(vec![1, 2, 3]).weight(1, weigh).requests();
    let refused = batch.stream(|&n, _| AttemptOutcome::<_, ()>::Done(n)).unwrap_err();
    assert_eq!(refused.into_inner().collect::<Vec<u64>>(), [1, 2, 3]);
    assert_eq!(live.alive(), 0);
}

#[test]
fn a_consumer_without_workers_pulls_within_the_budget() {
    with_timeout(|| {
        // The consumer runs the requests itself: it is the only worker.
        let executor = Arc::new(executor(1));
        let inner = Arc::clone(&executor);
        let counts = executor.stream([100_u64, 200], move |count| {
            let weights: Vec<u64> = numbers(count, 5).collect();
            let scale = Scale::new(20);
            let counted = Arc::clone(&scale);
            let batch = inner.batch(weights.clone()).weight(20, |&weight| weight).requests();
            // While items wait for their next attempts, the consumer pulls ahead.
            let outcomes = retried(batch).stream(move |&weight, now| {
                start(&counted, weight, now);
                attempt(weight, now)
            });
            scale.check(outcomes.unwrap(), weights);
            count
        });
        assert_eq!(counts.map(Result::unwrap).collect::<Vec<_>>(), [100, 200]);
    });
}

#[test]
fn requests_that_wait_for_room_use_no_thread() {
    with_timeout(|| {
        let executor = executor(1);
        let batch = executor.batch(0..3_u64).weight(1, |_| 1).requests();
        let outcomes = batch.stream(|&n, _| AttemptOutcome::<_, ()>::Done(n)).unwrap();
        while outcomes.progress().finished() < 1 {
            thread::sleep(Duration::from_micros(100));
        }
        // The only worker is free, though the source waits.
        assert_eq!(executor.stream(0..100, |n| n).count(), 100);
        while !executor.snapshot().workers().is_empty() {
            thread::yield_now();
        }
        assert!(outcomes.map(Result::unwrap).eq(0..3));
    });
}
