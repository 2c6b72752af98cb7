//! An open call, as the scheduler sees it.

use std::time::Instant;

use crate::observe::trace::Counts;
use crate::scheduler::fair_share::{FairShare, RunTime};
use crate::scheduler::rest::Rest;
use crate::scheduler::source_watch::Look;
use crate::scheduler::time_slice::TimeSlice;

/// An open call that has items to run. Workers take turns among the open calls.
pub(crate) trait Work: Send + Sync {
    /// Claims items and runs them until nothing is claimable or the time slice is over.
    ///
    /// Returns `false` if nothing was claimed. The caller of a batch does not use this method.
    fn run_slice(&self, slice: &TimeSlice<'_>) -> bool;

    /// Returns `true` if `run_slice` would find something to claim. A worker that goes to sleep on
    /// the answer asks after a `SeqCst` fence.
    fn claimable(&self) -> bool;

    /// Returns how far the call has come, or `None` if it is over.
    fn progress(&self) -> Option<Progress>;

    /// Returns `true` if all items have run and no more will come, although the call is still
    /// published. A batch does not need this method, because its caller withdraws it at the end.
    fn is_done(&self) -> bool {
        false
    }

    /// Returns `true` if there are running items that occupy no worker.
    fn is_in_flight(&self) -> bool {
        false
    }

    /// Returns since when an attempt of a pulled item could have started, if none has.
    fn due_since(&self, _now: Instant) -> Option<Instant> {
        None
    }

    /// Checks, for the monitor, whether a thread stays inside the source of this call. If so, other
    /// threads may claim the items that it has pulled.
    fn look_at_source(&self) -> Look {
        Look::Outside
    }

    /// Wakes the thread or task that waits for this call, so that it looks again.
    fn notify(&self);
}

/// A call as the scheduler lists it.
pub(crate) trait Published: Work {
    /// Returns the numbers of this call.
    fn fair_share(&self) -> &FairShare;

    /// Sends an event of the progress, unless there was one a short while ago.
    fn tell_progress(&self) {
        let fair_share = self.fair_share();
        let counts = || self.progress().map(|progress| progress.counts());
        fair_share.span.progress(fair_share.id(), counts);
    }

    /// Returns the run time by which workers choose this call. Calls may share one, and then count
    /// as one call.
    fn runtime(&self) -> &RunTime {
        &self.fair_share().runtime
    }

    /// Returns the rest of this call, if workers need not ask it while it rests.
    fn rest(&self) -> Option<&Rest> {
        None
    }
}

/// The progress of a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress {
    pub(crate) kind: CallKind,
    /// The index of the first item that is missing.
    pub(crate) head: u64,
    /// The number of items that have come from the source, or were sent.
    pub(crate) pulled: u64,
    /// The number of items from the head on that have run.
    pub(crate) waiting: u64,
    /// The number of outcomes that are failures. `None` for a `map`, which counts none.
    pub(crate) failed: Option<u64>,
}

impl Progress {
    /// Returns the numbers of an event of the progress.
    pub(crate) fn counts(&self) -> Counts {
        let Progress { head, pulled, waiting, failed, .. } = *self;
        Counts { pulled, finished: head + waiting, failed, delivered: head }
    }
}

/// The kind of an open call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallKind {
    /// A call whose caller waits for all of it, such as [`map`](crate::Executor::map).
    Batch,
    /// A call whose outcomes are taken in order: a [`stream`](crate::Executor::stream), a
    /// [`queue`](crate::Executor::queue), the call of a [dispatcher](crate::dispatch), or a batch
    /// that was [submitted](crate::BatchBuilder::submit).
    Stream,
}
