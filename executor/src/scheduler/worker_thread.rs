//! A worker thread, as the other threads of its executor see it.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::observe::WorkerStatus;
use crate::primitive::{AtomicBool, Unparker, thread_local};
use crate::scheduler::monitor::Monitor;
use crate::scheduler::source_watch::SourceWatch;

thread_local! {
    #[allow(clippy::missing_const_for_thread_local, reason = "loom's take no const block")]
    static THIS_WORKER: RefCell<Option<Arc<WorkerThread>>> = RefCell::new(None);
}

/// Returns the current thread, if it is a worker of any executor.
pub(crate) fn this_worker() -> Option<Arc<WorkerThread>> {
    THIS_WORKER.try_with(|this| this.borrow().clone()).ok().flatten()
}

/// Notes whether the current thread is a worker.
pub(crate) fn set_this_worker(thread: Option<Arc<WorkerThread>>) {
    THIS_WORKER.with(|this| this.replace(thread));
}

/// A worker thread, as other threads see it.
pub(crate) struct WorkerThread {
    /// The lowest number that no other thread of the executor had at its start.
    pub(crate) index: usize,
    pub(crate) status: WorkerStatus,
    pub(crate) watch: SourceWatch,
    /// `true` if the source that the thread is inside was pulled in a job.
    is_in_job: AtomicBool,
    pub(crate) unparker: Unparker,
    /// The monitor of its executor.
    pub(crate) monitor: Arc<Monitor>,
}

impl WorkerThread {
    pub(crate) fn new(index: usize, unparker: Unparker, monitor: Arc<Monitor>) -> Arc<Self> {
        Arc::new(WorkerThread {
            index,
            status: WorkerStatus::default(),
            watch: SourceWatch::new(),
            is_in_job: AtomicBool::new(false),
            unparker,
            monitor,
        })
    }

    /// Notes that this thread enters a source, in a job or not. `leave` gets the answer.
    pub(crate) fn enter_source(&self, is_in_job: bool) -> bool {
        let is_outermost = self.watch.enter();
        if is_outermost {
            // ORDERING: threads:in_job: Relaxed; a shutdown that misses it looks again.
            self.is_in_job.store(is_in_job, Relaxed);
        }
        is_outermost
    }

    /// Returns `true` if a shutdown has to wait for this thread.
    pub(crate) fn is_working(&self) -> bool {
        // ORDERING: threads:working: Relaxed; as `threads:in_job`.
        !self.watch.is_blocked() || self.is_in_job.load(Relaxed)
    }
}
