//! The settings of a call that is about to start, as its dispatcher sees them.

use std::fmt;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use crate::dispatch::run_time::SharedRunTime;
use crate::dispatch::source::SourceState;
use crate::dispatch::waker::CallWaker;
use crate::limits::LimitState;
use crate::scheduler::{ConcurrencyLimit, Rest, RunTime, Scheduler};

/// A call that is about to start, as its dispatcher sees it.
/// [`BatchBuilder::stream_to`](crate::BatchBuilder::stream_to) passes it.
pub struct Setup {
    pub(super) waker: Arc<CallWaker>,
    pub(super) rest: Arc<Rest>,
    pub(super) limits: Arc<LimitState>,
    pub(super) scheduler: Arc<Scheduler>,
    pub(super) source_state: Arc<SourceState>,
    pub(super) runtime: Option<Arc<RunTime>>,
    window: usize,
}

impl Setup {
    pub(super) fn new(scheduler: &Arc<Scheduler>, limits: &Arc<LimitState>, window: usize) -> Self {
        let rest = scheduler.rest();
        let waker = CallWaker::new(&rest);
        let source_state = SourceState::new(&waker, limits.budget.clone());
        Setup {
            waker,
            rest,
            limits: Arc::clone(limits),
            scheduler: Arc::clone(scheduler),
            source_state,
            runtime: None,
            window,
        }
    }

    /// Returns the waker of the call: it lets a thread ask the dispatcher again, after a change
    /// elsewhere. It keeps no value of a user alive.
    ///
    /// It may run the waker of a task, so use it without a lock of your own.
    pub fn waker(&self) -> Waker {
        Waker::from(Arc::clone(&self.waker))
    }

    /// Returns the state of the source: whether it may have an item.
    pub fn source(&self) -> &Arc<SourceState> {
        &self.source_state
    }

    /// Returns the window at the start of the call. If the batch was submitted, it is the number of
    /// items. [`Call::window`](crate::dispatch::Call::window) returns the current one.
    pub fn window(&self) -> usize {
        self.window
    }

    /// Returns the [time of an item](crate::BatchBuilder::item_timeout), if it is limited.
    pub fn item_timeout(&self) -> Option<Duration> {
        self.limits.policy.settings.item_timeout
    }

    /// Returns the [limit of the concurrency](crate::BatchBuilder::concurrency) of the batch, if it
    /// has one. The dispatcher has to keep it, and may [watch](Setup::watch) it.
    pub fn concurrency(&self) -> Option<&ConcurrencyLimit> {
        self.limits.policy.settings.concurrency.as_ref()
    }

    /// Wakes the call at each change of the limit, which does not keep the call alive.
    ///
    /// # Progress
    ///
    /// Blocking: it takes a lock that is held for a few instructions.
    pub fn watch(&self, limit: &ConcurrencyLimit) {
        limit.notify(&self.waker);
    }

    /// Lets this call count as one with the other calls that share the run time.
    pub fn share_run_time(&mut self, shared: &SharedRunTime) {
        self.runtime = Some(shared.of(&self.scheduler));
    }
}

impl fmt::Debug for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setup").field("window", &self.window).finish_non_exhaustive()
    }
}
