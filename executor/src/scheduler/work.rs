//! An open call, as the scheduler sees it.

use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Relaxed};
use std::time::Instant;

use crate::primitive::{AtomicUsize, AtomicWaker};
use crate::scheduler::fair_share::FairShare;
use crate::scheduler::time_slice::TimeSlice;

/// An open call that has items to run. Workers run all open calls by turns.
pub(crate) trait Work: Send + Sync {
    /// Claims items and runs them until nothing is claimable or the time slice is over.
    ///
    /// Returns `false` if nothing was claimed. The caller of a batch does not use this method.
    fn run_slice(&self, slice: &TimeSlice<'_>) -> bool;

    /// Returns `true` if `run_slice` would find something to claim. A worker that goes to sleep on
    /// the answer asks after a `SeqCst` fence.
    fn claimable(&self) -> bool;

    /// Returns how far the call has come.
    fn progress(&self) -> Progress;

    /// Returns `true` if all items have run and no more will come, although the call is still
    /// published. (The caller of a batch waits for this and then withdraws it.)
    fn is_done(&self) -> bool {
        false
    }

    /// Wakes the thread or task that waits for this call, so that it looks again.
    fn notify(&self);
}

/// The work of an open call, as the scheduler holds it.
pub(crate) enum WorkRef {
    Owned(Arc<dyn Work>),
    /// Work that its caller keeps alive while it has visitors; see `borrowed`.
    Borrowed(*const dyn Work),
}

// SAFETY: the pointer is used as a shared reference to a `Work`, which is `Sync`, and only by
// counted visitors, while `BorrowGuard` keeps what it points to alive.
unsafe impl Send for WorkRef {}
// SAFETY: as above.
unsafe impl Sync for WorkRef {}

/// An open call in the scheduler's list.
pub(crate) struct Published {
    work: WorkRef,
    /// The time at which the call began.
    pub(crate) since: Instant,
    pub(crate) fair_share: FairShare,
    /// The visitors of borrowed work, and [`CLOSED`].
    pub(super) visitors: AtomicUsize,
    /// The waker of the thread that waits for the last visitor.
    pub(super) waiter: AtomicWaker,
}

/// The bit that is set once no more visitors are let in. The other bits count the visitors.
pub(super) const CLOSED: usize = 1 << (usize::BITS - 1);

impl Published {
    pub(super) fn new(work: WorkRef, since: Instant) -> Published {
        Published {
            work,
            since,
            fair_share: FairShare::default(),
            visitors: AtomicUsize::new(0),
            waiter: AtomicWaker::new(),
        }
    }

    /// Runs `f` on the work and returns its result, or `None` if the work was borrowed and the
    /// borrow has ended.
    pub(crate) fn visit<R>(&self, f: impl FnOnce(&dyn Work) -> R) -> Option<R> {
        struct Visit<'a>(&'a Published);
        impl Drop for Visit<'_> {
            fn drop(&mut self) {
                // ORDERING: borrowed:leave: Release pairs with `borrowed:wait`: what the visitor
                // did comes before the end of the borrow. Acquire pairs with `borrowed:close`: the
                // waiter is there.
                if self.0.visitors.fetch_sub(1, AcqRel) == CLOSED | 1 {
                    self.0.waiter.wake();
                }
            }
        }
        let work = match &self.work {
            WorkRef::Owned(work) => return Some(f(&**work)),
            WorkRef::Borrowed(work) => *work,
        };
        // ORDERING: borrowed:enter: Relaxed; what the visitor does comes before `borrowed:leave`,
        // and what it finds was published by the list's lock. A visitor leaves a closed counter.
        let before = self.visitors.fetch_add(1, Relaxed);
        let _visit = Visit(self);
        if before & CLOSED != 0 {
            return None;
        }
        // SAFETY: the counter was open after this thread was counted, so the borrow has not ended,
        // and it does not end before `_visit` is dropped.
        Some(f(unsafe { &*work }))
    }

    /// Returns `true` if a worker would find something to claim.
    pub(crate) fn claimable(&self) -> bool {
        self.visit(|work| work.claimable()) == Some(true)
    }
}

/// The progress of a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress {
    pub(crate) kind: CallKind,
    /// The index of the first item that is missing.
    pub(crate) head: u64,
    /// The number of items that have come from the source.
    pub(crate) pulled: u64,
    /// The number of items from the head on that have run.
    pub(crate) waiting: u64,
}

/// The kind of an open call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallKind {
    /// A call whose caller waits for all of it, such as [`map`](crate::Executor::map).
    Batch,
    /// A call whose outcomes are taken in order: a [`stream`](crate::Executor::stream), or a batch
    /// that was [submitted](crate::BatchBuilder::submit).
    Stream,
}
