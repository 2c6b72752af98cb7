//! A ticket with an owner, whose loss is noticed.

use core::fmt;

use crate::delivery::Gap;
use crate::errors::Rejected;
use crate::ring::complete::wake;
use crate::ring::ring_ref::RingRef;
use crate::ticket::Ticket;

/// The owned right to complete one position.
///
/// Dropping it without completing delivers the position as [`Gap::Abandoned`], so that a worker's
/// panic or early return is a gap at its place rather than a stall. A forgotten permit stalls the
/// batch until somebody evicts its position.
///
/// ```
/// use reorder_ring::{Gap, Ring};
///
/// let ring = Ring::with_capacity(2)?;
/// let mut batch = ring.open()?;
/// let (dies, lives) = (batch.permit()?, batch.permit()?);
/// std::thread::scope(|scope| {
///     scope.spawn(move || drop(dies));
///     scope.spawn(move || lives.complete("done").expect("nobody evicted it"));
/// });
/// let outcomes: Vec<_> = batch.drain_ready().map(|delivery| delivery.outcome).collect();
/// assert_eq!(outcomes, [Err(Gap::Abandoned), Ok("done")]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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

    /// The index of the position in its batch, counted from 0: the one that its
    /// [`Delivery`](crate::Delivery) will have.
    ///
    /// ```
    /// # use reorder_ring::Ring;
    /// # let ring = Ring::with_capacity(2)?;
    /// # let mut batch = ring.open()?;
    /// let permit = batch.permit()?;
    /// let index = permit.index();
    /// permit.complete('a')?;
    /// assert_eq!(batch.try_next()?.index, index);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Progress
    ///
    /// Wait-free: no shared access.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// Puts the result of the position into its slot.
    ///
    /// A refused permit is used up: its position was settled by somebody else.
    ///
    /// ```
    /// # use reorder_ring::{Reason, Ring};
    /// # let ring = Ring::with_capacity(1)?;
    /// # let mut batch = ring.open()?;
    /// let permit = batch.permit()?;
    /// batch.evict_head()?;
    /// let refused = permit.complete("late").unwrap_err();
    /// assert_eq!((refused.reason, refused.value), (Reason::Evicted, "late"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
            wake(self.ring.leave_gap(self.ticket, Gap::Abandoned).unwrap_or(None));
        }
    }
}

impl<R: RingRef> fmt::Debug for Permit<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("index", &self.index).finish_non_exhaustive()
    }
}
