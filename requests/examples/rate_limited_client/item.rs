//! An item, and the time that it waits for another attempt.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use reorder_requests::AttemptOutcome;

/// A sum of times, in microseconds.
#[derive(Default)]
pub(crate) struct TotalTime(AtomicU64);

impl TotalTime {
    pub(crate) fn add(&self, time: Duration) {
        self.0.fetch_add(time.as_micros() as u64, Relaxed);
    }

    pub(crate) fn read(&self) -> Duration {
        Duration::from_micros(self.0.load(Relaxed))
    }
}

pub(crate) struct Item {
    pub(crate) index: u32,
    /// The end of the last attempt, if that asked for another one.
    waits_since: Mutex<Option<Instant>>,
}

impl Item {
    pub(crate) fn new(index: u32) -> Item {
        Item { index, waits_since: Mutex::new(None) }
    }

    /// Starts an attempt. Adds the time since the attempt before to `waited`, if there was one.
    pub(crate) fn begin(&self, waited: &TotalTime) {
        let since = self.waits_since.lock().expect(NO_PANIC).take();
        since.into_iter().for_each(|since| waited.add(since.elapsed()));
    }

    /// Ends an attempt.
    pub(crate) fn end<U, E>(&self, outcome: &AttemptOutcome<U, E>) {
        if matches!(outcome, AttemptOutcome::Retry { .. } | AttemptOutcome::Closed { .. }) {
            *self.waits_since.lock().expect(NO_PANIC) = Some(Instant::now());
        }
    }
}

const NO_PANIC: &str = "no thread panics while it holds the lock";
