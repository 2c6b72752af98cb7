//! An item, and when it last asked for another attempt.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use reorder_executor::AttemptOutcome;

/// Where the time goes, in microseconds.
#[derive(Default)]
pub(crate) struct Clock(AtomicU64);

impl Clock {
    pub(crate) fn add(&self, time: Duration) {
        self.0.fetch_add(time.as_micros() as u64, Relaxed);
    }

    pub(crate) fn read(&self) -> Duration {
        Duration::from_micros(self.0.load(Relaxed))
    }
}

pub(crate) struct Item {
    pub(crate) index: u32,
    waits_since: Mutex<Option<Instant>>,
}

impl Item {
    pub(crate) fn new(index: u32) -> Item {
        Item { index, waits_since: Mutex::new(None) }
    }

    /// Notes the end of its wait, if it did wait.
    pub(crate) fn begin(&self, waited: &Clock) {
        let since = self.waits_since.lock().expect("no panic under it").take();
        since.into_iter().for_each(|since| waited.add(since.elapsed()));
    }

    pub(crate) fn end<U, E>(&self, answer: &AttemptOutcome<U, E>) {
        if matches!(answer, AttemptOutcome::Retry { .. }) {
            *self.waits_since.lock().expect("no panic under it") = Some(Instant::now());
        }
    }
}
