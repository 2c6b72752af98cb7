//! How an executor ends, and what is left of it then.

use crate::hub::Left;

/// What [`Executor::shutdown`](crate::Executor::shutdown) does about calls that are open, and has an example of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// Their items are all run.
    Drain,
    /// Items that have not started are not run any more. Their outcome is
    /// [`Failure::ShutDown`](crate::Failure::ShutDown) in calls made by [`Executor::batch`](crate::Executor::batch);
    /// calls without limits go on, on the threads of their callers and consumers alone. Jobs that run are told by
    /// [`Job::should_stop`](crate::Job::should_stop), and waited for.
    Abort,
}

/// What [`Executor::shutdown`](crate::Executor::shutdown) left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "it may not be complete"]
pub struct ShutdownReport {
    left: Left,
}

impl ShutdownReport {
    pub(crate) fn new(left: Left) -> ShutdownReport {
        ShutdownReport { left }
    }

    /// Whether all workers have ended; after [`Shutdown::Drain`] alone, all calls were through before.
    pub fn is_complete(&self) -> bool {
        self.left.workers == 0
    }

    /// How many calls had items that had not run.
    pub fn open_calls(&self) -> usize {
        self.left.calls
    }

    /// How many workers had not ended: those at a job or a source, and, as long as calls are drained, all of
    /// them.
    pub fn workers(&self) -> usize {
        self.left.workers
    }
}
