//! A ticket with an owner, whose loss is noticed.

use core::fmt;

use crate::delivery::Gap;
use crate::errors::Rejected;
use crate::ring_ref::RingRef;
use crate::ticket::Ticket;

/// The owned right to complete one position.
///
/// Dropping it without completing delivers the position as [`Gap::Abandoned`], so that a worker's
/// panic or early return is a gap at its place rather than a stall. A forgotten permit stalls the
/// batch until somebody evicts its position.
#[must_use = "dropping a permit abandons its position"]
pub struct Permit<R: RingRef> {
    ring: R,
    ticket: Ticket,
    index: u64,
    completed: bool,
}

impl<R: RingRef> Permit<R> {
    pub(crate) fn new(ring: R, ticket: Ticket, index: u64) -> Self {
        Permit { ring, ticket, index, completed: false }
    }

    /// The index of the position in its batch.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// Puts the result of the position into its slot.
    ///
    /// # Errors
    ///
    /// As [`Ring::complete`](crate::Ring::complete).
    ///
    /// # Progress
    ///
    /// As [`Ring::complete`](crate::Ring::complete).
    pub fn complete(mut self, value: R::Value) -> Result<(), Rejected<R::Value>> {
        self.completed = true;
        self.ring.complete(self.ticket, value)
    }
}

impl<R: RingRef> Drop for Permit<R> {
    fn drop(&mut self) {
        if !self.completed {
            // Refused if somebody evicted the position or its batch is closed: nothing to do then.
            _ = self.ring.give_up(self.ticket, Gap::Abandoned);
        }
    }
}

impl<R: RingRef> fmt::Debug for Permit<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("index", &self.index).finish_non_exhaustive()
    }
}
