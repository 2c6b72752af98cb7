//! The executor: what its threads and calls share. `builder` starts it.
//!
//! The calls are defined where they are carried out: `map::calls`, `batch::builder`,
//! `stream::open`, `scope`, `snapshot` and `shutdown` each add theirs to [`Executor`].

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;

use reorder_ring::{CapacityError, Ring};

use crate::limits::CancellationToken;
use crate::scheduler::Scheduler;

/// A pool of worker threads that any number of callers share.
///
/// Every call is a batch with its own ring. So results never mix, and batches run at the same time.
/// Workers take turns among the open batches. The caller of a batch runs items of that batch and of
/// no other. So calls can be nested in jobs as deep as the stack allows, even with one worker. If
/// more than about ten thousand batches are open, the caller of a new batch runs its items alone.
///
/// ```
/// use reorder_executor::Executor;
///
/// let executor = Executor::builder().workers(2).build()?;
/// let squares = executor.map(0..100u64, |n| n * n);
/// assert_eq!(squares, (0..100u64).map(|n| n * n).collect::<Vec<_>>());
/// # Ok::<(), reorder_executor::BuildError>(())
/// ```
///
/// A source may block for as long as it likes. A thread that waits inside a source does not count
/// as a worker: after about a millisecond, another thread takes its place. When the source returns,
/// there is one thread too many, and one of them ends. So there is at most one more thread for each
/// source that blocks, and one thread that watches the sources.
///
/// Dropping the executor waits until each worker has finished its current job, unless a job drops
/// the executor. The drop does not wait for a worker that is blocked inside a source. That worker
/// ends when the source returns. If the handle of its stream is still there, the worker first runs
/// the item that it got.
///
/// With the feature `tokio`, the drop does not wait on a thread of a tokio runtime: jobs may need
/// that thread. Without this feature, do not drop the executor in a task while jobs wait for the
/// runtime.
///
/// A stream that is still open goes on, on the thread of its consumer. A stream with limits and a
/// [submitted](crate::BatchBuilder::submit) batch get
/// [`Failure::ShutDown`](crate::Failure::ShutDown) for items that have not started.
/// [`shutdown`](Executor::shutdown) offers more control.
///
/// A fork of the process has no workers. There, new calls behave as after a shutdown: their caller
/// runs them, or they are refused. A call that was open at the fork may never end there.
pub struct Executor {
    pub(crate) scheduler: Arc<Scheduler>,
    pub(crate) window: usize,
    /// The number of threads that can run at the same time, as seen by the thread that built this.
    pub(crate) processors: usize,
    /// The token that cancels the calls with limits when the executor is dropped.
    pub(crate) shutdown: CancellationToken,
    /// The token that keeps items of calls with limits from starting.
    pub(crate) closing: CancellationToken,
}

impl Executor {
    /// Returns the number of workers: the threads that run items, except threads that are blocked
    /// inside a source. The caller of a batch is one more thread that runs items.
    ///
    /// ```
    /// # use reorder_executor::Executor;
    /// assert_eq!(Executor::builder().workers(2).build()?.workers(), 2);
    /// # Ok::<(), reorder_executor::BuildError>(())
    /// ```
    ///
    /// # Progress
    ///
    /// Wait-free: the number is fixed.
    pub fn workers(&self) -> usize {
        self.scheduler.threads.wanted()
    }

    /// Returns the number of threads of one call that can run at the same time.
    pub(crate) fn parallelism(&self) -> usize {
        // A thread that has to wait for a processor needs no share of the window.
        self.scheduler.parallelism().min(self.processors)
    }

    /// Returns the name of a worker's thread.
    pub(crate) fn worker_name(&self, worker: usize) -> String {
        self.scheduler.threads.name(worker)
    }
}

// Panics of jobs and sources are caught, or leave a call after it has ended. No lock is held and no
// shared state is half changed while user code runs.
impl UnwindSafe for Executor {}
impl RefUnwindSafe for Executor {}

impl fmt::Debug for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executor")
            .field("workers", &self.workers())
            .field("window", &self.window)
            .finish_non_exhaustive()
    }
}

/// Checks that there is memory for the ring of a stream with this window.
pub(crate) fn check_window(window: usize) -> Result<(), CapacityError> {
    // Outcomes travel in vectors, whose size does not depend on the outcome.
    Ring::<Vec<()>>::with_capacity(window).map(drop)
}

/// Says why a window is refused, in the words of the executor.
pub(crate) fn write_window_error(f: &mut fmt::Formatter<'_>, error: &CapacityError) -> fmt::Result {
    match error {
        CapacityError::Zero => f.write_str("a window must be at least 1 item, not 0"),
        CapacityError::TooLarge { requested, largest } => {
            write!(f, "a window must be at most {largest} items, not {requested}")
        }
        error => write!(f, "there is no window of that size: {error}"),
    }
}
