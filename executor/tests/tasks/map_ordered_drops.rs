//! `StreamExt::map_ordered`: values that are dropped, forgotten, without a size, or that panic.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, Waker};

use crate::common::{LiveCounter, block_on, with_timeout};
use crate::runtimes::{OneThread, runtime, spawner};
use futures_util::stream::{self, StreamExt as _};
use reorder_executor::StreamExt as _;

#[test]
fn a_forgotten_stream_stays_within_its_window() {
    with_timeout(|| {
        let executor = OneThread::default();
        let spawning = executor.clone();
        let live = LiveCounter::default();
        let counter = live.clone();
        let outcomes = stream::iter(0..).map_ordered(
            move |task| spawning.spawn(task),
            3,
            move |n| std::future::ready(counter.track(n)),
        );
        std::mem::forget(outcomes);
        while executor.poll_ready() {}
        assert_eq!(live.alive(), 3);
    });
}

#[test]
fn each_value_is_dropped_once_also_of_zero_size() {
    static ALIVE: AtomicUsize = AtomicUsize::new(0);
    struct Empty;
    impl Drop for Empty {
        fn drop(&mut self) {
            ALIVE.fetch_sub(1, SeqCst);
        }
    }
    with_timeout(|| {
        for taken in 0..=4 {
            let runtime = runtime();
            let mut outcomes =
                stream::iter([(); 4]).map_ordered(spawner(&runtime), 3, |()| async {
                    ALIVE.fetch_add(1, SeqCst);
                    Empty
                });
            for _ in 0..taken {
                assert!(block_on(outcomes.next()).is_some_and(|outcome| outcome.is_ok()));
            }
            drop(outcomes);
            // Waits for the running tasks.
            drop(runtime);
            assert_eq!(ALIVE.load(SeqCst), 0);
        }
    });
}

/// The source, the job and the spawner are dropped because the window is refused.
#[test]
fn panics_in_drop_do_not_hide_a_refused_window() {
    struct Fragile;
    impl Drop for Fragile {
        fn drop(&mut self) {
            panic!("fragile");
        }
    }
    let in_source = Fragile;
    let source = stream::iter(0..9).inspect(move |_| _ = &in_source);
    let (in_spawner, in_job) = (Fragile, Fragile);
    let spawner = move |task: crate::runtimes::Task| {
        _ = &in_spawner;
        drop(task);
    };
    let job = move |n: u32| {
        _ = &in_job;
        std::future::ready(n)
    };
    let call = std::panic::AssertUnwindSafe(|| drop(source.map_ordered(spawner, 0, job)));
    let panic = std::panic::catch_unwind(call).unwrap_err();
    let text = panic.downcast::<String>().expect("a text");
    assert!(text.contains("window"), "{text}");
}

#[test]
fn panics_in_drop_end_nothing_else() {
    struct Fragile(LiveCounter);
    impl Drop for Fragile {
        fn drop(&mut self) {
            drop(self.0.track(0));
            panic!("fragile");
        }
    }
    with_timeout(|| {
        let executor = OneThread::default();
        let live = LiveCounter::default();
        let spawning = executor.clone();
        let counter = live.clone();
        // The captures of the job, its futures and its values all panic.
        let captured = Fragile(live.clone());
        let job = move |_| {
            _ = &captured;
            let in_future = Fragile(counter.clone());
            let mut value = Some(Fragile(counter.clone()));
            std::future::poll_fn(move |_| {
                _ = &in_future;
                Poll::Ready(value.take().unwrap())
            })
        };
        let mut outcomes = stream::iter(0..9).map_ordered(move |task| spawning.spawn(task), 3, job);
        while executor.poll_ready() {}
        let Poll::Ready(Some(Ok(value))) =
            outcomes.poll_next_unpin(&mut Context::from_waker(Waker::noop()))
        else {
            panic!()
        };
        std::mem::forget(value);
        let dropped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(outcomes)));
        assert_eq!(dropped.unwrap_err().downcast_ref(), Some(&"fragile"));
        while executor.poll_ready() {}
    });
}
