//! Streams of the executor: a full window and the room in it, the end of the source, a handle that is
//! dropped.

use std::sync::Arc;

use loom::sync::atomic::AtomicBool;
use loom::sync::atomic::Ordering::{Acquire, Release};
use loom::sync::{Condvar, Mutex};
use loom::thread;
use loom_tests::{Witness, explore};
use reorder_executor::{CancellationToken, Executor, Failure, Job, Shutdown};

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
    let mut taken = 0;
    for (index, outcome) in stream.by_ref().enumerate() {
        assert_eq!(outcome.unwrap(), index);
        assert!(ran[index].is_seen());
        taken += 1;
    }
    assert_eq!(taken, count, "it was cut short");
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

/// A consumer that waits for an item learns of a cancellation by another thread; else both would wait for ever.
#[test]
fn cancellation_wakes_the_consumer() {
    explore("cancellation_wakes_the_consumer", Some(1), 1000, || {
        let (executor, token) = (executor(1, false), CancellationToken::new());
        let door = Arc::new((Mutex::new(false), Condvar::new()));
        let job = {
            let door = Arc::clone(&door);
            move |(), _: &Job<'_>| {
                let mut open = door.0.lock().unwrap();
                while !*open {
                    open = door.1.wait(open).unwrap();
                }
                Ok::<_, ()>(())
            }
        };
        let mut stream = executor.batch([()]).cancelled_by(&token).stream(job).unwrap();
        let canceller = thread::spawn(move || token.cancel());
        // Whether the item was pulled or not.
        assert!(matches!(stream.next(), Some(Err(Failure::Cancelled))));
        *door.0.lock().unwrap() = true;
        door.1.notify_all();
        canceller.join().unwrap();
        drop(executor);
    });
}

/// A batch that is submitted while the executor is drained is run or refused, and the drain waits for it.
#[test]
fn submitted_while_it_is_drained() {
    explore("submitted_while_it_is_drained", Some(2), 10000, || {
        let executor = Arc::new(executor(1, false));
        let drainer = {
            let executor = Arc::clone(&executor);
            thread::spawn(move || assert!(executor.shutdown(Shutdown::Drain, None).is_complete()))
        };
        let submitted = executor.batch([1]).submit(|n, _| Ok::<_, ()>(n));
        drainer.join().unwrap();
        match submitted {
            Ok(handle) => {
                assert!(handle.is_finished());
                assert_eq!(handle.wait().into_values().unwrap(), [1]);
            }
            Err(refused) => assert_eq!(refused.into_inner(), [1]),
        }
    });
}
