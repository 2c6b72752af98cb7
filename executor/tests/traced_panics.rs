//! A subscriber that panics whatever it is told: calls go on, and nothing that was lent is touched after them. A file
//! of its own, for its subscriber is that of the process.

mod common;

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use common::{executor, without_hanging};
use reorder_executor::Shutdown;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

static TOLD: AtomicUsize = AtomicUsize::new(0);

struct Fragile;

fn break_down() {
    TOLD.fetch_add(1, SeqCst);
    resume_unwind(Box::new("a subscriber that panics"));
}

impl Subscriber for Fragile {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {
        break_down();
    }

    fn enter(&self, _: &Id) {
        break_down();
    }

    fn exit(&self, _: &Id) {
        break_down();
    }

    fn try_close(&self, _: Id) -> bool {
        break_down();
        true
    }
}

#[test]
fn a_subscriber_that_panics_disturbs_no_call() {
    tracing::subscriber::set_global_default(Fragile).unwrap();
    without_hanging(|| {
        let executor = executor(2);
        for round in 0..20 {
            // Borrowed, and gone with the round.
            let rows: Vec<usize> = (0..1000).map(|n| n + round).collect();
            assert!(
                executor.map(&rows, |n| n + 1).into_iter().eq((0..1000).map(|n| n + round + 1))
            );
            assert!(executor.stream(0..100, |n| n).map(Result::unwrap).eq(0..100));
            let handle = executor.batch(0..10).submit(|n, _| Ok::<_, ()>(n)).unwrap();
            assert_eq!(handle.wait().into_values().unwrap().len(), 10);
        }
        let report = executor.shutdown(Shutdown::Drain, Some(Duration::from_secs(100)));
        assert!(report.is_complete(), "no worker was lost");
    });
    assert!(TOLD.load(SeqCst) > 100);
}
