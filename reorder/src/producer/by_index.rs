//! Positions by index, for items that bring their own numbers.
//!
//! A ticket is a function of the batch and the index: the position is the base plus the index. So
//! tickets need not be kept.

use crate::errors::{Reason, Rejected, ReserveError, ReserveThroughError};
use crate::producer::Producer;
use crate::producer::completer::Completer;
use crate::ring::ring_ref::RingRef;
use crate::ticket::Ticket;

impl<R: RingRef> Producer<R> {
    /// Reserves all positions up to this index, the index included. It reserves all or none.
    ///
    /// Positions that are reserved already do not change. If the index is reserved, the call does
    /// nothing.
    ///
    /// ```
    /// # use reorder_ring::ReserveThroughError;
    /// # let ring = reorder_ring::Ring::<u8>::with_capacity(4)?;
    /// # let (mut producer, mut consumer) = ring.open()?.split();
    /// producer.reserve_through(2)?;
    /// assert_eq!(producer.reserved(), 3, "the indices 0, 1 and 2");
    /// producer.reserve_through(1)?;
    /// assert_eq!(producer.reserved(), 3);
    ///
    /// let full = ReserveThroughError::Full { index: 6, end: 4 };
    /// assert_eq!(producer.reserve_through(6), Err(full));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ReserveThroughError`] if the window ends before the index, the batch is cancelled, or the
    /// ring has no position for the index.
    ///
    /// # Progress
    ///
    /// Wait-free: at most 2 loads and 1 store, however many positions it reserves.
    pub fn reserve_through(&mut self, index: u64) -> Result<(), ReserveThroughError> {
        let Some(ahead) = index.checked_sub(self.reserved()) else { return Ok(()) };
        let count = ahead.saturating_add(1);
        match self.advance(count) {
            Ok(_) => Ok(()),
            Err(error) => Err(self.unfit(index, count, error)),
        }
    }

    /// Returns the error for an index for which `count` positions were requested in vain.
    #[cold]
    fn unfit(&mut self, index: u64, count: u64, error: ReserveError) -> ReserveThroughError {
        if error == ReserveError::Cancelled {
            ReserveThroughError::Cancelled
        } else if self.is_exhausted(count) {
            ReserveThroughError::Exhausted { index, end: self.ring.end_of_positions() - self.base }
        } else {
            // `advance` has loaded the head, unless the request exceeds the capacity.
            if error == ReserveError::TooMany {
                self.refresh_limit();
            }
            ReserveThroughError::Full { index, end: self.limit - self.base }
        }
    }

    /// Returns the ticket of an index that is reserved.
    ///
    /// The ticket equals the ticket that the reservation of the index returned. It says nothing
    /// about the state of the position, which may be completed or delivered.
    ///
    /// ```
    /// # use reorder_ring::Reason;
    /// # let ring = reorder_ring::Ring::<u8>::with_capacity(4)?;
    /// # let (mut producer, _consumer) = ring.open()?.split();
    /// let tickets = producer.reserve_many(2)?;
    /// assert_eq!(producer.ticket(1).ok(), tickets.get(1));
    /// assert_eq!(producer.ticket(2), Err(Reason::Unreserved));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Reason::Unreserved`] if the index is not reserved.
    ///
    /// # Progress
    ///
    /// Wait-free: no shared access.
    pub fn ticket(&self, index: u64) -> Result<Ticket, Reason> {
        if index < self.reserved() {
            Ok(Ticket { ring: self.ring.issuer, position: self.base + index })
        } else {
            Err(Reason::Unreserved)
        }
    }

    /// Completes the position of an index with a value.
    ///
    /// ```
    /// # use reorder_ring::Reason;
    /// # let ring = reorder_ring::Ring::with_capacity(4)?;
    /// # let (mut producer, mut consumer) = ring.open()?.split();
    /// producer.reserve_through(1)?;
    /// producer.complete_index(1, "second")?;
    /// producer.complete_index(0, "first")?;
    /// assert_eq!(consumer.try_next()?.outcome, Ok("first"));
    ///
    /// let refused = |index| producer.complete_index(index, "again").unwrap_err().reason;
    /// assert_eq!(refused(0), Reason::Settled);
    /// assert_eq!(refused(1), Reason::Duplicate);
    /// assert_eq!(refused(2), Reason::Unreserved);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`Ring::complete`](crate::Ring::complete). The reason is [`Reason::Unreserved`] if
    /// the index is not reserved. Call [`reserve_through`](Producer::reserve_through) first.
    ///
    /// # Panics
    ///
    /// As [`Ring::complete`](crate::Ring::complete).
    ///
    /// # Progress
    ///
    /// As [`Ring::complete`](crate::Ring::complete).
    pub fn complete_index(&self, index: u64, value: R::Value) -> Result<(), Rejected<R::Value>> {
        match self.ticket(index) {
            Ok(ticket) => self.ring.complete(ticket, value),
            Err(reason) => Err(Rejected { reason: self.ring.refuse(reason), value }),
        }
    }

    /// Returns a handle that completes positions of this batch by index, from any thread.
    ///
    /// [`Completer`] has an example.
    ///
    /// # Progress
    ///
    /// Wait-free: 1 load, and at most a clone of the `Arc`.
    pub fn completer(&self) -> Completer<R> {
        Completer::new(self.ring.clone(), self.base, self.ring.batch_state.batch_number())
    }
}
