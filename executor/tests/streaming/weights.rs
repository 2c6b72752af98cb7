//! Budgets: the total weight of items that were pulled and not taken is bounded. `queue_weights`
//! has the tests of queues.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use crate::common::{Latch, LiveCounter, executor, kinds, with_timeout};
use crate::scale::{Fuse, Scale, numbers};
use reorder_executor::{CancellationToken, Executor, Failure, Job, Shutdown};

/// Runs items that are their own weights, and checks the weight of the items that have started.
fn check_budget(executor: &Executor, count: u64, below: u64, limit: u64) {
    let scale = Scale::new(limit);
    let counts = Arc::clone(&scale);
    let batch = executor.batch(numbers(count, below)).weight(limit, |&weight| weight);
    let job = move |weight, _: &Job<'_>| {
        counts.start(weight);
        Ok(weight)
    };
    scale.check(batch.stream(job).unwrap(), numbers(count, below));
}

#[test]
fn the_weight_of_started_items_stays_within_the_budget() {
    with_timeout(|| {
        for workers in [1, 3] {
            for limit in [1, 10, 50, 1000] {
                check_budget(&executor(workers), 2000, 60, limit);
            }
        }
    });
}

#[test]
fn extreme_weights_neither_overflow_nor_stand_still() {
    with_timeout(|| {
        let executor = executor(2);
        let weights = [0, u64::MAX, 0, 0, u64::MAX, u64::MAX, 1, 0, u64::MAX];
        for limit in [0, 1, u64::MAX] {
            let source = weights.into_iter().cycle().take(900);
            let batch = executor.batch(source).weight(limit, |&weight| weight);
            let outcomes = batch.stream(|weight, _| Ok::<_, Infallible>(weight)).unwrap();
            let taken: Vec<u64> = outcomes.map(Result::unwrap).collect();
            assert!(taken.into_iter().eq(weights.into_iter().cycle().take(900)), "limit {limit}");
        }
    });
}

#[test]
fn one_item_waits_and_no_more_are_pulled() {
    with_timeout(|| {
        let executor = executor(2);
        let pulled = Arc::new(AtomicU64::new(0));
        let counts = Arc::clone(&pulled);
        let source = (0..100_u64).inspect(move |_| _ = counts.fetch_add(1, SeqCst));
        let batch = executor.batch(source).weight(30, |_| 10);
        let mut outcomes = batch.stream(|n, _| Ok::<_, Infallible>(n)).unwrap();
        for n in 0..50 {
            while pulled.load(SeqCst) < n + 4 {
                thread::yield_now();
            }
            thread::sleep(Duration::from_micros(100));
            // Three fit, and the fourth waits.
            assert_eq!(pulled.load(SeqCst), n + 4);
            assert_eq!(outcomes.next().unwrap().unwrap(), n);
        }
    });
}

#[test]
fn a_job_corrects_the_weight_of_its_item() {
    with_timeout(|| {
        let executor = executor(2);
        let pulled = Arc::new(AtomicU64::new(0));
        let counts = Arc::clone(&pulled);
        let source = (0..200_u64).inspect(move |_| _ = counts.fetch_add(1, SeqCst));
        // Each item fills the budget until its job has ended.
        let batch = executor.batch(source).weight(100, |_| 100);
        let job = |n, job: &Job<'_>| {
            job.set_weight(if n < 50 { 1 } else { u64::MAX });
            Ok::<_, Infallible>(n)
        };
        let mut outcomes = batch.stream(job).unwrap();
        // Without a consumer, the results of 50 items come into the budget, and one that is alone
        // too heavy waits for them.
        while pulled.load(SeqCst) < 2 {
            thread::yield_now();
        }
        for n in 0..200 {
            assert_eq!(outcomes.next().unwrap().unwrap(), n);
        }
        assert!(outcomes.next().is_none());
        // Smaller results let more items in, before anything is taken.
        let ran = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&ran);
        let batch = executor.batch(0..10_u64).weight(100, |_| 91);
        let job = move |_, job: &Job<'_>| {
            job.set_weight(1);
            count.fetch_add(1, SeqCst);
            Ok::<_, Infallible>(())
        };
        let outcomes = batch.stream(job).unwrap();
        while ran.load(SeqCst) < 10 {
            thread::yield_now();
        }
        assert_eq!(outcomes.count(), 10);
    });
}

#[test]
fn limits_end_a_stream_whose_next_item_waits_for_room() {
    with_timeout(|| {
        for by in ["token", "shutdown", "drop"] {
            let executor = executor(1);
            let live = LiveCounter::default();
            let token = CancellationToken::new();
            let items: Vec<_> = (0..10).map(|n| live.track(n)).collect();
            let batch = executor.batch(items).cancelled_by(&token).weight(1, |_| 1);
            let mut outcomes = batch.stream(|item, _| Ok::<_, Infallible>(item)).unwrap();
            // Item 0 has run, and item 1 was pulled and waits.
            while outcomes.progress().finished() < 1 {
                thread::yield_now();
            }
            match by {
                "token" => token.cancel(),
                "shutdown" => _ = executor.shutdown(Shutdown::Abort, None),
                _ => {
                    drop(outcomes);
                    live.wait_until_none_alive();
                    continue;
                }
            }
            let taken: Vec<_> = outcomes.by_ref().collect();
            let expected = if by == "token" { [".c", "c"] } else { [".s", "s"] };
            assert!(expected.contains(&&*kinds(&taken)), "{}", kinds(&taken));
            drop((taken, outcomes));
            live.wait_until_none_alive();
        }
    });
}

#[test]
fn a_panic_of_the_weight_is_the_last_outcome() {
    with_timeout(|| {
        let executor = executor(2);
        let weigh = |&n: &u64| if n == 7 { panic!("seven is no weight") } else { n };
        let batch = executor.batch(0..100_u64).weight(5, weigh);
        let outcomes: Vec<_> = batch.stream(|n, _| Ok::<_, Infallible>(n)).unwrap().collect();
        assert_eq!(outcomes.len(), 8);
        let Some(Err(Failure::SourcePanicked(panic))) = outcomes.last() else { panic!() };
        assert_eq!(panic.message(), "seven is no weight");
    });
}

#[test]
fn a_panic_of_the_weight_is_an_outcome_also_if_the_drop_of_the_item_panics() {
    with_timeout(|| {
        let executor = executor(2);
        for heavy in [0, 3] {
            let live = LiveCounter::default();
            let (items, capture) = (live.clone(), Fuse(live.track(0), 0));
            let source = (0..100_u64).map(move |n| Fuse(items.track(n), n));
            let weigh = move |item: &Fuse| {
                let _capture = &capture;
                assert_ne!(item.1, heavy, "no weight");
                1
            };
            // The item and the function that weighs panic in their drops.
            let batch = executor.batch(source).weight(5, weigh);
            let outcomes = batch.stream(|item, _| {
                _ = catch_unwind(AssertUnwindSafe(|| drop(item)));
                Ok::<_, Infallible>(())
            });
            let outcomes: Vec<_> = outcomes.unwrap().collect();
            assert_eq!(outcomes.len() as u64, heavy + 1);
            let Some(Err(Failure::SourcePanicked(panic))) = outcomes.last() else { panic!() };
            assert!(panic.message().contains("no weight"), "{}", panic.message());
            live.wait_until_none_alive();
        }
    });
}

#[test]
fn a_stream_with_a_budget_survives_that_all_its_drops_panic() {
    with_timeout(|| {
        let executor = executor(1);
        let live = LiveCounter::default();
        let fuse = || Fuse(live.track(0), 1);
        let (in_source, in_weigh, in_job) = (fuse(), fuse(), fuse());
        let items = live.clone();
        let source = (0..100_u64).map(move |n| {
            let _capture = &in_source;
            Fuse(items.track(n), n)
        });
        let weigh = move |_: &Fuse| {
            let _capture = &in_weigh;
            1
        };
        let job = move |item: Fuse, _: &Job<'_>| {
            let _capture = &in_job;
            Ok::<_, Infallible>(item)
        };
        let outcomes = executor.batch(source).weight(1, weigh).stream(job).unwrap();
        // Item 0 has run, and item 1 waits for room.
        while outcomes.progress().finished() < 1 {
            thread::yield_now();
        }
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(outcomes)));
        assert!(dropped.is_err(), "the value panics where it is dropped");
        live.wait_until_none_alive();

        // Without a source, the other two are dropped while the thread unwinds.
        struct Nothing;
        impl IntoIterator for Nothing {
            type Item = u64;
            type IntoIter = std::vec::IntoIter<u64>;
            fn into_iter(self) -> Self::IntoIter {
                panic!("no source")
            }
        }
        let (in_weigh, in_job) = (fuse(), fuse());
        let weigh = move |_: &u64| {
            let _capture = &in_weigh;
            1
        };
        let job = move |_, _: &Job<'_>| {
            let _capture = &in_job;
            Ok::<_, Infallible>(())
        };
        let batch = executor.batch(Nothing).weight(1, weigh);
        let call = AssertUnwindSafe(|| batch.stream(job).map(drop).is_ok());
        let payload = catch_unwind(call).unwrap_err();
        assert_eq!(payload.downcast_ref(), Some(&"no source"));
        live.wait_until_none_alive();
    });
}

#[test]
fn a_consumer_that_is_a_worker_pulls_within_the_budget() {
    with_timeout(|| {
        // The consumer is the only worker, or another worker pulls ahead.
        for workers in [1, 2] {
            let executor = Arc::new(executor(workers));
            let inner = Arc::clone(&executor);
            let counts = executor.stream([100, 200], move |count| {
                check_budget(&inner, count, 5, 3);
                count
            });
            assert_eq!(counts.map(Result::unwrap).collect::<Vec<_>>(), [100, 200]);
        }
    });
}

#[test]
fn a_forgotten_stream_hinders_nothing() {
    with_timeout(|| {
        let executor = executor(1);
        let (started, latch) = (Latch::default(), Latch::default());
        let inside = started.clone();
        let batch = executor.batch(0..9).weight(2, |_| 1);
        std::mem::forget(batch.stream(move |_, _| {
            inside.open();
            Ok::<_, Infallible>(())
        }));
        started.wait();
        latch.open();
        assert_eq!(executor.map(0..9, |n| n), (0..9).collect::<Vec<_>>());
        drop(executor);
    });
}

#[test]
fn a_kept_item_survives_a_panic_of_the_size_hint() {
    /// Its hint panics once it is told to.
    struct Source(std::ops::Range<u64>, Arc<AtomicBool>);
    impl Iterator for Source {
        type Item = u64;
        fn next(&mut self) -> Option<u64> {
            self.0.next()
        }
        fn size_hint(&self) -> (usize, Option<usize>) {
            assert!(!self.1.load(SeqCst), "no hint");
            self.0.size_hint()
        }
    }
    with_timeout(|| {
        let executor = executor(1);
        let panics = Arc::new(AtomicBool::new(false));
        let pulled = Arc::new(AtomicU64::new(0));
        let (source, counts) = (Source(0..9, Arc::clone(&panics)), Arc::clone(&pulled));
        let weigh = move |_: &u64| {
            counts.fetch_add(1, SeqCst);
            1
        };
        let batch = executor.batch(source).weight(1, weigh);
        let outcomes = batch.stream(|n, _| Ok::<_, Infallible>(n)).unwrap();
        // Item 1 waits for room.
        while pulled.load(SeqCst) < 2 {
            thread::yield_now();
        }
        panics.store(true, SeqCst);
        assert!(outcomes.map(Result::unwrap).eq(0..9));
    });
}
