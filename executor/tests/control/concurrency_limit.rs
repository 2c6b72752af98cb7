//! The limit of the threads of a call, and exact windows, which change while the call runs.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use crate::common::{Latch, executor, with_timeout};
use reorder_executor::{ConcurrencyLimit, Executor};

const MS: Duration = Duration::from_millis(1);

fn threads(number: usize) -> NonZeroUsize {
    NonZeroUsize::new(number).unwrap()
}

/// Counts the threads that run items.
#[derive(Clone, Default)]
struct Running(Arc<(AtomicUsize, AtomicUsize)>);

impl Running {
    fn run(&self) {
        let (now, most) = &*self.0;
        most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
        thread::sleep(MS / 10);
        now.fetch_sub(1, SeqCst);
    }

    fn now(&self) -> usize {
        self.0.0.load(SeqCst)
    }

    fn most(&self) -> usize {
        self.0.1.load(SeqCst)
    }
}

/// An iterator that the executor does not know, and that blocks now and then.
fn slow_source(count: u32) -> impl Iterator<Item = u32> + Send + 'static {
    let (sender, source) = mpsc::sync_channel(4);
    thread::spawn(move || {
        for n in 0..count {
            if n % 64 == 0 {
                thread::sleep(5 * MS);
            }
            if sender.send(n).is_err() {
                return;
            }
        }
    });
    source.into_iter()
}

#[test]
fn no_call_has_more_threads_than_its_limit() {
    with_timeout(|| {
        let executor = executor(4);
        for limit in 1..=3 {
            for slow in [false, true] {
                let running = Running::default();
                let job = {
                    let running = running.clone();
                    move |n: u32, _: &reorder_executor::Job<'_>| {
                        running.run();
                        Ok::<_, ()>(n)
                    }
                };
                let source = || -> Box<dyn Iterator<Item = u32> + Send> {
                    if slow { Box::new(slow_source(200)) } else { Box::new(0..200) }
                };
                let batch = || executor.batch(source()).concurrency(threads(limit));
                let expected: Vec<u32> = (0..200).collect();
                assert_eq!(batch().run(job.clone()).into_values().unwrap(), expected);
                let values: Result<Vec<_>, _> = batch().stream(job.clone()).unwrap().collect();
                assert_eq!(values.unwrap(), expected);
                let handle = batch().submit(job.clone()).unwrap();
                assert_eq!(handle.wait().into_values().unwrap(), expected);
                let queue = executor.batch(()).concurrency(threads(limit)).queue(job.clone());
                let (sender, outcomes) = queue.build().unwrap();
                source().for_each(|n| sender.send(n).unwrap());
                drop(sender);
                assert_eq!(outcomes.collect::<Result<Vec<_>, _>>().unwrap(), expected);
                assert!((1..=limit).contains(&running.most()), "{} of {limit}", running.most());
            }
        }
    });
}

#[test]
fn a_queue_without_limits_of_its_items_has_one_of_its_threads() {
    with_timeout(|| {
        let executor = executor(3);
        let running = Running::default();
        let counted = running.clone();
        let queue = executor.queue(move |n: u32| {
            counted.run();
            n
        });
        let (sender, outcomes) = queue.concurrency(threads(2)).build().unwrap();
        (0..200).for_each(|n| sender.send(n).unwrap());
        drop(sender);
        assert!(outcomes.map(Result::unwrap).eq(0..200));
        assert!((1..=2).contains(&running.most()));
    });
}

#[test]
fn the_rest_of_the_pool_serves_other_calls() {
    with_timeout(|| {
        let executor = executor(2);
        let held = Latch::default();
        let latch = held.clone();
        let batch = executor.batch(0..8).concurrency(threads(1));
        let blocked = batch.submit(move |n, _| {
            latch.wait();
            Ok::<_, ()>(n)
        });
        // The other worker is free.
        assert_eq!(
            executor.batch(0..100).submit(|n, _| Ok::<_, ()>(n)).unwrap().wait().outcomes().len(),
            100
        );
        held.open();
        assert!(blocked.unwrap().wait().into_values().is_ok());
    });
}

#[test]
fn a_limit_is_changed_while_calls_run() {
    with_timeout(|| {
        let executor = executor(3);
        let limit = ConcurrencyLimit::new(threads(1));
        assert_eq!(limit.get(), 1);
        let running = Running::default();
        let (held, counted) = (Latch::default(), running.clone());
        let latch = held.clone();
        let handle = executor.batch(0..9).concurrency(&limit).submit(move |n, _| {
            counted.0.0.fetch_add(1, SeqCst);
            latch.wait();
            counted.0.0.fetch_sub(1, SeqCst);
            Ok::<_, ()>(n)
        });
        let wait_for = |number| {
            while running.now() < number {
                thread::yield_now();
            }
        };
        wait_for(1);
        thread::sleep(20 * MS);
        assert_eq!(running.now(), 1);
        // Workers that sleep are woken by the change.
        limit.set(threads(3));
        wait_for(3);
        limit.set(threads(1));
        held.open();
        assert!(handle.unwrap().wait().into_values().is_ok());
        // The new number holds for later calls.
        let most = Running::default();
        let report = executor.batch(0..50).concurrency(&limit).run(|_, _| {
            most.run();
            Ok::<_, ()>(())
        });
        assert_eq!((report.outcomes().len(), most.most()), (50, 1));
    });
}

#[test]
fn nested_calls_and_helping_workers_keep_a_limit_of_one() {
    with_timeout(|| {
        for workers in 1..=2 {
            let executor = Arc::new(executor(workers));
            let inner = Arc::clone(&executor);
            let handle = executor.batch(0..20_u64).concurrency(threads(1)).submit(move |n, _| {
                let batch = inner.batch(0..20).concurrency(threads(1));
                let squares = batch.stream(move |m, _| Ok::<_, ()>(n * m)).unwrap();
                let sum: u64 = squares.map(Result::unwrap).sum();
                let batch = inner.batch(0..20).concurrency(threads(1));
                let report = batch.run(|m, _| Ok::<_, ()>(n * m));
                Ok::<_, ()>(sum + report.into_values().unwrap().iter().sum::<u64>())
            });
            let sums = handle.unwrap().wait().into_values().unwrap();
            assert!(sums.into_iter().eq((0..20).map(|n| n * 380)));
        }
    });
}

#[test]
fn a_source_that_waits_for_its_own_outcomes_goes_on_with_one_thread() {
    with_timeout(|| {
        let executor = executor(2);
        let (returned, next) = mpsc::channel();
        returned.send(0_u32).unwrap();
        // Each item is sent when its predecessor was delivered.
        let source = next.into_iter().take(100);
        let batch = executor.batch(source).concurrency(threads(1));
        let mut count = 0;
        for outcome in batch.stream(|n, _| Ok::<_, ()>(n)).unwrap() {
            assert_eq!(outcome.unwrap(), count);
            count += 1;
            _ = returned.send(count);
        }
        assert_eq!(count, 100);
    });
}

/// Counts the items that were pulled.
fn counted(executor: &Executor, window: usize, taken: usize) {
    let pulled = Arc::new(AtomicUsize::new(0));
    let pulling = Arc::clone(&pulled);
    let source = (0_usize..).inspect(move |_| _ = pulling.fetch_add(1, SeqCst));
    let batch = executor.batch(source).window(threads(window));
    let mut stream = batch.stream(|n, _| Ok::<_, ()>(n)).unwrap();
    for n in 0..taken {
        while pulled.load(SeqCst) < n + window {
            thread::yield_now();
        }
        thread::sleep(MS / 10);
        assert_eq!(pulled.load(SeqCst), n + window, "the window of {window} is not exact");
        assert_eq!(stream.next().unwrap().unwrap(), n);
    }
}

#[test]
fn windows_are_exact() {
    with_timeout(|| {
        let executor = executor(2);
        for window in [1, 2, 3, 5, 7, 12] {
            counted(&executor, window, 20);
        }
        let own = Executor::builder().workers(2).window(3).build().unwrap();
        let pulled = Arc::new(AtomicUsize::new(0));
        let pulling = Arc::clone(&pulled);
        let source = (0_usize..).inspect(move |_| _ = pulling.fetch_add(1, SeqCst));
        let mut stream = own.stream(source, |n| n);
        for n in 0..100 {
            assert_eq!(stream.next().unwrap().unwrap(), n);
            assert!(pulled.load(SeqCst) <= n + 1 + 3);
        }
    });
}

#[test]
fn a_window_is_changed_while_the_stream_runs() {
    with_timeout(|| {
        let executor = executor(2);
        let pulled = Arc::new(AtomicUsize::new(0));
        let pulling = Arc::clone(&pulled);
        let source = (0_usize..).inspect(move |_| _ = pulling.fetch_add(1, SeqCst));
        let batch = executor.batch(source).window(threads(6));
        let mut stream = batch.stream(|n, _| Ok::<_, ()>(n)).unwrap();
        let wait_for = |number| {
            while pulled.load(SeqCst) < number {
                thread::yield_now();
            }
            thread::sleep(MS);
            assert_eq!(pulled.load(SeqCst), number);
        };
        wait_for(6);
        // The workers sleep, because the window is full.
        assert_eq!(stream.set_window(threads(8)), 8);
        wait_for(8);
        assert_eq!(stream.set_window(threads(2)), 2);
        for n in 0..6 {
            assert_eq!(stream.next().unwrap().unwrap(), n);
            wait_for(8);
        }
        assert_eq!(stream.next().unwrap().unwrap(), 6);
        wait_for(9);
        // More than the ring of the stream has.
        assert_eq!(stream.set_window(threads(100)), 8);
        wait_for(7 + 8);
    });
}

#[test]
fn a_sender_is_woken_by_a_larger_window() {
    with_timeout(|| {
        let executor = executor(1);
        let (sender, outcomes) = executor.queue(|n: u32| n).window(3).build().unwrap();
        outcomes.set_window(threads(1));
        sender.try_send(0).unwrap();
        assert!(sender.try_send(1).is_err());
        let waiting = thread::spawn(move || (1..4).for_each(|n| sender.send(n).unwrap()));
        thread::sleep(10 * MS);
        assert_eq!(outcomes.set_window(threads(4)), 4);
        waiting.join().unwrap();
        assert!(outcomes.map(Result::unwrap).eq(0..4));
    });
}
