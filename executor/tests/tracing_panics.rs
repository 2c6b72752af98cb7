//! A `tracing` subscriber that panics in every method: calls complete, and no job uses a borrowed
//! value after its call. This test has its own file because the subscriber serves the whole
//! process.

mod common;

use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use common::{block_on, executor, with_timeout};
use futures_util::{StreamExt as _, stream};
use reorder_executor::{Shutdown, StreamExt as _};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

static CALLS: AtomicUsize = AtomicUsize::new(0);

struct PanickingSubscriber;

fn count_and_panic() {
    CALLS.fetch_add(1, SeqCst);
    resume_unwind(Box::new("a subscriber that panics"));
}

impl Subscriber for PanickingSubscriber {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {
        count_and_panic();
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {
        count_and_panic();
    }

    fn enter(&self, _: &Id) {
        count_and_panic();
    }

    fn exit(&self, _: &Id) {
        count_and_panic();
    }

    fn try_close(&self, _: Id) -> bool {
        count_and_panic();
        true
    }
}

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A runtime with a thread for each task.
fn spawner(task: Task) {
    _ = std::thread::spawn(|| futures_executor::block_on(task));
}

#[test]
fn calls_complete_though_the_subscriber_panics() {
    tracing::subscriber::set_global_default(PanickingSubscriber).unwrap();
    with_timeout(|| {
        let executor = executor(2);
        for round in 0..20 {
            // The jobs borrow the rows, which are dropped at the end of the round.
            let rows: Vec<usize> = (0..1000).map(|n| n + round).collect();
            assert!(
                executor.map(&rows, |n| n + 1).into_iter().eq((0..1000).map(|n| n + round + 1))
            );
            assert!(executor.stream(0..100, |n| n).map(Result::unwrap).eq(0..100));
            let handle = executor.batch(0..10).submit(|n, _| Ok::<_, ()>(n)).unwrap();
            assert_eq!(handle.wait().into_values().unwrap().len(), 10);
            let (sender, results) = executor.queue(|n: usize| n).build().unwrap();
            (0..10).for_each(|n| sender.send(n).unwrap());
            drop(sender);
            assert!(results.map(Result::unwrap).eq(0..10));
            let futures = stream::iter(0..10).map_ordered(spawner, 4, |n| async move { n });
            let results: Vec<_> = block_on(Box::pin(futures.collect()));
            assert!(results.into_iter().map(Result::unwrap).eq(0..10));
        }
        let report = executor.shutdown(Shutdown::Drain, Some(Duration::from_secs(100)));
        assert!(report.is_complete(), "a worker was lost");
    });
    assert!(CALLS.load(SeqCst) > 100);
}
