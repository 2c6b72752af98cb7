//! Streams whose outcomes are in order by key.

use std::collections::HashMap;
use std::convert::Infallible;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::thread;

use crate::common::{Latch, LiveCounter, executor, with_timeout};
use reorder_executor::{CommitFrontier, Failure, OrderedByKey};

fn window(items: usize) -> NonZeroUsize {
    NonZeroUsize::new(items).unwrap()
}

/// Asserts that the items of each key come in order, and each item once.
fn assert_ordered<E: Send>(outcomes: OrderedByKey<'_, (u64, u64), E>, items: u64) {
    let (mut last, mut frontier) = (HashMap::new(), CommitFrontier::new(0));
    for next in outcomes {
        let Ok((key, n)) = next.outcome else { panic!("item {} failed", next.index) };
        assert_eq!(next.index, n);
        frontier.done(n).expect("each item once");
        assert!(last.insert(key, n).is_none_or(|before| before < n), "key {key}");
    }
    assert_eq!((frontier.position(), frontier.ranges().len()), (Some(items), 0));
}

#[test]
fn outcomes_of_a_key_come_in_the_order_of_the_source() {
    with_timeout(|| {
        for (workers, items, keys) in [(1, 100, 3), (2, 20_000, 7), (3, 20_000, 5000)] {
            for key_window in [None, NonZeroUsize::new(1), NonZeroUsize::new(2)] {
                let executor = executor(workers);
                let batch = executor.batch(0..items).window(window(100));
                let mut batch = batch.ordered_by_key(move |n: &u64| n * n % keys);
                if let Some(items) = key_window {
                    batch = batch.key_window(items);
                }
                let stream = batch.stream(move |n, _| {
                    (0..n % 31 * 20).for_each(|_| std::hint::spin_loop());
                    Ok::<_, Infallible>((n * n % keys, n))
                });
                assert_ordered(stream.unwrap(), items);
            }
        }
    });
}

#[test]
fn a_stuck_key_holds_back_no_other_while_the_window_has_room() {
    with_timeout(|| {
        let (executor, latch) = (executor(2), Latch::default());
        let stuck = latch.clone();
        // Key 0 has 10 items, and the window has room for them and one more.
        let batch = executor.batch(0..1000_u64).window(window(11));
        let batch = batch.ordered_by_key(|n| if n % 100 == 0 { 0 } else { 1 + n % 7 });
        let mut stream = batch
            .stream(move |n, _| {
                if n == 0 {
                    stuck.wait();
                }
                Ok::<_, Infallible>(n)
            })
            .unwrap();
        let others: Vec<u64> = stream.by_ref().take(990).map(|it| it.index).collect();
        assert!(others.iter().all(|index| index % 100 != 0));
        // The job of the last item of key 0 may still be at its end.
        while stream.progress().finished() < 999 {
            thread::yield_now();
        }
        assert_eq!((stream.progress().pulled(), stream.progress().delivered()), (1000, 990));
        latch.open();
        let rest: Vec<u64> = stream.map(|it| it.index).collect();
        assert_eq!(rest, (0..10).map(|n| n * 100).collect::<Vec<_>>());
    });
}

#[test]
fn a_stuck_key_that_fills_the_window_stops_the_stream_until_it_goes_on() {
    with_timeout(|| {
        let (executor, latch) = (executor(2), Latch::default());
        let (stuck, (entered, entries)) = (latch.clone(), mpsc::channel());
        let batch = executor.batch(0..20_u64).window(window(4));
        let batch = batch.ordered_by_key(|n| *n == 19).key_window(window(1));
        let mut stream = batch
            .stream(move |n, _| {
                entered.send(n).unwrap();
                if n == 0 {
                    stuck.wait();
                }
                Ok::<_, Infallible>(n)
            })
            .unwrap();
        assert_eq!(entries.recv(), Ok(0));
        while stream.progress().pulled() < 4 {
            thread::yield_now();
        }
        assert!(stream.next_timeout(std::time::Duration::from_millis(20)).is_err());
        assert_eq!(stream.progress().pulled(), 4, "the window is full of the items of one key");
        assert!(entries.try_recv().is_err(), "they wait unstarted");
        latch.open();
        assert_eq!(stream.map(|it| it.index).collect::<Vec<_>>().len(), 20);
    });
}

#[test]
fn the_window_of_a_key_is_exact() {
    with_timeout(|| {
        for limit in 1..4 {
            let executor = executor(4);
            let running: Arc<[AtomicUsize; 2]> = Arc::default();
            let peak: Arc<AtomicUsize> = Arc::default();
            let (counts, most) = (Arc::clone(&running), Arc::clone(&peak));
            let batch = executor.batch(0..400_usize).window(window(50));
            let batch = batch.ordered_by_key(|n| n % 2).key_window(window(limit));
            let stream = batch.stream(move |n, _| {
                let now = counts[n % 2].fetch_add(1, SeqCst) + 1;
                most.fetch_max(now, SeqCst);
                thread::yield_now();
                counts[n % 2].fetch_sub(1, SeqCst);
                Ok::<_, Infallible>(n)
            });
            assert_eq!(stream.unwrap().count(), 400);
            assert!(peak.load(SeqCst) <= limit, "{} of {limit}", peak.load(SeqCst));
        }
    });
}

#[test]
fn items_beyond_the_window_of_a_key_start_when_it_has_room() {
    with_timeout(|| {
        let (executor, latch) = (executor(3), Latch::default());
        let (stuck, (entered, entries)) = (latch.clone(), mpsc::channel());
        let batch = executor.batch(0..6_u64).ordered_by_key(|_| ()).key_window(window(2));
        let stream = batch.stream(move |n, _| {
            entered.send(n).unwrap();
            if n == 0 {
                stuck.wait();
            }
            Ok::<_, Infallible>(n)
        });
        let stream = stream.unwrap();
        let mut first = [entries.recv().unwrap(), entries.recv().unwrap()];
        first.sort_unstable();
        assert_eq!(first, [0, 1]);
        while stream.progress().finished() < 1 || stream.progress().pulled() < 6 {
            thread::yield_now();
        }
        // Item 1 has run, and waits for item 0. It counts.
        assert!(entries.try_recv().is_err());
        latch.open();
        assert_eq!(stream.map(|it| it.index).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5]);
    });
}

#[test]
fn keys_are_forgotten_when_they_have_no_items() {
    #[derive(PartialEq, Eq, Hash)]
    struct Key(u64);
    static LIVE: AtomicUsize = AtomicUsize::new(0);
    static PEAK: AtomicUsize = AtomicUsize::new(0);
    impl Drop for Key {
        fn drop(&mut self) {
            LIVE.fetch_sub(1, SeqCst);
        }
    }
    with_timeout(|| {
        let executor = executor(2);
        let batch = executor.batch(0..50_000_u64).window(window(16));
        let batch = batch.ordered_by_key(|&n| {
            PEAK.fetch_max(LIVE.fetch_add(1, SeqCst) + 1, SeqCst);
            Key(n)
        });
        let stream = batch.stream(|n, _| Ok::<_, Infallible>((n, n))).unwrap();
        assert_ordered(stream, 50_000);
        assert!(PEAK.load(SeqCst) <= 64 + 1, "{}", PEAK.load(SeqCst));
        assert_eq!(LIVE.load(SeqCst), 0);
    });
}

#[test]
fn panics_of_keys_and_jobs_are_outcomes_of_their_items() {
    with_timeout(|| {
        let executor = executor(2);
        let live = LiveCounter::default();
        let items: Vec<_> = (0..40).map(|n| live.track(n)).collect();
        let batch = executor.batch(items).ordered_by_key(|item| {
            assert!(item.value % 10 != 3, "no key");
            item.value % 2
        });
        let batch = batch.key_window(window(1)).stream(|item, _| {
            assert!(item.value % 10 != 4, "no value");
            if item.value % 10 == 5 { Err("an error") } else { Ok(item.value) }
        });
        let mut outcomes: Vec<_> = batch.unwrap().collect();
        outcomes.sort_by_key(|it| it.index);
        for (index, next) in (0..40).zip(outcomes) {
            assert_eq!(next.index, index);
            match (index % 10, next.outcome) {
                (3, Err(Failure::Panicked(panic))) => assert_eq!(panic.message(), "no key"),
                (4, Err(Failure::Panicked(panic))) => assert_eq!(panic.message(), "no value"),
                (5, Err(Failure::Failed { error, .. })) => assert_eq!(error, "an error"),
                (_, Ok(value)) => assert_eq!(value, index),
                (_, Err(failure)) => panic!("item {index}: {failure}"),
            }
        }
        live.wait_until_none_alive();
    });
}
