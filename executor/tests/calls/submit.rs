//! Submitted batches, and streams with limits: deadlines, cancellation, `fail_fast`, early drops.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::task::{Context, Wake};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{
    Latch, LiveCounter, are_in_time, block_on, executor, kinds, with_enough_time, with_timeout,
};
use reorder_executor::{BatchReport, CancellationToken, Executor, Failure, Job};

/// A time that is longer than any test.
const FOREVER: Duration = Duration::from_secs(3600);

/// Returns a job whose item `stuck` waits at the latch, while the others return at once.
fn stuck_at(latch: &Latch, stuck: usize) -> impl Fn(usize, &Job<'_>) -> Result<usize, ()> + use<> {
    let latch = latch.clone();
    move |n, _| {
        if n == stuck {
            latch.wait();
        }
        Ok(n)
    }
}

#[test]
fn later_items_are_delivered_after_a_stuck_head_times_out() {
    let test = |time| {
        let (executor, latch) = (executor(2), Latch::default());
        let batch = executor.batch(0..100).item_timeout(time);
        let mut stream = batch.stream(stuck_at(&latch, 3)).unwrap();
        let outcomes: Vec<_> = stream.by_ref().take(99).collect();
        let late_results = stream.late_results();
        latch.open();
        if !are_in_time(&kinds(&outcomes), &format!("...i{}", ".".repeat(95))) {
            return false;
        }
        assert_eq!(late_results, 0, "item 3 waited");
        let last: Vec<_> = stream.by_ref().collect();
        if !are_in_time(&kinds(&last), ".") {
            return false;
        }
        assert!(matches!(last[..], [Ok(99)]));
        while stream.late_results() == 0 {
            thread::yield_now();
        }
        stream.late_results() == 1
    };
    with_timeout(move || with_enough_time(test));
}

#[test]
fn an_item_timeout_wakes_a_polling_task() {
    let test = |time| {
        let (executor, latch) = (executor(1), Latch::default());
        let batch = executor.batch(0..3).item_timeout(time);
        let handle = batch.submit(stuck_at(&latch, 0)).unwrap();
        let opener = latch.clone();
        // The one worker runs the other items only after this.
        let thread = thread::spawn(move || {
            thread::sleep(time * 2);
            opener.open();
        });
        let report = block_on(handle);
        thread.join().unwrap();
        are_in_time(&kinds(report.outcomes()), "i..")
    };
    with_timeout(move || with_enough_time(test));
}

#[test]
fn the_timeout_of_an_item_begins_when_it_starts() {
    let test = |time: Duration| {
        let executor = executor(1);
        let handle = executor
            .batch(0..3)
            .item_timeout(time)
            .submit(move |_, _| {
                thread::sleep(time / 2);
                Ok::<_, ()>(())
            })
            .unwrap();
        // The last item starts when `time` has passed since the batch was submitted.
        are_in_time(&kinds(handle.wait().outcomes()), "...")
    };
    with_timeout(move || with_enough_time(test));
}

#[test]
fn a_batch_deadline_ends_batches_whose_workers_are_all_stuck() {
    with_timeout(|| {
        let (executor, latch) = (executor(2), Latch::default());
        let job = {
            let latch = latch.clone();
            move |_, _: &Job<'_>| {
                latch.wait();
                Ok::<_, ()>(())
            }
        };
        let deadline = Instant::now() + Duration::from_millis(20);
        let handles: Vec<_> = (0..2)
            .map(|_| executor.batch(0..50).deadline(deadline).submit(job.clone()).unwrap())
            .collect();
        for (handle, polls) in handles.into_iter().zip([false, true]) {
            let report = if polls { block_on(handle) } else { handle.wait() };
            assert_eq!(kinds(report.outcomes()), "b".repeat(50));
        }
        latch.open();
    });
}

#[test]
fn a_stuck_batch_does_not_hold_back_another() {
    with_timeout(|| {
        let (executor, latch) = (executor(2), Latch::default());
        let stuck = executor.batch(0..1).submit(stuck_at(&latch, 0)).unwrap();
        let quick = executor.batch(0..1000).submit(|n, _| Ok::<_, ()>(n)).unwrap();
        assert!(quick.wait().into_values().unwrap().into_iter().eq(0..1000));
        assert!(!stuck.is_finished());
        latch.open();
        assert_eq!(stuck.wait().into_values().unwrap(), [0]);
    });
}

/// Submits a batch and waits until both workers block at the latch. One item has completed by then,
/// and the others have not started.
fn submit_and_block_two_workers(
    executor: &Executor,
    token: &CancellationToken,
    latch: &Latch,
) -> reorder_executor::BatchHandle<usize, ()> {
    let (blocks, blocked) = mpsc::channel();
    let latch = latch.clone();
    let handle = executor
        .batch(0..100)
        .cancelled_by(token)
        .submit(move |n, _| {
            if n > 0 {
                blocks.send(()).ok();
                latch.wait();
            }
            Ok(n)
        })
        .unwrap();
    (0..2).for_each(|_| blocked.recv().unwrap());
    handle
}

#[test]
fn cancellation_ends_a_batch_whose_workers_block() {
    for polls in [false, true] {
        with_timeout(move || {
            let (executor, token, latch) =
                (executor(2), CancellationToken::new(), Latch::default());
            let handle = submit_and_block_two_workers(&executor, &token, &latch);
            let canceller = thread::spawn(move || {
                // The consumer most probably waits after this.
                thread::sleep(Duration::from_millis(20));
                token.cancel();
            });
            let report = if polls { block_on(handle) } else { handle.wait() };
            canceller.join().unwrap();
            assert_eq!(kinds(report.outcomes()), format!(".{}", "c".repeat(99)));
            latch.open();
        });
    }
}

#[test]
fn cancellation_wakes_all_consumers_though_one_waker_panics() {
    struct PanickingWaker;
    impl Wake for PanickingWaker {
        fn wake(self: Arc<Self>) {
            std::panic::resume_unwind(Box::new("a waker that panics"));
        }
    }
    with_timeout(|| {
        let (executor, token, latch) = (executor(2), CancellationToken::new(), Latch::default());
        let stuck = || {
            let batch = executor.batch(0..1).cancelled_by(&token);
            batch.stream(stuck_at(&latch, 0)).unwrap()
        };
        let (mut polled, mut waited) = (stuck(), stuck());
        let waker = Arc::new(PanickingWaker).into();
        assert!(polled.poll_next(&mut Context::from_waker(&waker)).is_pending());
        let waiter = thread::spawn(move || waited.next());
        thread::sleep(Duration::from_millis(20));
        token.cancel();
        assert!(matches!(waiter.join().unwrap(), Some(Err(Failure::Cancelled(_)))));
        latch.open();
    });
}

#[test]
fn a_dropped_batch_starts_no_more_items_and_drops_late_results() {
    with_timeout(|| {
        let (executor, latch, live) = (executor(2), Latch::default(), LiveCounter::default());
        let started = Arc::new(AtomicUsize::new(0));
        let (runs, running) = mpsc::channel();
        let handle = {
            let (latch, started) = (latch.clone(), Arc::clone(&started));
            let items: Vec<_> = (0..1000).map(|n| live.track(n)).collect();
            executor.batch(items).submit(move |item, _| {
                started.fetch_add(1, SeqCst);
                runs.send(()).ok();
                latch.wait();
                Ok::<_, ()>(item)
            })
        };
        (0..2).for_each(|_| running.recv().unwrap());
        drop(handle);
        latch.open();
        assert_eq!(executor.map(0..100, |n| n).len(), 100);
        live.wait_until_none_alive();
        assert!(started.load(SeqCst) <= 4, "at most one more item per worker may start");
    });
}

#[test]
fn a_stream_that_fails_fast_delivers_the_failure_and_the_completed_items() {
    for round in 0..200 {
        with_timeout(move || {
            let executor = executor(2);
            let stream = executor
                .batch(0..)
                .fail_fast()
                .stream(move |n, _| if n == 20 + round % 7 { Err(n) } else { Ok(n) });
            let outcomes: Vec<_> = stream.unwrap().collect();
            let mut failed = Vec::new();
            for (index, outcome) in outcomes.iter().enumerate() {
                match outcome {
                    Ok(n) => assert_eq!(*n, index),
                    Err(Failure::Failed { error: n, .. }) => failed.push(*n),
                    Err(Failure::Cancelled(_)) => {}
                    Err(failure) => panic!("{failure:?}"),
                }
            }
            assert_eq!(failed, [20 + round % 7], "{}", kinds(&outcomes));
            assert!(
                matches!(outcomes.last(), Some(Err(Failure::Cancelled(_)))),
                "the stream does not end with a cancellation"
            );
        });
    }
}

#[test]
fn an_item_timeout_fails_the_batch_fast_while_the_item_runs() {
    let test = |time| {
        let (executor, latch) = (executor(1), Latch::default());
        let batch = executor.batch(0..100).fail_fast().item_timeout(time);
        let report = batch.submit(stuck_at(&latch, 1)).unwrap().wait();
        latch.open();
        let kinds = kinds(report.outcomes());
        // The first item is late.
        if kinds.starts_with('i') {
            return false;
        }
        assert_eq!(kinds, format!(".i{}", "c".repeat(98)));
        true
    };
    with_timeout(move || with_enough_time(test));
}

#[test]
fn a_timeout_error_that_the_job_returns_is_a_plain_failure() {
    let executor = executor(1);
    let batch = executor.batch([()]).item_timeout(FOREVER).deadline(Instant::now() + FOREVER);
    let timed_out = || std::io::Error::from(std::io::ErrorKind::TimedOut);
    let report = batch.submit(move |(), _| Err::<(), _>(timed_out())).unwrap().wait();
    assert_eq!(kinds(report.outcomes()), "f");
}

#[test]
fn batches_of_no_item_and_of_one_item() {
    with_timeout(|| {
        let executor = executor(1);
        let empty: BatchReport<u8, ()> =
            executor.batch([0_u8; 0]).submit(|n, _| Ok(n)).unwrap().wait();
        assert!(empty.outcomes().is_empty());
        let one = block_on(executor.batch([7]).submit(|n, _| Ok::<_, ()>(n)).unwrap());
        assert_eq!(one.into_values().unwrap(), [7]);
    });
}

#[test]
fn a_job_may_submit_a_batch_and_wait_for_it_with_one_worker() {
    with_timeout(|| {
        let executor = Arc::new(executor(1));
        let inner = Arc::clone(&executor);
        let outer = executor.batch(0..10_u64).submit(move |n, _| {
            let batch = inner.batch(0..n).submit(|m, _| Ok::<_, ()>(m)).unwrap();
            Ok::<_, ()>(batch.wait().into_values().unwrap().into_iter().sum::<u64>())
        });
        let sums = outer.unwrap().wait().into_values().unwrap();
        assert!(sums.into_iter().eq((0..10).map(|n| n * (n.max(1) - 1) / 2)));
    });
}

#[test]
fn a_job_may_drop_the_last_executor() {
    with_timeout(|| {
        let executor = Arc::new(executor(1));
        let (given, taken) = mpsc::channel::<Arc<Executor>>();
        let taken = std::sync::Mutex::new(taken);
        let batch = executor.batch(0..3).submit(move |n, _| {
            drop(taken.lock().unwrap().recv());
            Ok::<_, ()>(n)
        });
        let handle = batch.unwrap();
        given.send(executor).unwrap();
        // Items 1 and 2 were never started. Item 0 has a value, unless it was given up while its
        // job was still returning.
        let outcomes = kinds(handle.wait().outcomes());
        assert!([".ss", "sss"].contains(&outcomes.as_str()), "{outcomes}");
    });
}

#[test]
fn a_slow_consumer_of_a_million_items_keeps_at_most_a_window_alive() {
    with_timeout(|| {
        let executor = Executor::builder().workers(2).window(64).build().unwrap();
        let live = LiveCounter::default();
        let (source, job) = (live.clone(), live.clone());
        let items = (0..1_000_000_u64).map(move |n| source.track(n));
        let (mut most, mut taken) = (0, 0);
        for (index, item) in executor.stream(items, |item| item).enumerate() {
            if index % 1000 == 0 {
                thread::yield_now();
            }
            most = most.max(job.alive());
            assert_eq!(item.unwrap().value, index as u64);
            taken += 1;
        }
        assert_eq!(taken, 1_000_000);
        // A window, and the item that the consumer holds.
        assert!(most <= 64 + 1, "{most} items were alive at once");
        assert_eq!(live.alive(), 0);
    });
}

#[test]
fn a_consumer_that_stops_reading_does_not_hold_back_other_batches() {
    with_timeout(|| {
        let executor = Executor::builder().workers(2).window(8).build().unwrap();
        let pulled = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&pulled);
        let batch = executor.batch(std::iter::repeat_with(move || count.fetch_add(1, SeqCst)));
        let mut stream = batch.stream(|n, _| Ok::<_, ()>(n)).unwrap();
        assert!(matches!(stream.next(), Some(Ok(0))));
        for round in 0..100 {
            assert_eq!(executor.map(0..100, move |n| n + round).len(), 100);
        }
        let pulled = pulled.load(SeqCst);
        assert!(
            pulled <= 1 + 8,
            "{pulled} items were pulled: more than a window and the one taken"
        );
        assert!(matches!(stream.next(), Some(Ok(1))), "the stream does not continue");
    });
}

#[test]
fn values_may_use_the_executor_when_they_are_dropped() {
    struct Nested(Arc<Executor>, Arc<AtomicUsize>);
    impl Drop for Nested {
        fn drop(&mut self) {
            let sum: u64 = self.0.map(0..10, |n| n).into_iter().sum();
            let batch = self.0.batch(0..10_u64).submit(|n, _| Ok::<_, ()>(n));
            let submitted: u64 = batch.unwrap().wait().into_values().unwrap().into_iter().sum();
            let streamed: u64 = self.0.stream(0..10_u64, |n| n).map(Result::unwrap).sum();
            self.1.fetch_add((sum + submitted + streamed) as usize, SeqCst);
        }
    }
    with_timeout(|| {
        let (executor, sums) = (Arc::new(executor(1)), Arc::new(AtomicUsize::new(0)));
        let nested = || Nested(Arc::clone(&executor), Arc::clone(&sums));
        // The jobs drop the first ten values. The others are dropped as outcomes that were not
        // taken or as items that were not pulled.
        let items: Vec<_> = (0..10).map(|_| nested()).collect();
        let dropped = executor.batch(items).submit(|item, _| {
            drop(item);
            Ok::<_, ()>(())
        });
        assert_eq!(dropped.unwrap().wait().into_outcomes().len(), 10);
        let items: Vec<_> = (0..10).map(|_| nested()).collect();
        drop(executor.batch(items).submit(|item, _| Ok::<_, ()>(item)));
        while sums.load(SeqCst) < 20 * 3 * 45 {
            thread::yield_now();
        }
    });
}

#[test]
fn limits_that_are_not_reached_change_no_outcome() {
    with_timeout(|| {
        let executor = executor(3);
        let token = CancellationToken::new();
        let limited = || {
            executor
                .batch(0..10_000_u64)
                .cancelled_by(&token)
                .item_timeout(FOREVER)
                .deadline(Instant::now() + FOREVER)
                .fail_fast()
        };
        let squares: Vec<u64> = (0..10_000).map(|n| n * n).collect();
        let square = |n: u64, _: &Job<'_>| Ok::<_, ()>(n * n);
        assert_eq!(limited().run(square).into_values().unwrap(), squares);
        assert_eq!(limited().submit(square).unwrap().wait().into_values().unwrap(), squares);
        let streamed: Result<Vec<u64>, _> = limited().stream(square).unwrap().collect();
        assert_eq!(streamed.unwrap(), squares);
    });
}

#[test]
fn a_worker_that_drops_the_last_executor_does_not_join_itself() {
    static JOINED_ITSELF: AtomicBool = AtomicBool::new(false);
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let message = info.payload().downcast_ref::<String>();
        if message.is_some_and(|message| message.contains("join")) {
            JOINED_ITSELF.store(true, SeqCst);
        }
        before(info);
    }));
    with_timeout(|| {
        for _ in 0..200 {
            let executor = Arc::new(executor(1));
            let own = Arc::clone(&executor);
            let job = move |n, _: &Job<'_>| Ok::<_, ()>(own.workers() + n);
            let handle = executor.batch(0..3).submit(job).unwrap();
            drop(executor);
            assert_eq!(handle.wait().outcomes().len(), 3);
        }
    });
    assert!(!JOINED_ITSELF.load(SeqCst));
}
