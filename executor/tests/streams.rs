//! Streams: order, window, early stop, sources that misbehave, life beyond the executor.

mod common;

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use common::{Census, Door, executor, without_hanging};
use reorder_executor::{Executor, Failure};

#[test]
fn outcomes_come_in_the_order_of_the_source() {
    for (workers, window) in [(1, 1), (2, 2), (2, 3), (3, 64)] {
        let executor = Executor::builder().workers(workers).window(window).build().unwrap();
        let stream = executor.stream(0..5000u64, |item| {
            if item % 97 == 0 {
                thread::sleep(Duration::from_micros(200));
            }
            item * 2
        });
        let values: Vec<u64> = stream.map(Result::unwrap).collect();
        assert_eq!(values, (0..5000).map(|item| item * 2).collect::<Vec<_>>());
    }
}

#[test]
fn no_more_than_the_window_is_outstanding() {
    const WINDOW: usize = 8;
    let executor = Executor::builder().workers(3).window(WINDOW).build().unwrap();
    let pulled = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&pulled);
    let source = (0..2000).inspect(move |_| _ = count.fetch_add(1, SeqCst));
    let (mut most, mut all) = (0, 0);
    for (taken, _) in executor.stream(source, |item| item).enumerate() {
        // Seen after this take: what was pulled, less what was taken, is at most the window.
        most = most.max(pulled.load(SeqCst) - taken);
        if taken % 100 == 0 {
            thread::sleep(Duration::from_millis(1));
        }
        all += 1;
    }
    assert_eq!(all, 2000);
    assert!(most <= WINDOW + 1, "{most} outstanding");
    assert!(most >= WINDOW, "the window was never used: {most}");
}

#[test]
fn a_panic_is_the_outcome_of_its_item() {
    let executor = executor(2);
    let stream = executor.stream(0..100, |item| {
        assert!(item % 10 != 3, "item {item}");
        item
    });
    let outcomes: Vec<_> = stream.collect();
    assert_eq!(outcomes.len(), 100);
    for (index, outcome) in outcomes.into_iter().enumerate() {
        match outcome {
            Ok(value) => assert_eq!((value, index % 10 != 3), (index, true)),
            Err(Failure::Panicked(panic)) => assert_eq!(panic.message(), format!("item {index}")),
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
fn a_source_that_panics_ends_the_stream_with_its_panic() {
    let executor = executor(2);
    let source = (0..100).map(|item| if item == 20 { panic!("source") } else { item });
    let mut stream = executor.stream(source, |item| item);
    for expected in 0..20 {
        assert_eq!(stream.next().unwrap().unwrap(), expected);
    }
    match stream.next() {
        Some(Err(Failure::SourcePanicked(panic))) => assert_eq!(panic.message(), "source"),
        other => panic!("{other:?}"),
    }
    assert!(stream.next().is_none());
    assert!(stream.next().is_none(), "fused");
}

/// A source that says when it is dropped.
struct Watched<I>(I, mpsc::Sender<()>);

impl<I: Iterator> Iterator for Watched<I> {
    type Item = I::Item;
    fn next(&mut self) -> Option<I::Item> {
        self.0.next()
    }
}

impl<I> Drop for Watched<I> {
    fn drop(&mut self) {
        _ = self.1.send(());
    }
}

#[test]
fn stopping_early_drops_the_source_and_refuses_late_results() {
    without_hanging(|| {
        for round in 0..200u64 {
            // The consumer must not help: it would block in a job that it is to let go of itself.
            let executor = Executor::builder().workers(2).consumer_helps(false).build().unwrap();
            let results = Census::default();
            let (dropped, was_dropped) = mpsc::channel();
            let members = results.clone();
            let late = Door::default();
            let door = late.clone();
            let mut stream = executor.stream(Watched(0u64.., dropped), move |item| {
                if item > 10 {
                    door.pass();
                }
                members.join(item)
            });
            for expected in 0..round % 11 {
                assert_eq!(stream.next().unwrap().unwrap().value, expected);
            }
            drop(stream);
            was_dropped.recv().expect("the source goes, whoever is pulling it");
            // These results are late now.
            late.open();
            results.wait_for_none();
        }
    });
}

#[test]
fn a_source_that_blocks_burns_no_cpu_and_can_be_abandoned() {
    without_hanging(|| {
        let executor = executor(2);
        let (items, source) = mpsc::channel::<u32>();
        let mut stream = executor.stream(source, |item| item + 1);
        items.send(1).unwrap();
        assert_eq!(stream.next().unwrap().unwrap(), 2);
        // A worker is stuck in the source now; another batch runs meanwhile.
        assert_eq!(executor.map(0..10, |item| item).len(), 10);
        drop(stream);
        drop(items);
    });
}

#[test]
fn a_source_that_blocks_keeps_one_worker_and_no_more() {
    without_hanging(|| {
        let (executor, door, pulled) = (executor(2), Door::default(), Door::default());
        // Both workers sleep, so that one is woken to search for what comes.
        thread::sleep(Duration::from_millis(1500));
        let blocking = {
            let (door, pulled) = (door.clone(), pulled.clone());
            executor.stream(
                std::iter::from_fn(move || {
                    pulled.open();
                    door.pass();
                    Some(())
                }),
                |()| (),
            )
        };
        pulled.pass();
        let others: Vec<u64> = executor.stream(0..100, |n| n).map(Result::unwrap).collect();
        assert!(others.into_iter().eq(0..100));
        door.open();
        drop(blocking);
    });
}

#[test]
fn no_item_waits_for_the_source_to_bring_another() {
    without_hanging(|| {
        let executor = executor(2);
        let (give, source) = mpsc::channel();
        let mut stream = executor.stream(source, |n: u64| n);
        // Cheap items, of which many would be pulled at once; then a source that has no more yet.
        for round in 0..20 {
            (0..100).for_each(|n| give.send(round * 100 + n).unwrap());
            for n in 0..100 {
                assert_eq!(stream.next().unwrap().unwrap(), round * 100 + n);
            }
        }
    });
}

#[test]
fn a_stream_inside_a_job_works_with_one_worker() {
    without_hanging(|| {
        let executor = Arc::new(executor(1));
        let inner = Arc::clone(&executor);
        let sums = executor.stream(0..4u64, move |item| -> u64 {
            inner.stream(0..100, move |n| n * item).map(Result::unwrap).sum()
        });
        let sums: Vec<u64> = sums.map(Result::unwrap).collect();
        assert_eq!(sums, [0, 4950, 9900, 14850]);
    });
}

#[test]
fn a_stream_outlives_its_executor() {
    without_hanging(|| {
        for consumer_helps in [true, false] {
            let executor =
                Executor::builder().workers(2).consumer_helps(consumer_helps).build().unwrap();
            let mut stream = executor.stream(0..10_000, |item| item);
            assert_eq!(stream.next().unwrap().unwrap(), 0);
            drop(executor);
            let rest: Vec<i32> = stream.map(Result::unwrap).collect();
            assert_eq!(rest, (1..10_000).collect::<Vec<_>>());
        }
    });
}

#[test]
fn a_stream_runs_before_anybody_asks_for_it() {
    without_hanging(|| {
        let executor = executor(2);
        // Long enough for the workers to be asleep, usually.
        thread::sleep(Duration::from_millis(30));
        let ran = Door::default();
        let last = ran.clone();
        let stream = executor.stream(0..100, move |item| {
            if item == 99 {
                last.open();
            }
            item
        });
        ran.pass();
        assert_eq!(stream.map(Result::unwrap).collect::<Vec<_>>(), (0..100).collect::<Vec<_>>());
    });
}

#[test]
fn a_consumer_that_waits_learns_that_the_executor_is_gone() {
    without_hanging(|| {
        let executor = Executor::builder().workers(1).consumer_helps(false).build().unwrap();
        let (entered, stuck) = (Door::default(), Door::default());
        let (in_job, other) = (entered.clone(), stuck.clone());
        let stream = executor.stream(0..100, move |item| {
            match item {
                0 => {
                    in_job.open();
                    other.pass();
                }
                // Nobody but the consumer can run this one: the only worker is stuck before it.
                1 => other.open(),
                _ => {}
            }
            item
        });
        let consumer = thread::spawn(move || stream.map(Result::unwrap).collect::<Vec<_>>());
        entered.pass();
        // Long enough for the consumer to be asleep, usually.
        thread::sleep(Duration::from_millis(30));
        drop(executor);
        assert_eq!(consumer.join().unwrap(), (0..100).collect::<Vec<_>>());
    });
}

#[test]
fn an_executor_may_be_dropped_inside_its_own_job() {
    without_hanging(|| {
        for workers in [1, 2] {
            let executor = Arc::new(executor(workers));
            let own = Arc::new(std::sync::Mutex::new(Some(Arc::clone(&executor))));
            let last = Door::default();
            let is_last = last.clone();
            let stream = executor.stream(0..50, move |item| {
                if item == 3 {
                    is_last.pass();
                    drop(own.lock().unwrap().take());
                }
                item
            });
            drop(executor);
            last.open();
            assert_eq!(stream.map(Result::unwrap).collect::<Vec<_>>(), (0..50).collect::<Vec<_>>());
        }
    });
}

#[test]
fn a_value_whose_drop_panics_late_does_not_kill_a_worker() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("bomb");
        }
    }
    without_hanging(|| {
        let executor = executor(1);
        let (entered, late) = (Door::default(), Door::default());
        let (in_job, door) = (entered.clone(), late.clone());
        let stream = executor.stream(0..1, move |_| {
            in_job.open();
            door.pass();
            Bomb
        });
        entered.pass();
        drop(stream);
        late.open();
        assert_eq!(executor.map(0..100, |item| item).len(), 100);
    });
}

#[test]
fn a_forgotten_stream_hurts_nobody() {
    without_hanging(|| {
        let executor = executor(2);
        std::mem::forget(executor.stream(0u64.., |item| item));
        assert_eq!(executor.map(0..100, |item| item).len(), 100);
    });
}

/// What is pulled at once lies on the stack: as many as fit there, which depends on their size.
#[test]
fn items_of_any_size_come_in_order() {
    fn check<const WORDS: usize>() {
        let executor = Executor::builder().workers(2).window(1024).build().unwrap();
        let items = (0..20_000u64).map(|item| [item; WORDS]);
        let stream = executor.stream(items, |words| {
            assert!(words.iter().all(|word| *word == words[0]));
            words[0]
        });
        assert!(stream.map(Result::unwrap).eq(0..20_000), "items of {WORDS} words");
    }
    check::<16>();
    check::<17>();
    check::<32>();
    check::<33>();
}
