//! The end of a batch: every slot of its window is handed on, and no value stays behind.
//!
//! Closing never waits. A slot in mid-write cannot be taken back; it is an orphan, and the next
//! `open` polls it. User code runs last: a value is dropped after its slot was handed on, and a
//! `Drop` that panics does not keep the others from being handed on.

use core::task::Waker;

use crate::lease::Side;
use crate::primitive::Ordering::Relaxed;
use crate::ring::Ring;
use crate::slot::Reclaimed;

/// Hands on a range of positions, dropping the values it finds. Goes on when a drop panics.
pub(crate) struct Sweep<'a, T> {
    ring: &'a Ring<T>,
    next: u64,
    end: u64,
    first_orphan: Option<u64>,
}

impl<'a, T> Sweep<'a, T> {
    /// # Safety
    ///
    /// The caller holds the ring's right to take, and keeps it while the sweep exists.
    pub(crate) unsafe fn new(ring: &'a Ring<T>, start: u64, end: u64) -> Self {
        Sweep { ring, next: start, end, first_orphan: None }
    }

    pub(crate) fn run(&mut self) {
        while self.next < self.end {
            let position = self.next;
            self.next += 1;
            let (slot, generation) = self.ring.slot(position);
            // SAFETY: the creator of the sweep vouches for the right to take.
            match unsafe { slot.reclaim(generation) } {
                Reclaimed::Value(value) => drop(value),
                Reclaimed::Nothing => {}
                Reclaimed::Orphan => _ = self.first_orphan.get_or_insert(position),
            }
        }
    }
}

impl<T> Drop for Sweep<'_, T> {
    fn drop(&mut self) {
        self.run();
    }
}

/// Closes the window and ends the lease, also when a value's drop panics.
pub(crate) struct Closing<'a, T> {
    sweep: Sweep<'a, T>,
    /// Dropped last: a waker may run code of its owner.
    wakers: [Option<Waker>; 2],
}

impl<'a, T> Closing<'a, T> {
    /// # Safety
    ///
    /// Both sides are gone, and the lease is held by the caller.
    pub(crate) unsafe fn batch(ring: &'a Ring<T>) -> Self {
        let head = ring.head();
        let tail = ring.tail();
        ring.set_base(tail);
        // SAFETY: with both sides gone, whoever holds the lease has the right to take.
        let sweep = unsafe { Sweep::new(ring, head, tail) };
        Closing { sweep, wakers: [None, None] }
    }

    /// # Safety
    ///
    /// As [`batch`](Closing::batch), on a ring that was closed with orphans.
    pub(crate) unsafe fn orphans(ring: &'a Ring<T>) -> Self {
        // SAFETY: as above. An orphaned ring's head is its first orphan.
        let sweep = unsafe { Sweep::new(ring, ring.head(), ring.base()) };
        Closing { sweep, wakers: [None, None] }
    }

    pub(crate) fn run(mut self) {
        self.sweep.run();
    }
}

impl<T> Drop for Closing<'_, T> {
    fn drop(&mut self) {
        self.sweep.run();
        let Sweep { ring, end, first_orphan, .. } = self.sweep;
        let (slot, generation) = ring.slot(end);
        slot.forget_wish(generation);
        self.wakers = [ring.waiter.take(), ring.room.take()];
        // ORDERING: close:head: Relaxed; the next batch gets it by `lease:release`.
        ring.head.store(first_orphan.unwrap_or(end), Relaxed);
        ring.ended.reopen();
        ring.lease.release(first_orphan.is_some());
    }
}

/// Ends one side, also when what comes before it panics; the last one closes the batch.
pub(crate) struct Departure<'a, T> {
    pub(crate) ring: &'a Ring<T>,
    pub(crate) side: Side,
}

impl<T> Drop for Departure<'_, T> {
    fn drop(&mut self) {
        if self.ring.lease.leave(self.side) {
            // SAFETY: the lease says that the other side is gone, and this one touches the ring
            // through this guard alone.
            unsafe { Closing::batch(self.ring) }.run();
        }
    }
}
