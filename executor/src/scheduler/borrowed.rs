//! Work that borrows from its caller, shown to workers that outlive the caller.
//!
//! A worker holds a [`Published`]: a counter of visitors and a pointer, and no value that the caller
//! owns. The worker uses the pointer only while it is counted as a visitor. The [`BorrowGuard`] ends
//! by closing the counter and waiting until no visitor is left. The counter is in an `Arc`, so the
//! last visitor never touches the stack of a caller that has returned.
//!
//! ```text
//!  63       62                         0
//! +--------+----------------------------+
//! | CLOSED | number of visitors         |
//! +--------+----------------------------+
//! ```

use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::time::Instant;

use crate::scheduler::park;
use crate::scheduler::registry::Scheduler;
use crate::scheduler::work::{CLOSED, Published, Work, WorkRef};

/// Keeps borrowed work visible to the workers. Dropping it ends all visits.
pub(crate) struct BorrowGuard {
    scheduler: Arc<Scheduler>,
    /// `None` if the scheduler was closed: workers see nothing new then.
    published: Option<Arc<Published>>,
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
    ) -> BorrowGuard {
        let work: *const (dyn Work + 'a) = work;
        // SAFETY: only the lifetime of the trait object changes, which has no representation. The
        // caller vouches that it is not used for longer.
        let work = unsafe { std::mem::transmute::<*const (dyn Work + 'a), *const dyn Work>(work) };
        let published = scheduler.publish(WorkRef::Borrowed(work), since, None);
        BorrowGuard { scheduler: Arc::clone(scheduler), published }
    }

    /// Returns the call as the workers see it, or `None` if they see nothing of it.
    pub(crate) fn published(&self) -> Option<&Arc<Published>> {
        self.published.as_ref()
    }

    /// Waits until no visitor is left. A second call does nothing.
    pub(crate) fn close(&self) {
        let Some(published) = self.published.as_ref().filter(|_| !self.try_close()) else { return };
        park::with_current(|parker, waker| {
            published.waiter.register(waker);
            // ORDERING: borrowed:close: AcqRel pairs with `borrowed:leave`, both ways: the waiter
            // is there for the last visitor; if there is none, all have left.
            let mut inside = published.visitors.fetch_add(CLOSED, AcqRel) & !CLOSED;
            while inside != 0 {
                parker.park();
                // ORDERING: borrowed:wait: Acquire pairs with `borrowed:leave`.
                inside = published.visitors.load(Acquire) & !CLOSED;
            }
        });
    }

    /// Ends the borrow if there is no visitor at the moment. Returns `true` if the borrow has ended.
    pub(crate) fn try_close(&self) -> bool {
        let Some(published) = &self.published else { return true };
        self.scheduler.withdraw(published);
        // ORDERING: borrowed:try_close: Acquire pairs with `borrowed:leave`, as in `close`. A
        // visitor that comes later finds the counter closed, and no thread waits for it to leave.
        let closed = published.visitors.compare_exchange(0, CLOSED, Acquire, Relaxed);
        closed.map_or_else(|visitors| visitors & CLOSED != 0, |_| true)
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
    f: impl FnOnce() -> R,
) -> R {
    // SAFETY: the guard is dropped before this function returns or unwinds, and so within the
    // borrow of `work`. No other code can reach it to forget it.
    let _guard = unsafe { BorrowGuard::new(scheduler, work, since) };
    f()
}
