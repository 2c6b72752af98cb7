//! The current activity of each worker, for snapshots.
//!
//! A worker writes a few words of its own and reads no clock for it. The words order nothing, so
//! models need not see them. A snapshot may read words that do not belong together while the worker
//! writes them. The words of a worker that is stuck do belong together.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crossbeam_utils::CachePadded;

pub(crate) struct WorkerStatuses {
    epoch: Instant,
    workers: Box<[CachePadded<WorkerStatus>]>,
}

#[derive(Default)]
struct WorkerStatus {
    /// The number of the call that the worker runs, or 0.
    call: AtomicU64,
    /// The index of the first item that the worker runs.
    first: AtomicU64,
    /// The number of items that the worker runs, or 0 while it pulls the source.
    count: AtomicU64,
    /// The start of this activity, in nanoseconds from the epoch.
    since: AtomicU64,
}

/// A worker that runs items of a call or pulls its source.
pub(crate) struct BusyWorker {
    pub(crate) worker: usize,
    pub(crate) call: u64,
    pub(crate) first: u64,
    pub(crate) count: u64,
    pub(crate) time: Duration,
}

impl WorkerStatuses {
    pub(crate) fn new(workers: usize, epoch: Instant) -> WorkerStatuses {
        WorkerStatuses { epoch, workers: (0..workers).map(|_| CachePadded::default()).collect() }
    }

    /// Notes that a worker runs `count` items of a call, or pulls its source if `count` is 0.
    pub(crate) fn set(&self, worker: usize, call: u64, first: u64, count: u64, since: Instant) {
        let status = &self.workers[worker];
        let since = since.saturating_duration_since(self.epoch).as_nanos() as u64;
        // ORDERING: worker_status:set: Relaxed; only shown to users, nothing follows from it.
        status.first.store(first, Relaxed);
        status.count.store(count, Relaxed);
        status.since.store(since, Relaxed);
        status.call.store(call, Relaxed);
    }

    /// Notes that a worker runs no call.
    pub(crate) fn clear(&self, worker: usize) {
        // ORDERING: worker_status:clear: Relaxed; as `worker_status:set`.
        self.workers[worker].call.store(0, Relaxed);
    }

    /// Returns the workers that run a call.
    pub(crate) fn busy(&self, now: Instant) -> Vec<BusyWorker> {
        let now = now.saturating_duration_since(self.epoch);
        let look = |(worker, status): (usize, &CachePadded<WorkerStatus>)| {
            // ORDERING: worker_status:read: Relaxed; as `worker_status:set`.
            let [call, first, count, since] =
                [&status.call, &status.first, &status.count, &status.since]
                    .map(|word| word.load(Relaxed));
            let time = now.saturating_sub(Duration::from_nanos(since));
            (call != 0).then_some(BusyWorker { worker, call, first, count, time })
        };
        self.workers.iter().enumerate().filter_map(look).collect()
    }
}

impl BusyWorker {
    /// Returns `true` if the worker runs the item at `index`.
    pub(crate) fn runs(&self, index: u64) -> bool {
        (self.first..self.first + self.count).contains(&index)
    }

    /// Returns `true` if the worker pulls the source.
    pub(crate) fn is_pulling(&self) -> bool {
        self.count == 0
    }
}
