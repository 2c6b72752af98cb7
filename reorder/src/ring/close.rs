//! The end of a batch: the closing side vacates every slot of the window and drops the values.
//!
//! | found | done |
//! |---|---|
//! | a missing position | the slot is vacated; a later completion is refused |
//! | a value | the slot is vacated, then the value is dropped |
//! | a gap | the slot is vacated |
//! | a completer that is writing | the slot is an *orphan*; a later `open` collects it |
//!
//! Closing never waits for another thread. A `Drop` that panics does not prevent that the other
//! slots are vacated.

use core::task::Waker;

use crate::primitive::Ordering::Relaxed;
use crate::ring::Ring;
use crate::ring::batch_state::Side;
use crate::ring::slot::ClosedSlot;

/// Vacates the slots of a range of positions and drops their values, even if a `Drop` panics.
pub(crate) struct Sweep<'a, T> {
    ring: &'a Ring<T>,
    next: u64,
    end: u64,
    first_orphan: Option<u64>,
}

impl<'a, T> Sweep<'a, T> {
    /// Returns a sweep of the positions from `start` on and below `end`.
    ///
    /// # Safety
    ///
    /// The caller has the ring's right to take, and keeps it while the sweep exists.
    pub(crate) unsafe fn new(ring: &'a Ring<T>, start: u64, end: u64) -> Self {
        Sweep { ring, next: start, end, first_orphan: None }
    }

    /// Vacates the slots that are left.
    pub(crate) fn run(&mut self) {
        while self.next < self.end {
            let position = self.next;
            self.next += 1;
            let (slot, generation) = self.ring.slot(position);
            // SAFETY: the caller of `new` has the right to take.
            match unsafe { slot.close(generation) } {
                ClosedSlot::Value(value) => drop(value),
                ClosedSlot::Nothing => {}
                ClosedSlot::Orphan => _ = self.first_orphan.get_or_insert(position),
            }
        }
    }
}

impl<T> Drop for Sweep<'_, T> {
    fn drop(&mut self) {
        self.run();
    }
}

/// Closes the window and makes the ring free, even if the drop of a value panics.
pub(crate) struct Closing<'a, T> {
    sweep: Sweep<'a, T>,
    /// The wakers that are left. They are dropped last, since the drop of a waker is user code.
    wakers: [Option<Waker>; 2],
}

impl<'a, T> Closing<'a, T> {
    /// Prepares to close the open batch.
    ///
    /// # Safety
    ///
    /// Both sides have left, and the ring is busy for the caller.
    pub(crate) unsafe fn batch(ring: &'a Ring<T>) -> Self {
        let head = ring.head();
        let tail = ring.tail();
        ring.set_base(tail);
        // SAFETY: both sides have left, so the thread that closes has the right to take.
        let sweep = unsafe { Sweep::new(ring, head, tail) };
        Closing { sweep, wakers: [None, None] }
    }

    /// Prepares to collect the orphans of an earlier batch.
    ///
    /// # Safety
    ///
    /// As for [`batch`](Closing::batch), on a ring that was closed with orphans.
    pub(crate) unsafe fn orphans(ring: &'a Ring<T>) -> Self {
        // SAFETY: as in `batch`. The head of an orphaned ring is its first orphan.
        let sweep = unsafe { Sweep::new(ring, ring.head(), ring.base()) };
        Closing { sweep, wakers: [None, None] }
    }

    /// Closes.
    pub(crate) fn run(mut self) {
        self.sweep.run();
    }
}

impl<T> Drop for Closing<'_, T> {
    fn drop(&mut self) {
        self.sweep.run();
        let Sweep { ring, end, first_orphan, .. } = self.sweep;
        let (slot, generation) = ring.slot(end);
        slot.clear_waited(generation);
        self.wakers = [ring.consumer_waker.take(), ring.space_request.close()];
        // ORDERING: close:head: Relaxed; `batch:close` publishes it to the next batch.
        ring.head.store(first_orphan.unwrap_or(end), Relaxed);
        ring.end_state.reopen();
        ring.batch_state.close(first_orphan.is_some());
    }
}

/// Ends one side when it is dropped, also by a panic. The side that leaves last closes the batch.
pub(crate) struct SideGuard<'a, T> {
    pub(crate) ring: &'a Ring<T>,
    pub(crate) side: Side,
}

impl<T> Drop for SideGuard<'_, T> {
    fn drop(&mut self) {
        if self.ring.batch_state.leave(self.side) {
            // SAFETY: the other side has left, and this side accesses the ring by this guard alone.
            unsafe { Closing::batch(self.ring) }.run();
        }
    }
}
