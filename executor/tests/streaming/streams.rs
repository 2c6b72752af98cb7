//! Streams: order, window, early stop, sources that panic or block, streams that outlive their
//! executor.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;

use crate::common::{Latch, LiveCounter, block_on, executor, with_timeout};
use reorder_executor::{Executor, Failure, Job};

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
        // At most a window of items has been pulled and not taken yet.
        most = most.max(pulled.load(SeqCst) - taken);
        if taken % 100 == 0 {
            thread::sleep(Duration::from_millis(1));
        }
        all += 1;
    }
    assert_eq!(all, 2000);
    assert!(most <= WINDOW + 1, "{most} items were outstanding");
    assert!(most >= WINDOW, "at most {most} items were outstanding");
}

/// Takes outcomes of a stream whose window is full, and expects the next item to run after each.
fn refilled_after_each_outcome(window: u64, started: &mpsc::Receiver<u64>, mut take: impl FnMut()) {
    let limit = Duration::from_secs(30);
    let mut running: Vec<_> =
        (0..window).map(|_| started.recv_timeout(limit).expect("the window is filled")).collect();
    running.sort_unstable();
    assert_eq!(running, (0..window).collect::<Vec<_>>());
    for next in window..window + 20 {
        take();
        assert_eq!(started.recv_timeout(limit), Ok(next), "the window is refilled");
    }
    assert!(started.try_recv().is_err(), "the window is full again");
}

#[test]
fn the_window_is_refilled_when_an_outcome_was_returned() {
    // With two workers, a window above four has chunks of more than one item.
    for window in [1, 2, 4] {
        let executor = Executor::builder().workers(2).window(window as usize).build().unwrap();
        let (starting, started) = mpsc::channel();
        let starts = starting.clone();
        let mut stream = executor.stream(0_u64.., move |n| _ = starts.send(n));
        refilled_after_each_outcome(window, &started, || stream.next().unwrap().unwrap());
        drop(stream);

        let (starting, started) = mpsc::channel();
        let job = move |n, _: &Job<'_>| starting.send(n).map_err(|_| ());
        let mut stream = executor.batch(0_u64..).stream(job).unwrap();
        refilled_after_each_outcome(window, &started, || {
            block_on(poll_fn(|cx| stream.poll_next(cx))).unwrap().unwrap();
        });
    }
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
    assert!(stream.next().is_none(), "the stream is not fused");
}

/// A source that sends a message when it is dropped.
struct ReportsDrop<I>(I, mpsc::Sender<()>);

impl<I: Iterator> Iterator for ReportsDrop<I> {
    type Item = I::Item;
    fn next(&mut self) -> Option<I::Item> {
        self.0.next()
    }
}

impl<I> Drop for ReportsDrop<I> {
    fn drop(&mut self) {
        _ = self.1.send(());
    }
}

#[test]
fn stopping_early_drops_the_source_and_refuses_late_results() {
    with_timeout(|| {
        for round in 0..200u64 {
            // The consumer must not help: it would block in a job that only the consumer unblocks.
            let executor = Executor::builder().workers(2).consumer_helps(false).build().unwrap();
            let results = LiveCounter::default();
            let (dropped, was_dropped) = mpsc::channel();
            let tracker = results.clone();
            let late = Latch::default();
            let latch = late.clone();
            let mut stream = executor.stream(ReportsDrop(0u64.., dropped), move |item| {
                if item > 10 {
                    latch.wait();
                }
                tracker.track(item)
            });
            for expected in 0..round % 11 {
                assert_eq!(stream.next().unwrap().unwrap().value, expected);
            }
            drop(stream);
            was_dropped.recv().expect("the source is dropped, also while a worker pulls it");
            // The jobs that wait return their results only now, after the drop.
            late.open();
            results.wait_until_none_alive();
        }
    });
}

#[test]
fn a_source_that_blocks_does_not_block_other_batches_or_the_drop_of_its_stream() {
    with_timeout(|| {
        let executor = executor(2);
        let (items, source) = mpsc::channel::<u32>();
        let mut stream = executor.stream(source, |item| item + 1);
        items.send(1).unwrap();
        assert_eq!(stream.next().unwrap().unwrap(), 2);
        // A worker blocks in the source now. Another batch runs meanwhile.
        assert_eq!(executor.map(0..10, |item| item).len(), 10);
        drop(stream);
        drop(items);
    });
}

#[test]
fn a_source_that_blocks_blocks_one_worker_only() {
    with_timeout(|| {
        let (executor, latch, pulled) = (executor(2), Latch::default(), Latch::default());
        // Both workers are asleep after this, so that the stream wakes one of them.
        thread::sleep(Duration::from_millis(1500));
        let blocking = {
            let (latch, pulled) = (latch.clone(), pulled.clone());
            executor.stream(
                std::iter::from_fn(move || {
                    pulled.open();
                    latch.wait();
                    Some(())
                }),
                |()| (),
            )
        };
        pulled.wait();
        let others: Vec<u64> = executor.stream(0..100, |n| n).map(Result::unwrap).collect();
        assert!(others.into_iter().eq(0..100));
        latch.open();
        drop(blocking);
    });
}

#[test]
fn an_item_is_delivered_though_the_source_blocks_before_the_next() {
    with_timeout(|| {
        let executor = executor(2);
        let (give, source) = mpsc::channel();
        let mut stream = executor.stream(source, |n: u64| n);
        // The items are cheap, so that the puller pulls many at once. After each hundred the
        // source blocks.
        for round in 0..20 {
            (0..100).for_each(|n| give.send(round * 100 + n).unwrap());
            for n in 0..100 {
                assert_eq!(stream.next().unwrap().unwrap(), round * 100 + n);
            }
        }
    });
}

#[test]
fn a_future_of_the_next_outcome_may_be_dropped_at_any_time() {
    with_timeout(|| {
        let (executor, latch) = (executor(1), Latch::default());
        let first_waits = latch.clone();
        let mut stream = executor.stream(0..100_u64, move |n| {
            if n == 0 {
                first_waits.wait();
            }
            n
        });
        let mut context = Context::from_waker(Waker::noop());
        // It waits for item 0, and does not block.
        assert!(pin!(stream.next_async()).poll(&mut context).is_pending());
        latch.open();
        for n in 0..100 {
            drop(stream.next_async());
            assert_eq!(block_on(stream.next_async()).expect("an item").unwrap(), n);
        }
        assert!(block_on(stream.next_async()).is_none());
        assert!(block_on(stream.next_async()).is_none());
    });
}

#[test]
fn a_stream_inside_a_job_works_with_one_worker() {
    with_timeout(|| {
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
    with_timeout(|| {
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
fn a_stream_runs_before_its_consumer_asks_for_an_item() {
    with_timeout(|| {
        let executor = executor(2);
        // Usually the workers are asleep after this.
        thread::sleep(Duration::from_millis(30));
        let ran = Latch::default();
        let last = ran.clone();
        let stream = executor.stream(0..100, move |item| {
            if item == 99 {
                last.open();
            }
            item
        });
        ran.wait();
        assert_eq!(stream.map(Result::unwrap).collect::<Vec<_>>(), (0..100).collect::<Vec<_>>());
    });
}

#[test]
fn dropping_the_executor_wakes_a_waiting_consumer() {
    with_timeout(|| {
        let executor = Executor::builder().workers(1).consumer_helps(false).build().unwrap();
        let (entered, stuck) = (Latch::default(), Latch::default());
        let (in_job, second_ran) = (entered.clone(), stuck.clone());
        let stream = executor.stream(0..100, move |item| {
            match item {
                0 => {
                    in_job.open();
                    second_ran.wait();
                }
                // Only the consumer can run this item: the one worker waits in the first.
                1 => second_ran.open(),
                _ => {}
            }
            item
        });
        let consumer = thread::spawn(move || stream.map(Result::unwrap).collect::<Vec<_>>());
        entered.wait();
        // Usually the consumer is asleep after this.
        thread::sleep(Duration::from_millis(30));
        drop(executor);
        assert_eq!(consumer.join().unwrap(), (0..100).collect::<Vec<_>>());
    });
}

#[test]
fn an_executor_may_be_dropped_inside_its_own_job() {
    with_timeout(|| {
        for workers in [1, 2] {
            let executor = Arc::new(executor(workers));
            let own = Arc::new(std::sync::Mutex::new(Some(Arc::clone(&executor))));
            let last = Latch::default();
            let is_last = last.clone();
            let stream = executor.stream(0..50, move |item| {
                if item == 3 {
                    is_last.wait();
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
    struct PanicsOnDrop;
    impl Drop for PanicsOnDrop {
        fn drop(&mut self) {
            panic!("dropped, on purpose");
        }
    }
    with_timeout(|| {
        let executor = executor(1);
        let (entered, late) = (Latch::default(), Latch::default());
        let (in_job, latch) = (entered.clone(), late.clone());
        let stream = executor.stream(0..1, move |_| {
            in_job.open();
            latch.wait();
            PanicsOnDrop
        });
        entered.wait();
        drop(stream);
        late.open();
        assert_eq!(executor.map(0..100, |item| item).len(), 100);
    });
}

#[test]
fn a_forgotten_stream_does_not_stop_other_batches() {
    with_timeout(|| {
        let executor = executor(2);
        std::mem::forget(executor.stream(0u64.., |item| item));
        assert_eq!(executor.map(0..100, |item| item).len(), 100);
    });
}

#[test]
fn large_items_come_in_order() {
    const BYTES: usize = 64 * 1024;
    with_timeout(|| {
        let executor = executor(2);
        let stream = executor.stream((0..20u8).map(|n| [n; BYTES]), |item| item[BYTES - 1]);
        assert_eq!(stream.map(Result::unwrap).collect::<Vec<_>>(), (0..20).collect::<Vec<_>>());
    });
}

/// The puller keeps a chunk of items on its stack. Their size decides how many fit there.
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
