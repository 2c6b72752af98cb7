//! The functions that worker threads call at their start and at their end.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::thread;

use crate::common::with_timeout;
use reorder_executor::{Executor, Shutdown};

thread_local! {
    static PREPARED: Cell<bool> = const { Cell::new(false) };
}

#[test]
fn each_thread_is_prepared_before_it_runs_items() {
    with_timeout(|| {
        let builder = Executor::builder().workers(3).consumer_helps(false);
        let executor = builder.on_thread_start(|_| PREPARED.set(true)).build().unwrap();
        let mut prepared = executor.stream(0..200, |_| PREPARED.get());
        assert!(prepared.all(|outcome| outcome.unwrap()));
        assert!(!PREPARED.get(), "the consumer is no worker");
    });
}

#[test]
fn each_start_has_its_end_also_with_blocked_sources_and_panics() {
    with_timeout(|| {
        let (starts, stops) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (starting, stopping) = (Arc::clone(&starts), Arc::clone(&stops));
        let executor = Executor::builder()
            .workers(1)
            .on_thread_start(move |_| {
                starting.fetch_add(1, SeqCst);
                panic!("at the start");
            })
            .on_thread_stop(move |_| {
                stopping.fetch_add(1, SeqCst);
                panic!("at the end");
            })
            .build()
            .unwrap();
        // The source blocks the worker, and another thread takes its place.
        let (sender, source) = mpsc::channel::<u32>();
        let mut stream = executor.stream(source, |n| n);
        while starts.load(SeqCst) < 2 {
            assert_eq!(
                executor
                    .batch(0..10)
                    .submit(|n, _| Ok::<_, ()>(n))
                    .unwrap()
                    .wait()
                    .outcomes()
                    .len(),
                10
            );
            thread::yield_now();
        }
        sender.send(7).unwrap();
        assert_eq!(stream.next().unwrap().unwrap(), 7);
        drop(sender);
        assert!(stream.next().is_none());
        assert!(executor.shutdown(Shutdown::Drain, None).is_complete());
        drop(executor);
        while stops.load(SeqCst) < starts.load(SeqCst) {
            thread::yield_now();
        }
        assert_eq!(stops.load(SeqCst), starts.load(SeqCst));
    });
}

#[test]
fn captures_are_dropped_with_the_executor_even_if_that_panics() {
    struct Fragile(Arc<()>);
    impl Drop for Fragile {
        fn drop(&mut self) {
            panic!("in the drop");
        }
    }
    with_timeout(|| {
        let alive = Arc::new(());
        let captured = [(); 2].map(|()| Fragile(Arc::clone(&alive)));
        let [first, second] = captured;
        let executor = Executor::builder()
            .workers(1)
            .on_thread_start(move |_| _ = &first.0)
            .on_thread_stop(move |_| _ = &second.0)
            .build()
            .unwrap();
        drop(executor);
        while Arc::strong_count(&alive) > 1 {
            thread::yield_now();
        }
    });
}
