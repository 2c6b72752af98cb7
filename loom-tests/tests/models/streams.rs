//! Streams of the executor: a full window and the room in it, the end of the source, a handle that is
//! dropped.

use std::sync::Arc;

use loom::sync::atomic::AtomicBool;
use loom::sync::atomic::Ordering::{Acquire, Release};
use loom::thread;
use loom_tests::{Witness, explore};
use reorder_executor::Executor;

fn executor(window: usize, helps: bool) -> Executor {
    let builder = Executor::builder().workers(1).window(window).consumer_helps(helps);
    builder.build().expect("threads of loom's")
}

/// What the source did comes before the job, and the job before the delivery.
fn comes_whole(window: usize, count: usize, helps: bool) {
    let executor = executor(window, helps);
    let witnesses = || Arc::new((0..count).map(|_| Witness::default()).collect::<Vec<_>>());
    let (pulled, ran) = (witnesses(), witnesses());
    let (pulling, pulled_before, running) = (Arc::clone(&pulled), pulled, Arc::clone(&ran));
    let source = (0..count).inspect(move |&n| pulling[n].testify());
    let mut stream = executor.stream(source, move |n| {
        assert!(pulled_before[n].is_seen());
        running[n].testify();
        n
    });
    for (index, outcome) in stream.by_ref().enumerate() {
        assert_eq!(outcome.unwrap(), index);
        assert!(ran[index].is_seen());
    }
    // The workers have ended before the ring goes: see `main.rs`.
    drop(executor);
}

#[test]
fn full_window_and_room() {
    explore("full_window_and_room", Some(2), 20000, || comes_whole(1, 2, false));
}

#[test]
fn end_of_the_source() {
    explore("end_of_the_source", Some(2), 6000, || comes_whole(2, 1, false));
}

#[test]
fn dropped_while_a_worker_pulls() {
    explore("dropped_while_a_worker_pulls", Some(3), 30000, || {
        let executor = executor(2, false);
        let (alive, borrowed) = (Arc::new(()), Witness::default());
        executor.scope(|scope| {
            drop(scope.stream(0..1, |_| {
                borrowed.testify();
                Arc::clone(&alive)
            }));
        });
        borrowed.testify();
        assert_eq!(Arc::strong_count(&alive), 1, "something of the stream is left");
    });
}

/// Whoever comes last drops the source: the handle, or the worker that is just pulling. If neither did, this
/// would go on for ever.
#[test]
fn source_dropped_by_whoever_comes_last() {
    struct Held(Arc<AtomicBool>);
    impl Drop for Held {
        fn drop(&mut self) {
            self.0.store(true, Release);
        }
    }
    explore("source_dropped_by_whoever_comes_last", Some(3), 10000, || {
        let executor = executor(2, false);
        let gone = Arc::new(AtomicBool::new(false));
        executor.scope(|scope| {
            let held = Held(Arc::clone(&gone));
            drop(scope.stream((0..1).inspect(move |_| _ = &held), |_| ()));
            while !gone.load(Acquire) {
                thread::yield_now();
            }
        });
    });
}
