//! Work that borrows from its caller, shown to workers that outlive the caller.
//!
//! A worker holds a [`BorrowedWork`]: a counter of visitors and a pointer, and no value that the
//! caller owns. The worker uses the pointer only while it is counted as a visitor. The
//! [`BorrowGuard`] ends by closing the counter and waiting until no visitor is left. The counter is
//! in an `Arc`, so the last visitor never touches the stack of a caller that has returned.
//!
//! ```text
//!  63       62                         0
//! +--------+----------------------------+
//! | CLOSED | number of visitors         |
//! +--------+----------------------------+
//! ```

use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::task::Waker;
use std::time::Instant;

use crate::primitive::{AtomicUsize, OnceLock};
use crate::scheduler::fair_share::FairShare;
use crate::scheduler::park;
use crate::scheduler::registry::Scheduler;
use crate::scheduler::source_watch::Look;
use crate::scheduler::time_slice::TimeSlice;
use crate::scheduler::work::{Progress, Published, Work};

/// The bit that is set when new visitors are refused. The other bits count the visitors.
const CLOSED: usize = 1 << (usize::BITS - 1);

struct BorrowedWork {
    visitors: AtomicUsize,
    /// The waker of the thread that waits for the last visitor. Set before `visitors` is closed.
    waiter: OnceLock<Waker>,
    fair_share: FairShare,
    work: *const dyn Work,
}

// SAFETY: the pointer is used as a shared reference to a `Work`, which is `Sync`, and only by
// counted visitors, while `BorrowGuard` keeps what it points to alive.
unsafe impl Send for BorrowedWork {}
// SAFETY: as above.
unsafe impl Sync for BorrowedWork {}

impl BorrowedWork {
    /// Runs `f` on the work and returns its result, or `None` if the borrow has ended.
    fn visit<R>(&self, f: impl FnOnce(&dyn Work) -> R) -> Option<R> {
        struct Visit<'a>(&'a BorrowedWork);
        impl Drop for Visit<'_> {
            fn drop(&mut self) {
                // ORDERING: borrowed:leave: Release pairs with `borrowed:wait`: what the visitor
                // did comes before the end of the borrow. Acquire pairs with `borrowed:close`: the
                // waiter is there.
                if self.0.visitors.fetch_sub(1, AcqRel) == CLOSED | 1 {
                    if let Some(waiter) = self.0.waiter.get() {
                        waiter.wake_by_ref();
                    }
                }
            }
        }
        // ORDERING: borrowed:enter: Relaxed; the visit comes before `borrowed:leave`, and the lock
        // of the list published the work. A visitor leaves a closed counter.
        let before = self.visitors.fetch_add(1, Relaxed);
        let _visit = Visit(self);
        if before & CLOSED != 0 {
            return None;
        }
        // SAFETY: the counter was open after this thread was counted, so the borrow has not ended,
        // and it does not end before `_visit` is dropped.
        Some(f(unsafe { &*self.work }))
    }
}

impl Work for BorrowedWork {
    fn run_slice(&self, slice: &TimeSlice<'_>) -> bool {
        self.visit(|work| work.run_slice(slice)).unwrap_or(false)
    }

    fn claimable(&self) -> bool {
        self.visit(|work| work.claimable()).unwrap_or(false)
    }

    fn progress(&self) -> Option<Progress> {
        self.visit(|work| work.progress()).flatten()
    }

    fn is_done(&self) -> bool {
        self.visit(|work| work.is_done()).unwrap_or(true)
    }

    fn look_at_source(&self) -> Look {
        self.visit(|work| work.look_at_source()).unwrap_or(Look::Outside)
    }

    fn notify(&self) {
        self.visit(|work| work.notify());
    }
}

impl Published for BorrowedWork {
    fn fair_share(&self) -> &FairShare {
        &self.fair_share
    }
}

/// Keeps borrowed work visible to the workers. Dropping it ends all visits.
pub(crate) struct BorrowGuard {
    scheduler: Arc<Scheduler>,
    borrowed: Arc<BorrowedWork>,
    published: Arc<dyn Published>,
    is_visible: bool,
}

impl BorrowGuard {
    /// Publishes `work`.
    ///
    /// # Safety
    ///
    /// `work`, and all that it borrows, must live until the guard was dropped, and the guard must
    /// be dropped.
    pub(crate) unsafe fn new<'a>(
        scheduler: &Arc<Scheduler>,
        work: &'a (dyn Work + 'a),
        since: Instant,
        fair_share: FairShare,
    ) -> BorrowGuard {
        let work: *const (dyn Work + 'a) = work;
        // SAFETY: only the lifetime of the trait object changes, which has no representation. The
        // caller vouches that it is not used for longer.
        let work = unsafe { std::mem::transmute::<*const (dyn Work + 'a), *const dyn Work>(work) };
        let borrowed = Arc::new(BorrowedWork {
            visitors: AtomicUsize::new(0),
            waiter: OnceLock::new(),
            fair_share,
            work,
        });
        let published: Arc<dyn Published> = borrowed.clone();
        let is_visible = scheduler.publish(Arc::clone(&published), since);
        BorrowGuard { scheduler: Arc::clone(scheduler), borrowed, published, is_visible }
    }

    /// Returns the work as a call.
    pub(crate) fn published(&self) -> &Arc<dyn Published> {
        &self.published
    }

    /// Returns the number of the work as a call. Returns `None` if the workers do not know it:
    /// workers of a closed scheduler see nothing new.
    pub(crate) fn id(&self) -> Option<u64> {
        self.is_visible.then(|| self.borrowed.fair_share.id())
    }

    /// Waits until no visitor is left. A second call does nothing.
    pub(crate) fn close(&self) {
        self.scheduler.withdraw(&self.published);
        park::with_current(|parker, waker| {
            if self.borrowed.waiter.set(waker.clone()).is_err() {
                return;
            }
            // ORDERING: borrowed:close: AcqRel pairs with `borrowed:leave`, both ways: the waiter
            // is there for the last visitor; if there is none, all have left.
            let mut inside = self.borrowed.visitors.fetch_add(CLOSED, AcqRel) & !CLOSED;
            while inside != 0 {
                parker.park();
                // ORDERING: borrowed:wait: Acquire pairs with `borrowed:leave`.
                inside = self.borrowed.visitors.load(Acquire) & !CLOSED;
            }
        });
    }

    /// Ends the borrow and returns `true` if there is no visitor at the moment.
    pub(crate) fn try_close(&self) -> bool {
        self.scheduler.withdraw(&self.published);
        // ORDERING: borrowed:try_close: Acquire pairs with `borrowed:leave`, as in `close`. A
        // visitor that comes later finds the counter closed, and no thread waits for it to leave.
        let closed = self.borrowed.visitors.compare_exchange(0, CLOSED, Acquire, Relaxed).is_ok();
        if closed {
            // Marks the work as closed for `close`.
            _ = self.borrowed.waiter.set(Waker::noop().clone());
        }
        closed
    }
}

impl Drop for BorrowGuard {
    fn drop(&mut self) {
        self.close();
    }
}

/// Shows `work` to the workers while `f` runs. The call counts as open since `since`.
pub(crate) fn with_borrowed<R>(
    scheduler: &Arc<Scheduler>,
    work: &dyn Work,
    since: Instant,
    fair_share: FairShare,
    f: impl FnOnce() -> R,
) -> R {
    // SAFETY: the guard is dropped before this function returns or unwinds, and so within the
    // borrow of `work`. No other code can reach it to forget it.
    let _guard = unsafe { BorrowGuard::new(scheduler, work, since, fair_share) };
    f()
}
