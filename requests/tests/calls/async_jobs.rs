//! Requests whose jobs are futures, on a runtime.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::task::Poll;
use std::thread;

use crate::common::{block_on, executor, kinds, with_timeout};
use crate::futures::{HOUR, MS, Task, requests, runtime, spawner};
use futures_util::StreamExt;
use reorder_executor::{ConcurrencyLimit, Failure, Shutdown, Spawn};
use reorder_requests::{AttemptOutcome, RequestStats, RequestsExt};

#[cfg(feature = "tokio")]
#[test]
fn a_tokio_runtime_handle_is_a_spawner() {
    with_timeout(|| {
        let (executor, runtime) = (executor(1), runtime());
        let handle = requests(&executor, 0..10)
            .submit_async(runtime.handle().clone(), |n, _| async move {
                AttemptOutcome::<_, ()>::Done(*n)
            });
        assert!(handle.unwrap().wait().into_values().unwrap().into_iter().eq(0..10));
    });
}

#[test]
fn futures_are_retried_and_delivered_in_order() {
    with_timeout(|| {
        let (executor, runtime) = (executor(1), runtime());
        let handle = requests(&executor, 0..500_u32).submit_async(
            spawner(&runtime),
            |n, attempt| async move {
                tokio::time::sleep(MS / 10 * (*n % 7)).await;
                match attempt.number() {
                    3 if *n % 10 == 0 => AttemptOutcome::Failed(*n),
                    3 => AttemptOutcome::Done(*n),
                    _ => AttemptOutcome::Retry { error: *n, after: None },
                }
            },
        );
        let report = block_on(handle.unwrap());
        let stats = *report.stats::<RequestStats>().unwrap();
        assert_eq!((stats.attempts, stats.capacity_retries), (1500, 1000));
        assert_eq!(report.outcomes().len(), 500);
        for (n, outcome) in (0..).zip(report) {
            match outcome {
                Ok(value) => assert_eq!(value, n),
                Err(Failure::Failed { error, .. }) => assert!(error == n && n % 10 == 0),
                Err(failure) => panic!("{failure}"),
            }
        }
    });
}

#[test]
fn futures_run_without_polling_the_consumer_where_buffered_stalls() {
    with_timeout(|| {
        let (executor, runtime) = (executor(1), runtime());
        // This crate: all ten futures complete though the consumer is not polled.
        let ended = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&ended);
        let mut stream = requests(&executor, 0..10)
            .stream_async(spawner(&runtime), move |n, _| {
                let count = Arc::clone(&count);
                async move {
                    tokio::time::sleep(MS).await;
                    tokio::time::sleep(MS).await;
                    count.fetch_add(1, SeqCst);
                    AttemptOutcome::<_, ()>::Done(*n)
                }
            })
            .unwrap();
        while ended.load(SeqCst) < 10 {
            thread::yield_now();
        }
        for n in 0..10 {
            assert_eq!(stream.next().unwrap().unwrap(), n);
        }
        // `buffered`: each future is polled up to its first sleep, and gets no further while the
        // consumer is busy.
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
            assert_eq!(ended.load(SeqCst), 0, "a future completed without a poll");
            assert_eq!(buffered.count().await, 10);
        });
    });
}

#[test]
fn window_and_concurrency_are_independent() {
    with_timeout(|| {
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
                    AttemptOutcome::<_, ()>::Done(*n)
                }
            })
            .unwrap();
        // The window fills up, with at most three running futures.
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
fn the_consumer_may_be_a_task() {
    with_timeout(|| {
        let (executor, runtime) = (executor(1), runtime());
        let stream = requests(&executor, 0..100_u32)
            .stream_async(spawner(&runtime), |n, attempt| async move {
                match attempt.number() {
                    1 if *n % 3 == 0 => AttemptOutcome::Retry { error: (), after: None },
                    _ => AttemptOutcome::Done(*n),
                }
            })
            .unwrap()
            .into_stream();
        let sum = runtime.block_on(stream.fold(0, |sum, n| async move { sum + n.unwrap() }));
        assert_eq!(sum, 99 * 50);
    });
}

#[test]
fn a_task_that_is_dropped_leaves_a_gap() {
    with_timeout(|| {
        let executor = executor(1);
        // A spawner that drops every third task.
        let (runtime, lost) = (runtime(), AtomicUsize::new(0));
        let handle = runtime.handle().clone();
        let spawner = move |task: Task| {
            if lost.fetch_add(1, SeqCst) % 3 != 2 {
                handle.spawn(task);
            }
        };
        let batch = executor.batch(0..6).requests();
        let report = batch
            .submit_async(spawner, |n, _| async move { AttemptOutcome::<_, ()>::Done(*n) })
            .unwrap()
            .wait();
        assert_eq!(kinds(report.outcomes()), "..g..g");
        // A spawner that drops its tasks later.
        let tasks = Arc::new(Mutex::new(Vec::<Task>::new()));
        let kept = Arc::clone(&tasks);
        let batch = executor.batch(0..6).requests();
        let handle = batch.submit_async(
            move |task: Task| kept.lock().unwrap().push(task),
            |n, _| async move { AttemptOutcome::<_, ()>::Done(*n) },
        );
        while tasks.lock().unwrap().len() < 6 {
            thread::yield_now();
        }
        tasks.lock().unwrap().clear();
        assert_eq!(kinds(handle.unwrap().wait().outcomes()), "gggggg");
        // A runtime that has been shut down.
        let spawner = spawner_of_a_runtime_that_was_shut_down();
        let batch = executor.batch(0..3).requests();
        let handle =
            batch.submit_async(spawner, |n, _| async move { AttemptOutcome::<_, ()>::Done(*n) });
        assert_eq!(kinds(handle.unwrap().wait().outcomes()), "ggg");
    });
}

fn spawner_of_a_runtime_that_was_shut_down() -> impl Spawn + Send + Sync {
    let runtime = runtime();
    let spawner = spawner(&runtime);
    runtime.shutdown_background();
    spawner
}

#[test]
fn a_panic_in_job_future_or_spawner_is_the_outcome_of_its_item() {
    with_timeout(|| {
        let (executor, runtime) = (executor(1), runtime());
        let batch = executor.batch(0..6).requests();
        let handle = batch.submit_async(spawner(&runtime), |n, _| {
            assert_ne!(*n, 1, "the job panics before it returns a future");
            async move {
                tokio::task::yield_now().await;
                assert_ne!(*n, 3, "the future panics");
                AttemptOutcome::<_, ()>::Done(*n)
            }
        });
        assert_eq!(kinds(handle.unwrap().wait().outcomes()), ".p.p..");
        let batch = executor.batch(0..2).requests();
        let handle = batch.submit_async(
            |_: Task| panic!("the spawner panics"),
            |n, _| async move { AttemptOutcome::<_, ()>::Done(*n) },
        );
        assert_eq!(kinds(handle.unwrap().wait().outcomes()), "pp");
    });
}

#[test]
fn a_job_may_wait_for_futures_that_are_retried() {
    with_timeout(|| {
        let (executor, runtime) = (Arc::new(executor(1)), runtime());
        for concurrency in [1, 8] {
            let (inner, spawner) = (Arc::clone(&executor), Arc::new(spawner(&runtime)));
            let outer = executor.batch([()]).submit(move |(), _| {
                let batch = requests(&inner, 0..8_u32);
                let batch = batch.concurrency(NonZeroUsize::new(concurrency).unwrap());
                let spawner = Arc::clone(&spawner);
                let handle = batch.submit_async(spawner, |n, attempt| async move {
                    // The worker is asleep when this ends.
                    tokio::time::sleep((8 - *n) * MS).await;
                    match attempt.number() {
                        1 => AttemptOutcome::Retry { error: (), after: Some(2 * MS) },
                        _ => AttemptOutcome::Done(*n),
                    }
                });
                Ok::<_, ()>(handle.unwrap().wait().into_values().unwrap())
            });
            let values = outer.unwrap().wait().into_values().unwrap().remove(0);
            assert!(values.into_iter().eq(0..8));
        }
    });
}

#[test]
fn a_waker_that_panics_keeps_no_permit() {
    struct PanickingWaker;
    impl std::task::Wake for PanickingWaker {
        fn wake(self: Arc<Self>) {
            panic!("a waker that panics");
        }
    }
    with_timeout(|| {
        let (executor, runtime) = (executor(1), runtime());
        let batch = requests(&executor, 0..50_u32).concurrency(NonZeroUsize::new(1).unwrap());
        let mut stream = batch
            .stream_async(spawner(&runtime), |n, _| async move {
                tokio::task::yield_now().await;
                AttemptOutcome::<_, ()>::Done(*n)
            })
            .unwrap();
        let waker = Arc::new(PanickingWaker).into();
        let mut cx = std::task::Context::from_waker(&waker);
        let mut next = 0;
        while next < 50 {
            match stream.poll_next(&mut cx) {
                Poll::Ready(outcome) => {
                    assert_eq!(outcome.unwrap().unwrap(), next);
                    next += 1;
                }
                Poll::Pending => thread::yield_now(),
            }
        }
        assert!(executor.shutdown(Shutdown::Drain, Some(HOUR)).is_complete());
    });
}

/// The only worker is the consumer, so no other thread starts the attempts.
#[test]
fn a_higher_limit_wakes_a_consumer_that_starts_the_attempts() {
    with_timeout(|| {
        let (executor, runtime) = (executor(1), runtime());
        let limit = ConcurrencyLimit::new(NonZeroUsize::MIN);
        let is_open = Arc::new(AtomicBool::new(false));
        let (opened, (starting, starts)) = (Arc::clone(&is_open), mpsc::channel());
        let stream = requests(&executor, 0..2_u32)
            .concurrency(&limit)
            .stream_async(spawner(&runtime), move |n, _| {
                starting.send(*n).unwrap();
                let opened = Arc::clone(&opened);
                async move {
                    while !opened.load(SeqCst) {
                        tokio::time::sleep(MS).await;
                    }
                    AttemptOutcome::<_, ()>::Done(*n)
                }
            })
            .unwrap();
        let (consuming, consumes) = mpsc::channel();
        let handle = executor.batch([stream]).submit(move |stream, _| {
            consuming.send(()).unwrap();
            Ok::<_, ()>(stream.map(Result::unwrap).collect::<Vec<_>>())
        });
        consumes.recv().unwrap();
        assert_eq!(starts.recv(), Ok(0));
        // The consumer parks, most often.
        thread::sleep(20 * MS);
        limit.set(NonZeroUsize::new(2).unwrap());
        assert_eq!(starts.recv(), Ok(1));
        is_open.store(true, SeqCst);
        assert_eq!(handle.unwrap().wait().into_values().unwrap(), [[0, 1]]);
    });
}
