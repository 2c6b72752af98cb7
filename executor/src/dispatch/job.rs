//! A job of a dispatcher, as the thread that runs it sees it.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use crate::limits::{Current, LimitState, RunningItem};
use crate::observe::CallSpan;
use crate::scheduler::{Inside, Scheduler};

/// The parts of a call that its jobs use.
pub(super) struct JobParts {
    pub(super) limits: Arc<LimitState>,
    pub(super) scheduler: Arc<Scheduler>,
    pub(super) span: CallSpan,
}

// As for `Executor`: no lock is held and no shared state is half changed while user code runs.
impl UnwindSafe for JobParts {}
impl RefUnwindSafe for JobParts {}

/// A job at an item of a dispatcher. Made by [`Call::job`](crate::dispatch::Call::job). Clones are
/// the same job.
///
/// A call that the job makes finds out by the context whether the job is unwanted.
#[derive(Clone)]
pub struct JobContext {
    pub(super) call: Arc<JobParts>,
    pub(super) index: u64,
    pub(super) started: Instant,
    pub(super) timeout: Option<Instant>,
}

impl JobContext {
    /// Returns the index of the item in its source, from 0 on.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// Returns `true` if the result of this job is not needed, or will not count.
    /// [`Job::should_stop`](crate::Job::should_stop) lists reasons. Two more are that the job's own
    /// time is over, and that the item has its outcome.
    ///
    /// # Progress
    ///
    /// As [`Job::should_stop`](crate::Job::should_stop).
    pub fn should_stop(&self) -> bool {
        self.current().should_stop()
    }

    /// Returns the earliest deadline of the batch, of the item, and of the job, or `None` if there
    /// is none.
    ///
    /// # Progress
    ///
    /// Wait-free.
    pub fn deadline(&self) -> Option<Instant> {
        let item = self.call.limits.policy.deadline(Some(self.started));
        item.into_iter().chain(self.timeout).min()
    }

    /// Sets the weight with which the item counts in the [budget](crate::BatchBuilder::weight) of
    /// its batch, until its outcome is taken. Without a budget, this does nothing.
    ///
    /// # Progress
    ///
    /// Blocking: it takes a lock that is held for a few instructions.
    pub fn set_weight(&self, weight: u64) {
        if let Some(budget) = &self.call.limits.budget {
            budget.set(self.index, weight);
        }
    }

    /// Runs `f` as a part of this job, on the thread that [performs](crate::dispatch::Dispatch)
    /// it.
    ///
    /// # Panics
    ///
    /// With a panic of `f`.
    pub fn run<R>(&self, f: impl FnOnce() -> R) -> R {
        self.current().run(f)
    }

    /// Polls a future as a part of this job, on any thread, in the span of the call.
    ///
    /// # Panics
    ///
    /// With a panic of the future.
    pub fn poll<F: Future>(&self, future: Pin<&mut F>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let _inside = Inside::enter(&self.call.scheduler);
        let _span = self.call.span.enter();
        self.run(|| future.poll(cx))
    }

    fn current(&self) -> Current<'_> {
        let (index, started, timeout) = (self.index, Some(self.started), self.timeout);
        let item = RunningItem { index, started, timeout, is_attempt: true };
        Current { limits: &self.call.limits, item }
    }
}

impl fmt::Debug for JobContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobContext").field("index", &self.index).finish_non_exhaustive()
    }
}
