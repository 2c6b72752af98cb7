//! The current activity of each worker, for snapshots.
//!
//! A worker writes a few words of its own and reads no clock for it. The words order nothing, so
//! models need not see them. A snapshot may read words that do not belong together while the worker
//! writes them. The words of a worker that is stuck do belong together.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crossbeam_utils::CachePadded;

use crate::primitive::hints::AtomicU64;

#[derive(Default)]
pub(crate) struct WorkerStatus(CachePadded<Words>);

#[derive(Default)]
struct Words {
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

impl WorkerStatus {
    /// Notes that the worker runs `count` items of a call, or pulls its source if `count` is 0.
    pub(crate) fn set(&self, call: u64, first: u64, count: u64, since: Duration) {
        // ORDERING: worker_status:set: Relaxed; only shown to users, nothing follows from it.
        self.0.first.store(first, Relaxed);
        self.0.count.store(count, Relaxed);
        self.0.since.store(since.as_nanos() as u64, Relaxed);
        self.0.call.store(call, Relaxed);
    }

    /// Notes that the worker runs no call.
    pub(crate) fn clear(&self) {
        // ORDERING: worker_status:clear: Relaxed; as `worker_status:set`.
        self.0.call.store(0, Relaxed);
    }

    /// Returns the activity of a worker, if it runs a call.
    pub(crate) fn read(&self, worker: usize, now: Duration) -> Option<BusyWorker> {
        // ORDERING: worker_status:read: Relaxed; as `worker_status:set`.
        let [call, first, count, since] =
            [&self.0.call, &self.0.first, &self.0.count, &self.0.since]
                .map(|word| word.load(Relaxed));
        let time = now.saturating_sub(Duration::from_nanos(since));
        (call != 0).then_some(BusyWorker { worker, call, first, count, time })
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
