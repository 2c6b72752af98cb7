//! Showing work that borrows from its caller to workers that live for ever.
//!
//! Workers hold a [`Lent`], which owns nothing of the caller's: a counted gate and a pointer. They
//! go through the pointer only while they are inside the gate; the [`Loan`] ends by closing the
//! gate and waiting until nobody is inside. The gate is in an `Arc`, so the last one to leave
//! never touches the stack of a caller that has gone.

use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::task::Waker;
use std::time::Instant;

use crate::account::Account;
use crate::hub::Hub;
use crate::park;
use crate::primitive::{AtomicUsize, OnceLock};
use crate::snapshot::Progress;
use crate::turn::Turn;
use crate::work::{Published, Work};

/// Set once the gate is closed; the other bits count who is inside.
const CLOSED: usize = 1 << (usize::BITS - 1);

struct Lent {
    gate: AtomicUsize,
    /// Who waits for the last one to leave. Set before the gate closes.
    waiter: OnceLock<Waker>,
    account: Account,
    work: *const dyn Work,
}

// SAFETY: the pointer is used as a shared reference to a `Work`, which is `Sync`, and only inside
// the gate, while `Loan` keeps what it points to alive.
unsafe impl Send for Lent {}
// SAFETY: as above.
unsafe impl Sync for Lent {}

impl Lent {
    /// Runs `f` on the work, unless the loan has ended.
    fn visit<R>(&self, f: impl FnOnce(&dyn Work) -> R) -> Option<R> {
        struct Inside<'a>(&'a Lent);
        impl Drop for Inside<'_> {
            fn drop(&mut self) {
                // ORDERING: gate:leave: Release pairs with `gate:wait`: all that was done inside
                // comes before the end of the loan. Acquire pairs with `gate:close`: the waiter is there.
                if self.0.gate.fetch_sub(1, AcqRel) == CLOSED | 1 {
                    if let Some(waiter) = self.0.waiter.get() {
                        waiter.wake_by_ref();
                    }
                }
            }
        }
        // ORDERING: gate:enter: Relaxed; what is done inside comes before `gate:leave`, and what is found there
        // was published by the list's lock. A closed gate is left again.
        let before = self.gate.fetch_add(1, Relaxed);
        let _inside = Inside(self);
        if before & CLOSED != 0 {
            return None;
        }
        // SAFETY: the gate was open after this thread was counted, so the loan has not ended, and
        // it does not end before `_inside` is dropped.
        Some(f(unsafe { &*self.work }))
    }
}

impl Work for Lent {
    fn turn(&self, turn: &Turn<'_>) -> bool {
        self.visit(|work| work.turn(turn)).unwrap_or(false)
    }

    fn claimable(&self) -> bool {
        self.visit(|work| work.claimable()).unwrap_or(false)
    }

    fn progress(&self) -> Option<Progress> {
        self.visit(|work| work.progress()).flatten()
    }

    fn nudge(&self) {
        self.visit(|work| work.nudge());
    }
}

impl Published for Lent {
    fn account(&self) -> &Account {
        &self.account
    }

    fn is_done(&self) -> bool {
        self.visit(|work| work.is_through()).unwrap_or(true)
    }
}

/// Borrowed work, visible to the workers. Ends the visits when it is dropped.
pub(crate) struct Loan {
    hub: Arc<Hub>,
    lent: Arc<Lent>,
    published: Arc<dyn Published>,
    is_visible: bool,
}

impl Loan {
    /// # Safety
    ///
    /// What `work` refers to, and all that it borrows, must live until the loan was dropped, and
    /// the loan must be dropped.
    pub(crate) unsafe fn new<'a>(
        hub: &Arc<Hub>,
        work: &'a (dyn Work + 'a),
        since: Instant,
    ) -> Loan {
        let work: *const (dyn Work + 'a) = work;
        // SAFETY: only the lifetime of the trait object changes, which has no representation. The
        // caller vouches that it is not used for longer.
        let work = unsafe { std::mem::transmute::<*const (dyn Work + 'a), *const dyn Work>(work) };
        let lent = Arc::new(Lent {
            gate: AtomicUsize::new(0),
            waiter: OnceLock::new(),
            account: Account::default(),
            work,
        });
        let published: Arc<dyn Published> = lent.clone();
        let is_visible = hub.publish(Arc::clone(&published), since);
        Loan { hub: Arc::clone(hub), lent, published, is_visible }
    }

    /// Whether workers could see it from its start: those of a closed hub see nothing new.
    pub(crate) fn is_visible(&self) -> bool {
        self.is_visible
    }

    /// Waits until nobody visits any more. Closing twice does nothing.
    pub(crate) fn close(&self) {
        self.hub.withdraw(&self.published);
        park::with_current(|parker, waker| {
            if self.lent.waiter.set(waker.clone()).is_err() {
                return;
            }
            // ORDERING: gate:close: AcqRel pairs with `gate:leave`, both ways: the waiter is there for the
            // last one inside; if nobody is, all have left.
            let mut inside = self.lent.gate.fetch_add(CLOSED, AcqRel) & !CLOSED;
            while inside != 0 {
                parker.park();
                // ORDERING: gate:wait: Acquire pairs with `gate:leave`.
                inside = self.lent.gate.load(Acquire) & !CLOSED;
            }
        });
    }

    /// Ends the loan if nobody visits just now.
    pub(crate) fn try_close(&self) -> bool {
        self.hub.withdraw(&self.published);
        // ORDERING: gate:try-close: Acquire pairs with `gate:leave`, as in `close`. A visitor that
        // comes later finds the gate closed, and nobody waits for it to leave.
        let closed = self.lent.gate.compare_exchange(0, CLOSED, Acquire, Relaxed).is_ok();
        if closed {
            // Tells `close` that it has been done.
            _ = self.lent.waiter.set(Waker::noop().clone());
        }
        closed
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        self.close();
    }
}

/// Shows `work` to the workers while `f` runs, from `since` on.
pub(crate) fn lend<R>(hub: &Arc<Hub>, work: &dyn Work, since: Instant, f: impl FnOnce() -> R) -> R {
    // SAFETY: the loan is dropped before this function returns, or unwinds, and so within the
    // borrow of `work`; nobody else can reach it to forget it.
    let _loan = unsafe { Loan::new(hub, work, since) };
    f()
}
