//! Who holds the ring: one word for the open batch, its two sides and its cancellation.
//!
//! ```text
//!  63                     5     4          3          2         1        0
//! +------------------------+----------+-----------+----------+----------+--------+
//! | epoch: batches so far  | ORPHANED | CANCELLED | CONSUMER | PRODUCER | LEASED |
//! +------------------------+----------+-----------+----------+----------+--------+
//! ```
//!
//! | from | to | by |
//! |---|---|---|
//! | free | `LEASED PRODUCER CONSUMER`, epoch + 1 | `open` |
//! | `LEASED`, a side | the same with `CANCELLED` | a canceller of this epoch, a consumer that goes first |
//! | `LEASED`, a side | the same without it | that side's end |
//! | `LEASED`, no side | free, or `ORPHANED` | the side that went last, after it closed the window |
//! | `ORPHANED` | `LEASED`, no side | an `open` that polls the orphans |
//!
//! `LEASED` outlives both sides, so that a ring which is being closed does not look free.

use crate::errors::Busy;
use crate::primitive::AtomicU64;
use crate::primitive::Ordering::{AcqRel, Acquire, Relaxed, Release};

const LEASED: u64 = 1;
const PRODUCER: u64 = 1 << 1;
const CONSUMER: u64 = 1 << 2;
const CANCELLED: u64 = 1 << 3;
const ORPHANED: u64 = 1 << 4;
const EPOCH: u64 = 1 << 5;
const SIDES: u64 = PRODUCER | CONSUMER;

/// One of the two sides of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Producer,
    Consumer,
}

impl Side {
    const fn bit(self) -> u64 {
        match self {
            Side::Producer => PRODUCER,
            Side::Consumer => CONSUMER,
        }
    }
}

/// What `try_open` found.
pub(crate) enum Opened {
    /// The ring is leased to a new batch of this epoch.
    Batch(u64),
    /// The ring is leased to this thread, which has to poll its orphans and to close again.
    Orphans,
}

pub(crate) struct LeaseWord(AtomicU64);

impl LeaseWord {
    pub(crate) fn free() -> LeaseWord {
        LeaseWord(AtomicU64::new(0))
    }

    pub(crate) fn try_open(&self) -> Result<Opened, Busy> {
        // ORDERING: lease:look: Relaxed; the CAS confirms what it decides.
        let seen = self.0.load(Relaxed);
        if seen & LEASED != 0 {
            return Err(Busy::Leased);
        }
        let (next, opened) = if seen & ORPHANED != 0 {
            (seen & !ORPHANED | LEASED, Opened::Orphans)
        } else {
            let next = seen.wrapping_add(EPOCH) | LEASED | SIDES;
            (next, Opened::Batch(next / EPOCH))
        };
        // ORDERING: lease:open: Acquire pairs with `lease:release`: the new batch starts from what
        // the last one left. A failure means that another opener was faster.
        match self.0.compare_exchange(seen, next, Acquire, Relaxed) {
            Ok(_) => Ok(opened),
            Err(_) => Err(Busy::Leased),
        }
    }

    /// Whether a batch is open, or being closed. For who is alone with the ring.
    pub(crate) fn is_held(&self) -> bool {
        // ORDERING: lease:held: Relaxed; what made the caller the only one orders it.
        self.0.load(Relaxed) & LEASED != 0
    }

    /// Whether a closed batch left orphans. For who is alone with the ring.
    pub(crate) fn is_orphaned(&self) -> bool {
        // ORDERING: lease:orphaned: Relaxed; as `lease:held`.
        self.0.load(Relaxed) & ORPHANED != 0
    }

    /// Whether no more positions should be reserved.
    #[inline]
    pub(crate) fn is_cancelled(&self) -> bool {
        // ORDERING: lease:hint: Relaxed; a late answer is as if the cancellation came later, and
        // an early one is confirmed by `cancelled`.
        self.0.load(Relaxed) & (CANCELLED | CONSUMER) != CONSUMER
    }

    /// As `is_cancelled`, and whatever the canceller did before is seen.
    pub(crate) fn cancelled(&self) -> bool {
        // ORDERING: lease:cancelled: Acquire pairs with `lease:cancel` and `lease:leave`.
        self.0.load(Acquire) & (CANCELLED | CONSUMER) != CONSUMER
    }

    /// The epoch of the open batch.
    pub(crate) fn epoch(&self) -> u64 {
        // ORDERING: lease:epoch: Relaxed; asked by a side, while which the epoch cannot change.
        self.0.load(Relaxed) / EPOCH
    }

    /// Cancels the batch of `epoch`, unless it was, or is over. Tells whether this call did it.
    ///
    /// A failed attempt means that a side has gone or that someone else cancelled. The other side or
    /// another canceller ends the loop: two at most.
    pub(crate) fn cancel(&self, epoch: u64) -> bool {
        // ORDERING: lease:cancel-look: Relaxed; the CAS confirms what it decides.
        let mut seen = self.0.load(Relaxed);
        while seen / EPOCH == epoch && seen & SIDES != 0 && seen & CANCELLED == 0 {
            // ORDERING: lease:cancel: Release pairs with `lease:cancelled`. The consumer's wait is
            // ordered with it by the waker cell, which both sides change by read-modify-writes.
            match self.0.compare_exchange(seen, seen | CANCELLED, Release, Relaxed) {
                Ok(_) => return true,
                Err(now) => seen = now,
            }
        }
        false
    }

    /// Whether the other side is still there, as far as this side can know.
    pub(crate) fn has(&self, side: Side) -> bool {
        // ORDERING: lease:has: Relaxed; a hint that only spares work.
        self.0.load(Relaxed) & side.bit() != 0
    }

    /// Ends a side. `true` if it was the last one: the caller then has to close the batch.
    pub(crate) fn leave(&self, side: Side) -> bool {
        // ORDERING: lease:leave: AcqRel pairs with itself: the side that goes last sees all that
        // the other did, its last position and its takes. A subtraction, since a bit operation
        // whose old value is used is a loop on x86-64; the bit is known to be set.
        let old = self.0.fetch_sub(side.bit(), AcqRel);
        old & SIDES == side.bit()
    }

    /// Ends the lease.
    pub(crate) fn release(&self, orphaned: bool) {
        let free = self.epoch() * EPOCH;
        let orphaned = if orphaned { ORPHANED } else { 0 };
        // ORDERING: lease:release: Release pairs with `lease:open`. A plain store: with no side
        // left, openers and cancellers of this epoch leave the word alone.
        self.0.store(free | orphaned, Release);
    }
}

#[cfg(all(test, not(reorder_loom)))]
mod tests {
    use super::*;

    /// A poll of orphans belongs to no batch: no side, no cancellation, and no epoch of its own.
    #[test]
    fn polling_orphans_is_no_batch() {
        let lease = LeaseWord::free();
        assert!(matches!(lease.try_open(), Ok(Opened::Batch(1))));
        assert!(!lease.leave(Side::Producer) && lease.leave(Side::Consumer));
        lease.release(true);
        assert!(!lease.is_held() && lease.is_orphaned());

        assert!(matches!(lease.try_open(), Ok(Opened::Orphans)));
        assert!(lease.is_held() && !lease.is_orphaned());
        assert_eq!(lease.epoch(), 1);
        assert!(!lease.has(Side::Producer) && !lease.has(Side::Consumer) && !lease.cancel(1));
        assert!(matches!(lease.try_open(), Err(Busy::Leased)));
        lease.release(false);
        assert!(matches!(lease.try_open(), Ok(Opened::Batch(2))));
    }
}
