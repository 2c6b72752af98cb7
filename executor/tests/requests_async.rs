//! Requests whose jobs are futures, on a runtime.

mod common;

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use common::{Census, block_on, executor, kinds, without_hanging};
use futures_util::StreamExt;
use reorder_executor::{
    Answer, CancellationToken, Executor, Failure, Requests, Retry, Shutdown, Spawn,
};
use tokio::runtime::{Builder, Runtime};

const HOUR: Duration = Duration::from_secs(60 * 60);
const MS: Duration = Duration::from_millis(1);

type Task = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap()
}

fn spawner(runtime: &Runtime) -> impl Spawn + Send + Sync + use<> {
    let handle = runtime.handle().clone();
    move |task: Task| _ = handle.spawn(task)
}

#[cfg(feature = "tokio")]
#[test]
fn a_handle_of_tokio_is_a_spawner() {
    without_hanging(|| {
        let (executor, runtime) = (executor(1), runtime());
        let handle =
            requests(&executor, 0..10).submit_async(runtime.handle().clone(), |n, _| async move {
                Answer::<_, ()>::Done(*n)
            });
        assert!(handle.unwrap().wait().into_values().unwrap().into_iter().eq(0..10));
    });
}

fn requests<I>(executor: &Executor, items: I) -> Requests<'_, I> {
    executor.batch(items).requests().retry(Retry::new().within(10 * HOUR).wait(MS, MS))
}

#[test]
fn futures_are_tried_again_and_come_in_order() {
    without_hanging(|| {
        let (executor, runtime) = (executor(1), runtime());
        let handle = requests(&executor, 0..500_u32).submit_async(
            spawner(&runtime),
            |n, attempt| async move {
                tokio::time::sleep(Duration::from_micros(u64::from(*n % 7) * 100)).await;
                match attempt.number() {
                    3 if *n % 10 == 0 => Answer::Failed(*n),
                    3 => Answer::Done(*n),
                    _ => Answer::Again { error: *n, after: None },
                }
            },
        );
        let report = block_on(handle.unwrap());
        let stats = *report.requests().unwrap();
        assert_eq!((stats.attempts, stats.capacity_retries), (1500, 1000));
        for (n, outcome) in (0..).zip(report) {
            match outcome {
                Ok(value) => assert_eq!(value, n),
                Err(Failure::Failed(error)) => assert!(error == n && n % 10 == 0),
                Err(failure) => panic!("{failure}"),
            }
        }
    });
}

#[test]
fn they_run_while_nobody_polls_the_consumer_where_buffered_ones_stall() {
    without_hanging(|| {
        let (executor, runtime) = (executor(1), runtime());
        // Ours: all ten end while the consumer does not look.
        let ended = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&ended);
        let mut stream = requests(&executor, 0..10)
            .stream_async(spawner(&runtime), move |n, _| {
                let count = Arc::clone(&count);
                async move {
                    tokio::time::sleep(MS).await;
                    tokio::time::sleep(MS).await;
                    count.fetch_add(1, SeqCst);
                    Answer::<_, ()>::Done(*n)
                }
            })
            .unwrap();
        while ended.load(SeqCst) < 10 {
            thread::yield_now();
        }
        for n in 0..10 {
            assert_eq!(stream.next().unwrap().unwrap(), n);
        }
        // `buffered`: what has been polled to its first sleep gets no further, however long the consumer is busy.
        let ended = AtomicUsize::new(0);
        runtime.block_on(async {
            let futures = futures_util::stream::iter(0..10).map(|n| {
                let ended = &ended;
                async move {
                    tokio::time::sleep(MS).await;
                    tokio::time::sleep(MS).await;
                    ended.fetch_add(1, SeqCst);
                    n
                }
            });
            let mut buffered = std::pin::pin!(futures.buffered(10));
            let first = std::future::poll_fn(|cx| Poll::Ready(buffered.poll_next_unpin(cx))).await;
            assert!(first.is_pending());
            thread::sleep(20 * MS);
            assert_eq!(ended.load(SeqCst), 0, "nobody has polled them");
            assert_eq!(buffered.count().await, 10);
        });
    });
}

#[test]
fn window_and_concurrency_are_apart() {
    without_hanging(|| {
        let (executor, runtime) = (executor(1), runtime());
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let pulled = Arc::new(AtomicUsize::new(0));
        let (now, seen, counted) = (Arc::clone(&running), Arc::clone(&most), Arc::clone(&pulled));
        let source = (0_usize..).inspect(move |_| _ = counted.fetch_add(1, SeqCst));
        let mut stream = requests(&executor, source)
            .window(NonZeroUsize::new(64).unwrap())
            .concurrency(NonZeroUsize::new(3).unwrap())
            .stream_async(spawner(&runtime), move |n, _| {
                let (now, seen) = (Arc::clone(&now), Arc::clone(&seen));
                async move {
                    seen.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
                    tokio::task::yield_now().await;
                    now.fetch_sub(1, SeqCst);
                    Answer::<_, ()>::Done(*n)
                }
            })
            .unwrap();
        // The window fills up, three at a time.
        while pulled.load(SeqCst) < 64 || running.load(SeqCst) > 0 {
            thread::yield_now();
        }
        for n in 0..1000 {
            assert_eq!(stream.next().unwrap().unwrap(), n);
            assert!(pulled.load(SeqCst) <= n + 1 + 64);
        }
        assert!((1..=3).contains(&most.load(SeqCst)), "{most:?}");
    });
}

#[test]
fn the_consumer_may_be_a_task_itself() {
    without_hanging(|| {
        let (executor, runtime) = (executor(1), runtime());
        let stream = requests(&executor, 0..100_u32)
            .stream_async(spawner(&runtime), |n, attempt| async move {
                match attempt.number() {
                    1 if *n % 3 == 0 => Answer::Again { error: (), after: None },
                    _ => Answer::Done(*n),
                }
            })
            .unwrap()
            .into_stream();
        let sum = runtime.block_on(stream.fold(0, |sum, n| async move { sum + n.unwrap() }));
        assert_eq!(sum, 99 * 50);
    });
}

/// A future that never ends, and is seen to be dropped.
fn endless(census: &Census) -> impl Future<Output = Answer<u64, ()>> + use<> {
    let member = census.join(0);
    async move {
        std::future::pending::<()>().await;
        Answer::Done(member.value)
    }
}

#[test]
fn dropping_and_cancelling_end_the_futures() {
    without_hanging(|| {
        let (executor, runtime) = (executor(2), runtime());
        for cancel in [false, true] {
            let census = Census::default();
            let token = CancellationToken::new();
            let (started, all) = mpsc::channel();
            let futures = census.clone();
            let batch = executor.batch(0..50).cancelled_by(&token).requests();
            let handle = batch.submit_async(spawner(&runtime), move |_, _| {
                started.send(()).ok();
                endless(&futures)
            });
            (0..50).for_each(|_| all.recv().unwrap());
            if cancel {
                // Also if nobody waits for the batch.
                token.cancel();
                census.wait_for_none();
                assert_eq!(kinds(handle.unwrap().wait().outcomes()), "c".repeat(50));
            } else {
                drop(handle);
                census.wait_for_none();
            }
        }
    });
}

#[test]
fn a_shutdown_ends_the_futures() {
    without_hanging(|| {
        let (executor, runtime) = (executor(2), runtime());
        let census = Census::default();
        let (started, all) = mpsc::channel();
        let futures = census.clone();
        let batch = executor.batch(0..20).requests();
        let handle = batch.submit_async(spawner(&runtime), move |_, _| {
            started.send(()).ok();
            endless(&futures)
        });
        (0..20).for_each(|_| all.recv().unwrap());
        assert!(executor.shutdown(Shutdown::Abort, Some(HOUR)).is_complete());
        census.wait_for_none();
        assert_eq!(kinds(handle.unwrap().wait().outcomes()), "s".repeat(20));
    });
}

#[test]
fn a_drain_waits_for_the_futures() {
    without_hanging(|| {
        let (executor, runtime) = (executor(1), runtime());
        let handle = requests(&executor, 0..20_u32)
            .submit_async(spawner(&runtime), |n, attempt| async move {
                tokio::time::sleep(MS).await;
                match attempt.number() {
                    1 => Answer::Again { error: (), after: None },
                    _ => Answer::Done(*n),
                }
            })
            .unwrap();
        assert!(executor.shutdown(Shutdown::Drain, Some(HOUR)).is_complete());
        assert!(handle.is_finished());
        assert!(handle.wait().into_values().unwrap().into_iter().eq(0..20));
    });
}

#[test]
fn a_deadline_ends_the_future_of_its_item_alone() {
    without_hanging(|| {
        let (executor, runtime) = (executor(1), runtime());
        let census = Census::default();
        let futures = census.clone();
        let batch = executor.batch(0..5_u64).item_timeout(10 * MS).requests();
        let handle = batch.submit_async(spawner(&runtime), move |n, _| {
            let stuck = (*n == 2).then(|| endless(&futures));
            async move {
                match stuck {
                    Some(stuck) => stuck.await,
                    None => Answer::Done(*n),
                }
            }
        });
        assert_eq!(kinds(handle.unwrap().wait().outcomes()), "..i..");
        census.wait_for_none();
    });
}

#[test]
fn a_task_that_dies_is_a_gap() {
    without_hanging(|| {
        let executor = executor(1);
        // A runtime that loses every third task.
        let (runtime, lost) = (runtime(), AtomicUsize::new(0));
        let handle = runtime.handle().clone();
        let spawner = move |task: Task| {
            if lost.fetch_add(1, SeqCst) % 3 != 2 {
                handle.spawn(task);
            }
        };
        let batch = executor.batch(0..6).requests();
        let report = batch
            .submit_async(spawner, |n, _| async move { Answer::<_, ()>::Done(*n) })
            .unwrap()
            .wait();
        assert_eq!(kinds(report.outcomes()), "..g..g");
        // And one that ends under way.
        let tasks = Arc::new(Mutex::new(Vec::<Task>::new()));
        let kept = Arc::clone(&tasks);
        let batch = executor.batch(0..6).requests();
        let handle = batch.submit_async(
            move |task: Task| kept.lock().unwrap().push(task),
            |n, _| async move { Answer::<_, ()>::Done(*n) },
        );
        while tasks.lock().unwrap().len() < 6 {
            thread::yield_now();
        }
        tasks.lock().unwrap().clear();
        assert_eq!(kinds(handle.unwrap().wait().outcomes()), "gggggg");
        // And one that was shut down.
        let spawner = spawner_of_the_dead();
        let batch = executor.batch(0..3).requests();
        let handle = batch.submit_async(spawner, |n, _| async move { Answer::<_, ()>::Done(*n) });
        assert_eq!(kinds(handle.unwrap().wait().outcomes()), "ggg");
    });
}

fn spawner_of_the_dead() -> impl Spawn + Send + Sync {
    let runtime = runtime();
    let spawner = spawner(&runtime);
    runtime.shutdown_background();
    spawner
}

#[test]
fn a_panic_anywhere_is_its_items() {
    without_hanging(|| {
        let (executor, runtime) = (executor(1), runtime());
        let batch = executor.batch(0..6).requests();
        let handle = batch.submit_async(spawner(&runtime), |n, _| {
            assert_ne!(*n, 1, "before there is a future");
            async move {
                tokio::task::yield_now().await;
                assert_ne!(*n, 3, "in the future");
                Answer::<_, ()>::Done(*n)
            }
        });
        assert_eq!(kinds(handle.unwrap().wait().outcomes()), ".p.p..");
        let batch = executor.batch(0..2).requests();
        let handle = batch.submit_async(
            |_: Task| panic!("no room for a task"),
            |n, _| async move { Answer::<_, ()>::Done(*n) },
        );
        assert_eq!(kinds(handle.unwrap().wait().outcomes()), "gg");
    });
}

#[test]
fn fail_fast_ends_those_that_run_and_those_that_wait() {
    without_hanging(|| {
        let (executor, runtime) = (executor(1), runtime());
        let census = Census::default();
        let futures = census.clone();
        let batch = executor.batch(0..30).fail_fast().requests();
        let batch = batch.retry(Retry::new().within(10 * HOUR));
        let handle = batch.submit_async(spawner(&runtime), move |n, _| {
            let stuck = (*n % 2 == 0).then(|| endless(&futures));
            async move {
                match stuck {
                    Some(stuck) => stuck.await,
                    None if *n == 29 => Answer::Failed(()),
                    None => Answer::Again { error: (), after: Some(HOUR) },
                }
            }
        });
        let report = handle.unwrap().wait();
        assert_eq!(kinds(report.outcomes()), "c".repeat(29) + "f");
        census.wait_for_none();
    });
}
