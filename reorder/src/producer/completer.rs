//! A handle that completes positions of one batch by index.

use core::fmt;

use crate::errors::{Reason, Rejected};
use crate::ring::ring_ref::RingRef;
use crate::ticket::Ticket;

/// Completes positions of one batch by their indices, from any thread.
///
/// [`Producer::completer`](crate::Producer::completer) returns it. Each thread can have a clone; a
/// completer that borrows the ring is `Copy`. A completer does not keep the batch open. After the
/// end of the batch, the completer completes nothing, even if a later batch is open on the same
/// ring. The completer of a shared ring keeps the ring alive.
///
/// A completer owns no position. If a thread panics or returns before it completes an index, the
/// position stays missing, and holds up the batch until it is evicted. A [`Permit`](crate::Permit)
/// that is dropped leaves a gap instead.
///
/// A completer accepts the indices that the producer has reserved. If the producer reserves all its
/// [space](crate::Producer::space) early, other threads can complete every index of the window.
///
/// ```
/// use reorder_ring::{Reason, Ring};
///
/// let ring = Ring::with_capacity(4)?;
/// let mut batch = ring.open()?;
/// batch.reserve_through(3)?;
/// let completer = batch.completer();
/// std::thread::scope(|scope| {
///     for index in [2, 0, 3, 1] {
///         scope.spawn(move || completer.complete_index(index, index * index));
///     }
/// });
/// let squares = batch.drain_ready().map(|delivery| delivery.outcome);
/// assert!(squares.eq([Ok(0), Ok(1), Ok(4), Ok(9)]));
///
/// drop(batch);
/// let mut next = ring.open()?;
/// next.reserve_through(9).unwrap_err();
/// next.reserve_through(3)?;
/// let late = completer.complete_index(5, 25).unwrap_err();
/// assert_eq!((late.reason, late.value), (Reason::Stale, 25));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy)]
pub struct Completer<R: RingRef> {
    ring: R,
    base: u64,
    batch_number: u64,
}

impl<R: RingRef> Completer<R> {
    pub(crate) fn new(ring: R, base: u64, batch_number: u64) -> Self {
        Completer { ring, base, batch_number }
    }

    /// Returns the ticket of an index that is reserved.
    ///
    /// The ticket says nothing about the state of the position, which may be completed or
    /// delivered.
    ///
    /// ```
    /// # use reorder_ring::Reason;
    /// # let ring = reorder_ring::Ring::with_capacity(4)?;
    /// # let mut batch = ring.open()?;
    /// batch.reserve_through(1)?;
    /// let completer = batch.completer();
    /// let ticket = completer.ticket(1)?;
    /// assert!(ring.is_wanted(ticket));
    /// ring.complete(ticket, 'b')?;
    /// assert_eq!(completer.ticket(1), Ok(ticket));
    /// assert_eq!(completer.ticket(2), Err(Reason::Unreserved));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// * [`Reason::Unreserved`] if the index is not reserved, as far as this thread can know.
    /// * [`Reason::Stale`] if both sides of the batch have left.
    ///
    /// # Progress
    ///
    /// Wait-free: 2 loads.
    pub fn ticket(&self, index: u64) -> Result<Ticket, Reason> {
        // The tail comes first. If the batch is not over afterwards, the tail was stored in this
        // batch or before it. So a position below it belongs to this batch for ever.
        let tail = self.ring.tail();
        if self.ring.batch_state.is_over(self.batch_number) {
            return Err(Reason::Stale);
        }
        match self.base.checked_add(index) {
            Some(position) if position < tail => Ok(Ticket { ring: self.ring.issuer, position }),
            _ => Err(Reason::Unreserved),
        }
    }

    /// Completes the position of an index with a value.
    ///
    /// ```
    /// # use reorder_ring::{Gap, Reason};
    /// # let ring = reorder_ring::Ring::with_capacity(2)?;
    /// # let (mut producer, mut consumer) = ring.open()?.split();
    /// producer.reserve_through(1)?;
    /// let completer = producer.completer();
    /// completer.complete_index(1, 'b')?;
    ///
    /// // The consumer gives up on the first item.
    /// consumer.evict_head()?;
    /// let late = completer.complete_index(0, 'a').unwrap_err();
    /// assert_eq!((late.reason, late.value), (Reason::Evicted, 'a'));
    /// let outcomes: Vec<_> = consumer.drain_ready().map(|delivery| delivery.outcome).collect();
    /// assert_eq!(outcomes, [Err(Gap::Evicted), Ok('b')]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`Ring::complete`](crate::Ring::complete), and as for [`ticket`](Completer::ticket).
    ///
    /// # Panics
    ///
    /// As [`Ring::complete`](crate::Ring::complete).
    ///
    /// # Progress
    ///
    /// Wait-free: at most 2 loads, 2 compare-and-swaps and 1 store; if it is refused, 1 load
    /// instead of the store. The rest is as for [`Ring::complete`](crate::Ring::complete).
    pub fn complete_index(&self, index: u64, value: R::Value) -> Result<(), Rejected<R::Value>> {
        match self.ticket(index) {
            Ok(ticket) => self.ring.complete(ticket, value),
            Err(reason) => Err(Rejected { reason: self.ring.refuse(reason), value }),
        }
    }
}

impl<R: RingRef> fmt::Debug for Completer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Completer").finish_non_exhaustive()
    }
}
