//! The state of the open batch in one word: its two sides, its cancellation and its number.
//!
//! ```text
//!  63                        5     4          3          2          1        0
//! +---------------------------+----------+-----------+----------+----------+------+
//! | number: batches opened    | ORPHANED | CANCELLED | CONSUMER | PRODUCER | BUSY |
//! +---------------------------+----------+-----------+----------+----------+------+
//! ```
//!
//! | from | to | by |
//! |---|---|---|
//! | free | `BUSY PRODUCER CONSUMER`, number + 1 | `open` |
//! | `BUSY`, a side | the same with `CANCELLED` | a canceller of this batch, a consumer that leaves first |
//! | `BUSY`, a side | the same without that side | the side, when it leaves |
//! | `BUSY`, no side | free, or `ORPHANED` | the side that left last, after it closed the window |
//! | `ORPHANED` | `BUSY`, no side | an `open` that collects the orphans |
//!
//! `BUSY` stays set until the batch is closed, so a ring that is being closed is not free.

use crate::errors::Busy;
use crate::primitive::AtomicU64;
use crate::primitive::Ordering::{AcqRel, Acquire, Relaxed, Release};

/// A batch is open or being closed, or an `open` collects orphans.
const BUSY: u64 = 1;
/// The producer has not left.
const PRODUCER: u64 = 1 << 1;
/// The consumer has not left.
const CONSUMER: u64 = 1 << 2;
/// The batch is cancelled.
const CANCELLED: u64 = 1 << 3;
/// The last batch left orphans.
const ORPHANED: u64 = 1 << 4;
/// The lowest bit of the number.
const NUMBER: u64 = 1 << 5;
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

/// The result of `try_open`.
pub(crate) enum Opened {
    /// A new batch is open. This is its number.
    Batch(u64),
    /// The ring is busy for this thread, which collects its orphans and closes it again.
    Orphans,
}

/// The word of the batch state.
pub(crate) struct BatchState(AtomicU64);

impl BatchState {
    /// Returns the state of a ring without a batch.
    pub(crate) fn closed() -> BatchState {
        BatchState(AtomicU64::new(0))
    }

    /// Opens the next batch, or makes the ring busy for this thread to collect the orphans.
    pub(crate) fn try_open(&self) -> Result<Opened, Busy> {
        // ORDERING: batch:look: Relaxed; the CAS confirms the decision.
        let seen = self.0.load(Relaxed);
        if seen & BUSY != 0 {
            return Err(Busy::Leased);
        }
        let (next, opened) = if seen & ORPHANED != 0 {
            (seen & !ORPHANED | BUSY, Opened::Orphans)
        } else {
            let next = seen.wrapping_add(NUMBER) | BUSY | SIDES;
            (next, Opened::Batch(next / NUMBER))
        };
        // ORDERING: batch:open: Acquire pairs with `batch:close`: the new batch starts from the
        // state that the last one left. A failure means that another thread opened the ring.
        match self.0.compare_exchange(seen, next, Acquire, Relaxed) {
            Ok(_) => Ok(opened),
            Err(_) => Err(Busy::Leased),
        }
    }

    /// Returns `true` if a batch is open or being closed. No other thread uses the ring meanwhile.
    pub(crate) fn is_busy(&self) -> bool {
        // ORDERING: batch:busy: Relaxed; the caller became the only user of the ring by an acquire.
        self.0.load(Relaxed) & BUSY != 0
    }

    /// Returns `true` if a closed batch left orphans. No other thread uses the ring meanwhile.
    pub(crate) fn is_orphaned(&self) -> bool {
        // ORDERING: batch:orphaned: Relaxed; as `batch:busy`.
        self.0.load(Relaxed) & ORPHANED != 0
    }

    /// Returns `true` if the batch seems to be cancelled, which `is_cancelled` has to confirm.
    #[inline]
    pub(crate) fn may_be_cancelled(&self) -> bool {
        // ORDERING: batch:hint: Relaxed; a cancellation that is seen late has the same effect as a
        // later one. `batch:cancelled` confirms a cancellation that is seen.
        self.0.load(Relaxed) & (CANCELLED | CONSUMER) != CONSUMER
    }

    /// Returns `true` if the batch is cancelled, and makes visible what the canceller did before.
    pub(crate) fn is_cancelled(&self) -> bool {
        // ORDERING: batch:cancelled: Acquire pairs with `batch:cancel` and `batch:leave`.
        self.0.load(Acquire) & (CANCELLED | CONSUMER) != CONSUMER
    }

    /// Returns the number of the open batch. A side of it is the caller.
    pub(crate) fn batch_number(&self) -> u64 {
        // ORDERING: batch:number: Relaxed; the number cannot change while the calling side exists.
        self.0.load(Relaxed) / NUMBER
    }

    /// Returns `true` if the batch with this number has no side left.
    ///
    /// The caller loaded the tail before. If the batch is not over, no later batch has moved that
    /// tail.
    pub(crate) fn is_over(&self, number: u64) -> bool {
        // ORDERING: batch:over: Relaxed; `from_bits:tail` orders it. A thread that sees the tail of
        // a later batch also sees the number of that batch.
        let seen = self.0.load(Relaxed);
        seen / NUMBER != number || seen & SIDES == 0
    }

    /// Cancels the batch with this number, unless it is cancelled or both sides have left.
    ///
    /// Returns `true` if this call cancelled it. An attempt fails if a side leaves or another
    /// canceller cancels meanwhile. A second change ends the loop, so there are at most two
    /// attempts.
    pub(crate) fn cancel(&self, number: u64) -> bool {
        // ORDERING: batch:cancel-look: Relaxed; the CAS confirms the decision.
        let mut seen = self.0.load(Relaxed);
        while seen / NUMBER == number && seen & SIDES != 0 && seen & CANCELLED == 0 {
            // ORDERING: batch:cancel: Release pairs with `batch:cancelled`. The waker cell orders
            // it with the consumer's wait: both threads change the cell by read-modify-writes.
            match self.0.compare_exchange(seen, seen | CANCELLED, Release, Relaxed) {
                Ok(_) => return true,
                Err(now) => seen = now,
            }
        }
        false
    }

    /// Returns `true` if the other side has not left, as far as this side can know.
    pub(crate) fn has_side(&self, side: Side) -> bool {
        // ORDERING: batch:has-side: Relaxed; a hint that saves work.
        self.0.load(Relaxed) & side.bit() != 0
    }

    /// Removes a side from the state.
    ///
    /// Returns `true` if it was the last one: the caller closes the batch.
    pub(crate) fn leave(&self, side: Side) -> bool {
        // ORDERING: batch:leave: AcqRel pairs with itself: the side that leaves last sees all that
        // the other did, its last position and its takes. It is a subtraction, since a bit
        // operation whose old value is used is a loop on x86-64. The bit is known to be set.
        let old = self.0.fetch_sub(side.bit(), AcqRel);
        old & SIDES == side.bit()
    }

    /// Ends the state.
    pub(crate) fn close(&self, orphaned: bool) {
        let free = self.batch_number() * NUMBER;
        let orphaned = if orphaned { ORPHANED } else { 0 };
        // ORDERING: batch:close: Release pairs with `batch:open`. A plain store is enough: while
        // the ring is busy and no side is left, other threads do not change the word.
        self.0.store(free | orphaned, Release);
    }
}

#[cfg(all(test, not(reorder_loom)))]
mod tests {
    use super::*;

    /// While orphans are collected, there is no side, no cancellation and no new number.
    #[test]
    fn collecting_orphans_is_no_batch() {
        let state = BatchState::closed();
        assert!(matches!(state.try_open(), Ok(Opened::Batch(1))));
        assert!(!state.leave(Side::Producer) && state.leave(Side::Consumer));
        state.close(true);
        assert!(!state.is_busy() && state.is_orphaned());

        assert!(matches!(state.try_open(), Ok(Opened::Orphans)));
        assert!(state.is_busy() && !state.is_orphaned());
        assert_eq!(state.batch_number(), 1);
        assert!(
            !state.has_side(Side::Producer) && !state.has_side(Side::Consumer) && !state.cancel(1)
        );
        assert!(matches!(state.try_open(), Err(Busy::Leased)));
        state.close(false);
        assert!(matches!(state.try_open(), Ok(Opened::Batch(2))));
    }
}
