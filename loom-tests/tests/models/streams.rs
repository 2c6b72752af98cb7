//! Streams of the executor: a full window and its space, the end of the source, a dropped handle,
//! cancellation and shutdown.

use std::sync::Arc;

use loom::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use loom::sync::atomic::{AtomicBool, AtomicUsize};
use loom::sync::{Condvar, Mutex};
use loom::thread;
use loom_tests::{PlainFlag, explore};
use reorder_executor::model::StreamItems;
use reorder_executor::{CancellationToken, Executor, Failure, Job, Shutdown};

fn executor(window: usize, helps: bool) -> Executor {
    let builder = Executor::builder().workers(1).window(window).consumer_helps(helps);
    builder.build().expect("loom's threads start")
}

/// Delivers all items of a stream. The pull of an item happens before its job, and the job before
/// its delivery.
fn deliver_all(window: usize, count: usize, helps: bool) {
    let executor = executor(window, helps);
    let flags = || Arc::new((0..count).map(|_| PlainFlag::default()).collect::<Vec<_>>());
    let (pulled, ran) = (flags(), flags());
    let (pulling, pulled_before, running) = (Arc::clone(&pulled), pulled, Arc::clone(&ran));
    let source = (0..count).inspect(move |&n| pulling[n].set());
    let mut stream = executor.stream(source, move |n| {
        assert!(pulled_before[n].is_set());
        running[n].set();
        n
    });
    let mut taken = 0;
    for (index, outcome) in stream.by_ref().enumerate() {
        assert_eq!(outcome.unwrap(), index);
        assert!(ran[index].is_set());
        taken += 1;
    }
    assert_eq!(taken, count, "the stream ended early");
    // The workers end before the ring is dropped: see `main.rs`.
    drop(executor);
}

/// A puller looks for space while the consumer makes some. If the puller sees the space, it finds
/// the position of the next item free. Otherwise the source is open again afterwards.
///
/// A fence would order the accesses without their own orders. So the source has no user code, for
/// which the puller would fence. The ring of 4 has no fence at its first take.
#[test]
fn space_while_a_puller_looks() {
    explore("space_while_a_puller_looks", None, 100, || {
        let ran = Arc::new(AtomicUsize::new(0));
        let counts = Arc::clone(&ran);
        let job = move |_| _ = counts.fetch_add(1, Relaxed);
        let (items, mut outcomes) = StreamItems::open(0..5, 4, job);
        (0..4).for_each(|_| items.run_one());
        let puller = thread::spawn(move || {
            items.run_one();
            items
        });
        assert!(outcomes.next().is_some_and(|outcome| outcome.is_ok()));
        puller.join().unwrap().run_one();
        assert_eq!(ran.load(Relaxed), 5, "the puller lost an item, or missed the space");
    });
}

#[test]
fn full_window_and_space() {
    explore("full_window_and_space", Some(2), 20000, || deliver_all(1, 2, false));
}

#[test]
fn end_of_the_source() {
    explore("end_of_the_source", Some(2), 6000, || deliver_all(2, 1, false));
}

#[test]
fn dropped_while_a_worker_pulls() {
    explore("dropped_while_a_worker_pulls", Some(3), 30000, || {
        let executor = executor(2, false);
        let (alive, borrowed) = (Arc::new(()), PlainFlag::default());
        executor.scope(|scope| {
            drop(scope.stream(0..1, |_| {
                borrowed.set();
                Arc::clone(&alive)
            }));
        });
        borrowed.set();
        assert_eq!(Arc::strong_count(&alive), 1, "a value of the stream was not dropped");
    });
}

struct SetsOnDrop(Arc<AtomicBool>);

impl Drop for SetsOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Release);
    }
}

/// The last user drops the source: the handle, or the thread that pulls at that moment.
#[test]
fn source_dropped_by_handle_or_puller() {
    explore("source_dropped_by_handle_or_puller", Some(3), 1000, || {
        let dropped = Arc::new(AtomicBool::new(false));
        let capture = SetsOnDrop(Arc::clone(&dropped));
        let source = (0..1).inspect(move |_| _ = &capture);
        let (items, outcomes) = StreamItems::open(source, 1, |_| ());
        let items = Arc::new(items);
        let puller = {
            let items = Arc::clone(&items);
            thread::spawn(move || items.run_one())
        };
        drop(outcomes);
        puller.join().unwrap();
        assert!(dropped.load(Acquire), "neither the handle nor the puller drops the source");
    });
}

/// A puller finds no room in the budget while the consumer makes some. Afterwards, the next item
/// can be pulled. Otherwise the stream would stand still.
#[test]
fn full_budget_and_room() {
    explore("full_budget_and_room", None, 100, || {
        let ran = Arc::new(AtomicUsize::new(0));
        let counts = Arc::clone(&ran);
        let job = move |_| _ = counts.fetch_add(1, Relaxed);
        // A pull has one item of this size, so it fits the small stack of a model's thread.
        let source = (0..2).map(|_| [0_u64; 33]);
        let (items, mut outcomes) = StreamItems::weighed(source, job);
        items.run_one();
        let puller = thread::spawn(move || {
            items.run_one();
            items
        });
        assert!(outcomes.next().is_some_and(|outcome| outcome.is_ok()));
        puller.join().unwrap().run_one();
        assert_eq!(ran.load(Relaxed), 2, "the puller missed the room");
    });
}

/// As above, with a worker. If neither of the two dropped the source, this model would not end.
#[test]
fn source_dropped_by_handle_or_worker() {
    explore("source_dropped_by_handle_or_worker", Some(3), 10000, || {
        let executor = executor(2, false);
        let dropped = Arc::new(AtomicBool::new(false));
        executor.scope(|scope| {
            let capture = SetsOnDrop(Arc::clone(&dropped));
            drop(scope.stream((0..1).inspect(move |_| _ = &capture), |_| ()));
            while !dropped.load(Acquire) {
                thread::yield_now();
            }
        });
    });
}

/// A cancellation by another thread wakes a consumer that waits for an item. Otherwise the consumer
/// and the job would wait for each other.
#[test]
fn cancellation_wakes_the_consumer() {
    explore("cancellation_wakes_the_consumer", Some(1), 1000, || {
        let (executor, token) = (executor(1, false), CancellationToken::new());
        let latch = Arc::new((Mutex::new(false), Condvar::new()));
        let job = {
            let latch = Arc::clone(&latch);
            move |(), _: &Job<'_>| {
                let mut is_open = latch.0.lock().unwrap();
                while !*is_open {
                    is_open = latch.1.wait(is_open).unwrap();
                }
                Ok::<_, ()>(())
            }
        };
        let mut stream = executor.batch([()]).cancelled_by(&token).stream(job).unwrap();
        let canceller = thread::spawn(move || token.cancel());
        // The outcome is the same whether the item was pulled or not.
        assert!(matches!(stream.next(), Some(Err(Failure::Cancelled(_)))));
        *latch.0.lock().unwrap() = true;
        latch.1.notify_all();
        canceller.join().unwrap();
        drop(executor);
    });
}

/// A batch that is submitted during a drain is either refused, or run before the drain ends.
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
