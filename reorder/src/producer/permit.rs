//! A ticket with an owner: dropping it leaves a gap.

use core::fmt;

use crate::delivery::Gap;
use crate::errors::Rejected;
use crate::ring::complete::wake;
use crate::ring::ring_ref::RingRef;
use crate::ticket::Ticket;

/// The owned right to complete one position.
///
/// A permit that is dropped without a value leaves a gap: the position is delivered as
/// [`Gap::Abandoned`]. So a worker that panics or returns early does not stall the batch. A permit
/// that is forgotten with `mem::forget` stalls the batch until its position is evicted.
///
/// ```
/// use reorder_ring::{Gap, Ring};
///
/// let ring = Ring::with_capacity(2)?;
/// let mut batch = ring.open()?;
/// let (dropped, completed) = (batch.permit()?, batch.permit()?);
/// std::thread::scope(|scope| {
///     scope.spawn(move || drop(dropped));
///     scope.spawn(move || completed.complete("done").expect("it was not evicted"));
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

    /// Returns the index of the position in its batch, counted from 0.
    ///
    /// Its [`Delivery`](crate::Delivery) will have the same index.
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

    /// Returns the ticket of the position, as plain data.
    ///
    /// The permit stays the owner: if it is dropped without a value, it leaves a gap. The ticket
    /// can be sent elsewhere, for example to evict the position.
    ///
    /// ```
    /// # use reorder_ring::{Reason, Ring};
    /// # let ring = Ring::with_capacity(1)?;
    /// # let mut batch = ring.open()?;
    /// let permit = batch.permit()?;
    /// ring.evict(permit.ticket())?;
    /// assert_eq!(permit.complete('a').unwrap_err().reason, Reason::Evicted);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Progress
    ///
    /// Wait-free: no shared access.
    pub fn ticket(&self) -> Ticket {
        self.ticket
    }

    /// Returns `true` if the value of the position is still wanted.
    ///
    /// See [`Ring::is_wanted`](crate::Ring::is_wanted).
    ///
    /// ```
    /// # use reorder_ring::Ring;
    /// # let ring = Ring::<u8>::with_capacity(1)?;
    /// # let mut batch = ring.open()?;
    /// let permit = batch.permit()?;
    /// assert!(permit.is_wanted());
    /// batch.canceller().cancel();
    /// assert!(!permit.is_wanted());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Progress
    ///
    /// As [`Ring::is_wanted`](crate::Ring::is_wanted).
    pub fn is_wanted(&self) -> bool {
        self.ring.is_wanted(self.ticket)
    }

    /// Completes the position with a value.
    ///
    /// A permit that is refused is used up: its position was completed or evicted before.
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
    /// As for [`Ring::complete`](crate::Ring::complete).
    ///
    /// # Progress
    ///
    /// As [`Ring::complete`](crate::Ring::complete). The permit of a shared ring then drops its
    /// reference, by one subtraction more. The last reference also drops the ring and its values.
    /// The last reference to a lease returns the ring to its pool, which is lock-free.
    pub fn complete(mut self, value: R::Value) -> Result<(), Rejected<R::Value>> {
        self.completed = true;
        // The ring itself reserved the position, so the ticket needs no check.
        wake(self.ring.complete_reserved(self.ticket.position, value)?);
        Ok(())
    }
}

impl<R: RingRef> Drop for Permit<R> {
    fn drop(&mut self) {
        if !self.completed {
            // It is refused if the position was evicted or its batch is closed.
            wake(self.ring.leave_gap(self.ticket.position, Gap::Abandoned).unwrap_or(None));
        }
    }
}

impl<R: RingRef> fmt::Debug for Permit<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("index", &self.index).finish_non_exhaustive()
    }
}
