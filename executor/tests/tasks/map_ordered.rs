//! `StreamExt::map_ordered`: order, window, runtimes, lost tasks and panics.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Waker};
use std::thread;

use crate::common::{LiveCounter, block_on, kinds, with_timeout};
use crate::runtimes::{MS, OneThread, Task, runtime, spawner};
use futures_util::stream::{self, FusedStream, Stream as _, StreamExt as _};
use reorder_executor::{Failure, MapOrdered, Outcome, Spawn, StreamExt as _};

fn collect<U: Send + 'static>(outcomes: MapOrdered<U>) -> Vec<Outcome<U>> {
    block_on(outcomes.collect())
}

/// A spawner with a thread for each task.
fn threads(task: Task) {
    thread::spawn(|| block_on(task));
}

/// Polls once, with a waker that does nothing.
fn poll_once<U: Send + 'static>(outcomes: &mut MapOrdered<U>) -> Poll<Option<Outcome<U>>> {
    outcomes.poll_next_unpin(&mut Context::from_waker(Waker::noop()))
}

#[cfg(feature = "tokio")]
#[test]
fn a_tokio_runtime_handle_is_a_spawner() {
    with_timeout(|| {
        let runtime = runtime();
        let outcomes = stream::iter(0..10).map_ordered(runtime.handle().clone(), 4, async |n| n);
        assert!(collect(outcomes).into_iter().map(Result::unwrap).eq(0..10));
    });
}

#[test]
fn outcomes_come_in_order_on_a_runtime_with_threads() {
    with_timeout(|| {
        let runtime = runtime();
        for window in [1, 3, 64] {
            let source = stream::iter(0..300_u32);
            let outcomes = source.map_ordered(spawner(&runtime), window, |n| async move {
                tokio::time::sleep(MS / 10 * (n % 7)).await;
                n
            });
            assert!(collect(outcomes).into_iter().map(Result::unwrap).eq(0..300));
        }
    });
}

#[test]
fn outcomes_come_in_order_on_one_thread() {
    with_timeout(|| {
        let executor = OneThread::default();
        let spawning = executor.clone();
        let outcomes = stream::iter(0..300_u32).map_ordered(
            move |task| spawning.spawn(task),
            5,
            |n| async move {
                for _ in 0..n % 7 {
                    let mut is_first = true;
                    std::future::poll_fn(|cx| {
                        cx.waker().wake_by_ref();
                        if std::mem::take(&mut is_first) { Poll::Pending } else { Poll::Ready(()) }
                    })
                    .await;
                }
                n
            },
        );
        let outcomes: Vec<_> = executor.run(outcomes.collect());
        assert!(outcomes.into_iter().map(Result::unwrap).eq(0..300));
        // Also on the runtime of tokio with one thread, which runs tasks inside of `block_on`.
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let source = stream::iter(0..300_u32);
        let outcomes = source.map_ordered(spawner(&runtime), 5, |n| async move { n });
        let outcomes: Vec<_> = runtime.block_on(outcomes.collect());
        assert!(outcomes.into_iter().map(Result::unwrap).eq(0..300));
    });
}

#[test]
fn futures_run_up_to_the_exact_window_while_the_consumer_does_not_poll() {
    with_timeout(|| {
        for window in [1, 2, 3, 5, 8] {
            let executor = OneThread::default();
            let spawning = executor.clone();
            let (pulled, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            let (pulling, ending) = (Arc::clone(&pulled), Arc::clone(&ended));
            let source = stream::iter(0..).inspect(move |_| _ = pulling.fetch_add(1, SeqCst));
            let job = move |n: usize| {
                let ending = Arc::clone(&ending);
                async move {
                    ending.fetch_add(1, SeqCst);
                    n
                }
            };
            let mut outcomes = source.map_ordered(move |task| spawning.spawn(task), window, job);
            for taken in 0..20 {
                while executor.poll_ready() {}
                assert_eq!(
                    (pulled.load(SeqCst), ended.load(SeqCst)),
                    (taken + window, taken + window)
                );
                let Poll::Ready(Some(Ok(n))) = poll_once(&mut outcomes) else { panic!("{taken}") };
                assert_eq!(n, taken);
            }
        }
    });
}

#[test]
fn a_waiting_consumer_is_woken_also_by_its_newer_waker() {
    with_timeout(|| {
        struct Count(AtomicUsize);
        impl std::task::Wake for Count {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, SeqCst);
            }
        }
        let executor = OneThread::default();
        let spawning = executor.clone();
        let (open, gate) = futures_gate();
        let job = move |()| {
            let gate = gate.clone();
            async move { gate.wait().await }
        };
        let source = stream::iter([()]);
        let mut outcomes = source.map_ordered(move |task| spawning.spawn(task), 1, job);
        let counts = [(); 2].map(|()| Arc::new(Count(AtomicUsize::new(0))));
        let wakers = counts.clone().map(Waker::from);
        for waker in [&wakers[0], &wakers[0], &wakers[1], &wakers[0], &wakers[1]] {
            // Each of these polls is spurious.
            assert!(outcomes.poll_next_unpin(&mut Context::from_waker(waker)).is_pending());
            while executor.poll_ready() {}
        }
        open.open();
        while executor.poll_ready() {}
        assert_eq!(counts.map(|count| count.0.load(SeqCst)), [0, 1]);
        assert!(matches!(poll_once(&mut outcomes), Poll::Ready(Some(Ok(())))));
        while executor.poll_ready() {}
        assert!(!outcomes.is_terminated());
        for _ in 0..3 {
            assert!(matches!(poll_once(&mut outcomes), Poll::Ready(None)), "a poll after the end");
            assert!(outcomes.is_terminated());
            assert_eq!(outcomes.size_hint(), (0, Some(0)));
        }
    });
}

/// A gate for tasks.
#[derive(Clone, Default)]
struct Gate(Arc<(AtomicBool, Mutex<Vec<Waker>>)>);

fn futures_gate() -> (Gate, Gate) {
    let gate = Gate::default();
    (gate.clone(), gate)
}

impl Gate {
    fn open(&self) {
        self.0.0.store(true, SeqCst);
        std::mem::take(&mut *self.0.1.lock().unwrap()).into_iter().for_each(Waker::wake);
    }

    async fn wait(&self) {
        std::future::poll_fn(|cx| {
            self.0.1.lock().unwrap().push(cx.waker().clone());
            if self.0.0.load(SeqCst) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

#[test]
fn a_source_that_waits_keeps_no_thread_and_wakes_the_puller() {
    with_timeout(|| {
        let runtime = runtime();
        let (open, gate) = futures_gate();
        let source = stream::once(async move { gate.wait().await }).chain(stream::iter([(); 4]));
        let mut outcomes = source.map_ordered(spawner(&runtime), 2, |()| async {});
        assert!(poll_once(&mut outcomes).is_pending());
        open.open();
        assert_eq!(block_on(outcomes.count()), 5);
    });
}

#[test]
fn the_number_of_outcomes_is_exact_where_that_of_the_source_is() {
    with_timeout(|| {
        let mut outcomes = stream::iter(0..10).map_ordered(threads, 4, |n| async move { n });
        for left in (0..10).rev() {
            assert!(block_on(outcomes.next()).is_some());
            assert_eq!(outcomes.size_hint(), (left, Some(left)));
        }
        let endless = stream::iter(0..).map_ordered(threads, 1, |n: u32| async move { n });
        assert_eq!(endless.size_hint(), (0, None));
    });
}

#[test]
fn dropping_the_stream_aborts_its_futures_and_drops_the_source() {
    with_timeout(|| {
        let runtime = runtime();
        for taken in [0, 1] {
            let (live, of_source) = (LiveCounter::default(), LiveCounter::default());
            let (started, starts) = mpsc::channel();
            let (counter, tracked) = (live.clone(), of_source.track(0));
            let job = move |n: u64| {
                let (tracked, started) = (counter.track(n), started.clone());
                async move {
                    let tracked = tracked;
                    if tracked.value > 0 {
                        started.send(()).unwrap();
                        std::future::pending::<()>().await;
                    }
                    tracked
                }
            };
            let source = stream::iter(0..).inspect(move |_| _ = &tracked);
            let mut outcomes = source.map_ordered(spawner(&runtime), 4, job);
            for _ in 0..taken {
                assert!(block_on(outcomes.next()).is_some_and(|outcome| outcome.is_ok()));
            }
            (0..3 + taken).for_each(|_| starts.recv().unwrap());
            drop(outcomes);
            live.wait_until_none_alive();
            of_source.wait_until_none_alive();
        }
    });
}

#[test]
fn a_puller_that_waits_for_its_source_ends_with_the_stream() {
    with_timeout(|| {
        let runtime = runtime();
        let live = LiveCounter::default();
        let tracked = live.track(0);
        let source = stream::pending::<()>().inspect(move |()| _ = &tracked);
        let mut outcomes = source.map_ordered(spawner(&runtime), 4, |()| async {});
        assert!(poll_once(&mut outcomes).is_pending());
        drop(outcomes);
        live.wait_until_none_alive();
    });
}

#[test]
fn lost_futures_are_failures_at_their_places() {
    with_timeout(|| {
        // The spawner drops every third job: the puller comes first, and is kept.
        for in_place in [true, false] {
            let count = AtomicUsize::new(0);
            let spawner = move |task: Task| match count.fetch_add(1, SeqCst) % 3 {
                2 if in_place => drop(task),
                2 => _ = thread::spawn(|| drop(task)),
                _ => threads(task),
            };
            let outcomes = stream::iter(0..6).map_ordered(spawner, 4, |n| async move { n });
            let outcomes = collect(outcomes);
            assert_eq!(kinds(&outcomes), ".g..g.");
            let Err(Failure::FutureDropped(item)) = &outcomes[1] else { panic!() };
            assert!(item.was_pulled() && item.attempts() == 1);
            let text = outcomes[1].as_ref().unwrap_err().to_string();
            assert_eq!(text, "the runtime dropped the future of the item");
        }
    });
}

#[test]
fn a_lost_puller_is_the_last_failure() {
    with_timeout(|| {
        // Dropped by the spawner itself, or with its runtime.
        let outcomes =
            collect(stream::iter(0..6).map_ordered(drop::<Task>, 4, |n| async move { n }));
        assert_eq!(kinds(&outcomes), "g");
        let text = outcomes[0].as_ref().unwrap_err().to_string();
        assert_eq!(text, "the runtime dropped the task that polls the source");
        let Err(Failure::FutureDropped(item)) = &outcomes[0] else { panic!() };
        assert!(!item.was_pulled());
        let runtime = runtime();
        let job = |n| async move {
            if n > 0 {
                std::future::pending::<()>().await;
            }
        };
        let mut outcomes = stream::iter(0..).map_ordered(spawner(&runtime), 3, job);
        assert!(block_on(outcomes.next()).is_some_and(|outcome| outcome.is_ok()));
        runtime.shutdown_background();
        let rest = collect(outcomes);
        assert!(rest.len() <= 4 && kinds(&rest).chars().all(|kind| kind == 'g'), "{rest:?}");
    });
}

#[test]
fn panics_of_jobs_and_futures_are_outcomes_at_their_places() {
    with_timeout(|| {
        let job = |n: u32| {
            assert_ne!(n, 1, "in the job");
            async move {
                assert_ne!(n, 3, "in the future");
                n
            }
        };
        let outcomes = collect(stream::iter(0..6).map_ordered(threads, 4, job));
        assert_eq!(kinds(&outcomes), ".p.p..");
        let texts = [1, 3].map(|n: usize| outcomes[n].as_ref().unwrap_err().to_string());
        assert!(texts[0].contains("in the job") && texts[1].contains("in the future"), "{texts:?}");
    });
}

#[test]
fn a_panic_of_the_source_or_of_its_drop_is_the_last_outcome() {
    struct PanicsInDrop;
    impl Drop for PanicsInDrop {
        fn drop(&mut self) {
            panic!("in the drop");
        }
    }
    with_timeout(|| {
        for in_drop in [false, true] {
            let guard = in_drop.then(|| PanicsInDrop);
            let source = stream::iter(0..3).inspect(move |&n| {
                _ = &guard;
                assert!(guard.is_some() || n < 2, "in the source");
            });
            let outcomes = collect(source.map_ordered(threads, 2, |n| async move { n }));
            let text = match outcomes.last() {
                Some(Err(Failure::SourcePanicked(panic))) => panic.message().to_owned(),
                other => panic!("{other:?}"),
            };
            assert_eq!(text, if in_drop { "in the drop" } else { "in the source" });
            assert_eq!(outcomes.len(), if in_drop { 4 } else { 3 });
        }
    });
}

#[test]
fn a_spawner_that_panics_is_the_outcome_of_a_job_that_it_drops() {
    with_timeout(|| {
        let count = AtomicUsize::new(0);
        let spawner = move |task: Task| match count.fetch_add(1, SeqCst) {
            2 => panic!("no thread"),
            3 => {
                threads(task);
                panic!("too late");
            }
            _ => threads(task),
        };
        let outcomes = collect(stream::iter(0..4).map_ordered(spawner, 2, |n| async move { n }));
        assert_eq!(kinds(&outcomes), ".p..");
        let Err(Failure::SpawnerPanicked(panic)) = &outcomes[1] else { panic!("{outcomes:?}") };
        assert_eq!(panic.message(), "no thread");
    });
}

#[test]
fn a_window_of_zero_is_refused() {
    let opened = std::panic::catch_unwind(|| {
        drop(stream::iter(0..4).map_ordered(threads, 0, |n| async move { n }));
    });
    let payload = opened.unwrap_err();
    let text = payload.downcast_ref::<String>().unwrap();
    assert_eq!(text, "a window must be at least 1 item, not 0");
}

#[test]
fn handles_are_send_and_unpin() {
    fn check<T: Send + Unpin>() {}
    check::<MapOrdered<u8>>();
    check::<Pin<Box<MapOrdered<u8>>>>();
    fn is_spawner<S: Spawn>(_: &S) {}
    is_spawner(&threads);
}
