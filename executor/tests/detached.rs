//! Batches that run by themselves, and streams with limits: their consumers give up on what takes too long.

mod common;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::task::{Context, Wake};
use std::thread;
use std::time::{Duration, Instant};

use common::{Census, Door, block_on, executor, kinds, without_hanging};
use reorder_executor::{BatchReport, CancellationToken, Executor, Failure, Job};

/// Longer than any test takes.
const FOREVER: Duration = Duration::from_secs(3600);
/// Longer than any item takes that is not stuck, also on a busy machine.
const SHORT: Duration = Duration::from_millis(400);

/// All items return at once but `stuck`, which waits for the door.
fn stuck_at(door: &Door, stuck: usize) -> impl Fn(usize, &Job<'_>) -> Result<usize, ()> + use<> {
    let door = door.clone();
    move |n, _| {
        if n == stuck {
            door.pass();
        }
        Ok(n)
    }
}

#[test]
fn a_stuck_head_with_a_deadline_does_not_stop_the_order() {
    without_hanging(|| {
        let (executor, door) = (executor(2), Door::default());
        let batch = executor.batch(0..100).item_timeout(SHORT);
        let mut stream = batch.stream(stuck_at(&door, 3)).unwrap();
        let outcomes: Vec<_> = stream.by_ref().take(99).collect();
        assert_eq!(kinds(&outcomes), format!("...i{}", ".".repeat(95)));
        assert_eq!(stream.late_results(), 0, "it is stuck still");
        door.open();
        assert!(matches!(stream.next(), Some(Ok(99))) && stream.next().is_none());
        while stream.late_results() == 0 {
            thread::yield_now();
        }
        assert_eq!(stream.late_results(), 1);
    });
}

#[test]
fn a_task_that_polls_is_woken_by_the_deadline() {
    without_hanging(|| {
        let (executor, door) = (executor(1), Door::default());
        let batch = executor.batch(0..3).item_timeout(SHORT);
        let handle = batch.submit(stuck_at(&door, 0)).unwrap();
        let opener = door.clone();
        // Only then can the one worker go on to the others.
        let thread = thread::spawn(move || {
            thread::sleep(SHORT * 2);
            opener.open();
        });
        let report = block_on(handle);
        thread.join().unwrap();
        assert_eq!(kinds(report.outcomes()), "i..");
    });
}

#[test]
fn items_that_have_not_started_are_not_overdue() {
    without_hanging(|| {
        let executor = executor(1);
        let timeout = SHORT * 2;
        let handle = executor
            .batch(0..3)
            .item_timeout(timeout)
            .submit(move |_, _| {
                thread::sleep(timeout / 2);
                Ok::<_, ()>(())
            })
            .unwrap();
        // The last one starts when its own time would have been over, had it begun with the batch.
        assert_eq!(kinds(handle.wait().outcomes()), "...");
    });
}

#[test]
fn the_deadline_of_a_batch_ends_it_though_all_workers_are_stuck() {
    without_hanging(|| {
        let (executor, door) = (executor(2), Door::default());
        let job = {
            let door = door.clone();
            move |_, _: &Job<'_>| {
                door.pass();
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
        door.open();
    });
}

#[test]
fn two_batches_one_stuck() {
    without_hanging(|| {
        let (executor, door) = (executor(2), Door::default());
        let stuck = executor.batch(0..1).submit(stuck_at(&door, 0)).unwrap();
        let quick = executor.batch(0..1000).submit(|n, _| Ok::<_, ()>(n)).unwrap();
        assert!(quick.wait().into_values().unwrap().into_iter().eq(0..1000));
        assert!(!stuck.is_finished());
        door.open();
        assert_eq!(stuck.wait().into_values().unwrap(), [0]);
    });
}

/// A batch in which one item has finished, two sleep on the workers, and the rest waits for them.
fn asleep(
    executor: &Executor,
    token: &CancellationToken,
    door: &Door,
) -> reorder_executor::BatchHandle<usize, ()> {
    let (sleeps, sleeping) = mpsc::channel();
    let door = door.clone();
    let handle = executor
        .batch(0..100)
        .cancelled_by(token)
        .submit(move |n, _| {
            if n > 0 {
                sleeps.send(()).ok();
                door.pass();
            }
            Ok(n)
        })
        .unwrap();
    (0..2).for_each(|_| sleeping.recv().unwrap());
    handle
}

#[test]
fn cancel_while_all_sleep() {
    for polls in [false, true] {
        without_hanging(move || {
            let (executor, token, door) = (executor(2), CancellationToken::new(), Door::default());
            let handle = asleep(&executor, &token, &door);
            let canceller = thread::spawn(move || {
                // So that the consumer most probably waits by now.
                thread::sleep(Duration::from_millis(20));
                token.cancel();
            });
            let report = if polls { block_on(handle) } else { handle.wait() };
            canceller.join().unwrap();
            assert_eq!(kinds(report.outcomes()), format!(".{}", "c".repeat(99)));
            door.open();
        });
    }
}

#[test]
fn a_waker_that_panics_keeps_nobody_else_asleep() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            std::panic::resume_unwind(Box::new("a waker"));
        }
    }
    without_hanging(|| {
        let (executor, token, door) = (executor(2), CancellationToken::new(), Door::default());
        let stuck = || {
            let batch = executor.batch(0..1).cancelled_by(&token);
            batch.stream(stuck_at(&door, 0)).unwrap()
        };
        let (mut polled, mut waited) = (stuck(), stuck());
        let waker = Arc::new(Panics).into();
        assert!(polled.poll_next(&mut Context::from_waker(&waker)).is_pending());
        let waiter = thread::spawn(move || waited.next());
        thread::sleep(Duration::from_millis(20));
        token.cancel();
        assert!(matches!(waiter.join().unwrap(), Some(Err(Failure::Cancelled))));
        door.open();
    });
}

#[test]
fn a_dropped_batch_starts_nothing_more_and_its_stragglers_hurt_nobody() {
    without_hanging(|| {
        let (executor, door, census) = (executor(2), Door::default(), Census::default());
        let started = Arc::new(AtomicUsize::new(0));
        let (runs, running) = mpsc::channel();
        let handle = {
            let (door, started) = (door.clone(), Arc::clone(&started));
            let items: Vec<_> = (0..1000).map(|n| census.join(n)).collect();
            executor.batch(items).submit(move |item, _| {
                started.fetch_add(1, SeqCst);
                runs.send(()).ok();
                door.pass();
                Ok::<_, ()>(item)
            })
        };
        (0..2).for_each(|_| running.recv().unwrap());
        drop(handle);
        door.open();
        assert_eq!(executor.map(0..100, |n| n).len(), 100);
        census.wait_for_none();
        assert!(started.load(SeqCst) <= 4, "each worker may just have pulled one more");
    });
}

#[test]
fn fail_fast_of_a_stream_tells_the_failure_and_what_had_finished() {
    for round in 0..200 {
        without_hanging(move || {
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
                    Err(Failure::Failed(n)) => failed.push(*n),
                    Err(Failure::Cancelled) => {}
                    Err(failure) => panic!("{failure:?}"),
                }
            }
            assert_eq!(failed, [20 + round % 7], "{}", kinds(&outcomes));
            assert!(
                matches!(outcomes.last(), Some(Err(Failure::Cancelled))),
                "it ends, and says why"
            );
        });
    }
}

#[test]
fn an_item_that_takes_too_long_fails_fast_while_it_runs() {
    without_hanging(|| {
        let (executor, door) = (executor(1), Door::default());
        let batch = executor.batch(0..100).fail_fast().item_timeout(SHORT);
        let report = batch.submit(stuck_at(&door, 1)).unwrap().wait();
        assert_eq!(kinds(report.outcomes()), format!(".i{}", "c".repeat(98)));
        door.open();
    });
}

#[test]
fn a_timeout_of_the_jobs_own_is_a_failure_of_its() {
    let executor = executor(1);
    let batch = executor.batch([()]).item_timeout(FOREVER).deadline(Instant::now() + FOREVER);
    let timed_out = || std::io::Error::from(std::io::ErrorKind::TimedOut);
    let report = batch.submit(move |(), _| Err::<(), _>(timed_out())).unwrap().wait();
    assert_eq!(kinds(report.outcomes()), "f");
}

#[test]
fn batches_of_no_items_and_of_one() {
    without_hanging(|| {
        let executor = executor(1);
        let empty: BatchReport<u8, ()> =
            executor.batch([0_u8; 0]).submit(|n, _| Ok(n)).unwrap().wait();
        assert!(empty.outcomes().is_empty());
        let one = block_on(executor.batch([7]).submit(|n, _| Ok::<_, ()>(n)).unwrap());
        assert_eq!(one.into_values().unwrap(), [7]);
    });
}

#[test]
fn a_batch_submitted_by_a_job_is_waited_for_by_it_with_one_worker() {
    without_hanging(|| {
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
    without_hanging(|| {
        let executor = Arc::new(executor(1));
        let (given, taken) = mpsc::channel::<Arc<Executor>>();
        let taken = std::sync::Mutex::new(taken);
        let batch = executor.batch(0..3).submit(move |n, _| {
            drop(taken.lock().unwrap().recv());
            Ok::<_, ()>(n)
        });
        let handle = batch.unwrap();
        given.send(executor).unwrap();
        // The others were not started any more. The first one counts unless it has been given up while its job
        // was still returning.
        let outcomes = kinds(handle.wait().outcomes());
        assert!([".ss", "sss"].contains(&outcomes.as_str()), "{outcomes}");
    });
}

#[test]
fn a_consumer_slower_than_the_workers_for_a_million_items_has_a_window_at_most() {
    without_hanging(|| {
        let executor = Executor::builder().workers(2).window(64).build().unwrap();
        let census = Census::default();
        let (source, job) = (census.clone(), census.clone());
        let items = (0..1_000_000_u64).map(move |n| source.join(n));
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
        // And the one that the consumer has in its hands.
        assert!(most <= 64 + 1, "{most} at once");
        assert_eq!(census.alive(), 0);
    });
}

#[test]
fn a_consumer_that_stops_reading_holds_up_nobody_else() {
    without_hanging(|| {
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
        assert!(pulled <= 1 + 8, "{pulled} were pulled: a window, and what was taken");
        assert!(matches!(stream.next(), Some(Ok(1))), "it goes on where it was");
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
    without_hanging(|| {
        let (executor, sums) = (Arc::new(executor(1)), Arc::new(AtomicUsize::new(0)));
        let nested = || Nested(Arc::clone(&executor), Arc::clone(&sums));
        // Dropped by jobs, with outcomes that were not taken, and with items that were not pulled.
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
fn limits_that_nobody_meets_change_nothing() {
    without_hanging(|| {
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
fn a_worker_may_drop_the_last_of_a_call_and_with_it_the_executor() {
    static JOINED_ITSELF: AtomicBool = AtomicBool::new(false);
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let message = info.payload().downcast_ref::<String>();
        if message.is_some_and(|message| message.contains("join")) {
            JOINED_ITSELF.store(true, SeqCst);
        }
        before(info);
    }));
    without_hanging(|| {
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
