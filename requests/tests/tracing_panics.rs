//! A `tracing` subscriber that panics in every method: requests complete. This test has its own
//! file because the subscriber serves the whole process.

mod common;

use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use common::{executor, with_timeout};
use reorder_executor::Shutdown;
use reorder_requests::{AttemptOutcome, RequestsExt};
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
fn requests_complete_though_the_subscriber_panics() {
    tracing::subscriber::set_global_default(PanickingSubscriber).unwrap();
    with_timeout(|| {
        let executor = executor(2);
        for _ in 0..20 {
            let requests = executor.batch(0..10).requests();
            let handle = requests.submit(|&n, _| AttemptOutcome::<_, ()>::Done(n));
            assert_eq!(handle.unwrap().wait().into_values().unwrap().len(), 10);
            let requests = executor
                .batch(0..10)
                .requests()
                .submit_async(spawner, |n, _| async move { AttemptOutcome::<_, ()>::Done(*n) });
            assert_eq!(requests.unwrap().wait().into_values().unwrap().len(), 10);
        }
        let report = executor.shutdown(Shutdown::Drain, Some(Duration::from_secs(100)));
        assert!(report.is_complete(), "a worker was lost");
    });
    assert!(CALLS.load(SeqCst) > 100);
}
