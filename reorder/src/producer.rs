//! The producer side of a batch: it reserves positions and declares the end.

mod by_index;
pub(crate) mod completer;
pub(crate) mod permit;
mod wait;

use core::fmt;

use alloc::sync::Arc;

use crate::errors::ReserveError;
use crate::primitive::Ordering::{Release, SeqCst};
use crate::primitive::fence;
use crate::primitive::shared_waker::SharedWaker;
use crate::producer::permit::Permit;
use crate::ring::Ring;
use crate::ring::batch_state::Side;
use crate::ring::close::SideGuard;
use crate::ring::end_state::End;
use crate::ring::ring_ref::RingRef;
use crate::ring::tag::{State, Tag};
use crate::ticket::issuer::Issuer;
use crate::ticket::{Ticket, Tickets};

/// The producer side of a batch: reserves positions, in order.
///
/// Dropping the producer without [`finish`](Producer::finish) ends the batch as truncated. A
/// producer that is forgotten with `mem::forget` keeps its ring leased for ever.
///
/// ```
/// use reorder_ring::{Ring, TryNextError};
///
/// let ring = Ring::with_capacity(4)?;
/// let (mut producer, mut consumer) = ring.open()?.split();
/// let ticket = producer.reserve()?;
/// drop(producer);
///
/// // The consumer gets what was reserved. Then it learns that the batch was not finished.
/// ring.complete(ticket, 'a')?;
/// assert_eq!(consumer.try_next()?.outcome, Ok('a'));
/// assert_eq!(consumer.try_next(), Err(TryNextError::Truncated));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "dropping the producer ends the batch as truncated"]
pub struct Producer<R: RingRef> {
    pub(crate) ring: R,
    /// The next position to reserve.
    tail: u64,
    /// The first position that does not fit into the window, as far as is known: the head last
    /// loaded plus the capacity, or the end of positions.
    limit: u64,
    base: u64,
    end: End,
    /// The last waker that was registered for space. It is kept so that its last reference is not
    /// dropped by the cell.
    pub(crate) waker: Option<Arc<SharedWaker>>,
}

impl<R: RingRef> Producer<R> {
    pub(crate) fn new(ring: R, base: u64) -> Self {
        let limit = (base + ring.capacity() as u64).min(ring.end_of_positions());
        Producer { ring, tail: base, limit, base, end: End::Truncated, waker: None }
    }

    /// Returns the ring, for completions and evictions.
    ///
    /// ```
    /// # let (mut producer, mut consumer) = {
    /// #     std::sync::Arc::new(reorder_ring::Ring::with_capacity(1)?).open_owned()?.split()
    /// # };
    /// let ticket = producer.reserve()?;
    /// producer.ring().complete(ticket, 'a')?;
    /// assert_eq!(consumer.try_next()?.outcome, Ok('a'));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Progress
    ///
    /// Wait-free: no shared access.
    pub fn ring(&self) -> &Ring<R::Value> {
        &self.ring
    }

    /// Returns the number of positions that were reserved in this batch: the index of the next one.
    ///
    /// ```
    /// # let ring = reorder_ring::Ring::<u8>::with_capacity(4)?;
    /// # let (mut producer, _consumer) = ring.open()?.split();
    /// let tickets = producer.reserve_many(3)?;
    /// assert_eq!(producer.reserved(), tickets.len() as u64);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Progress
    ///
    /// Wait-free: no shared access.
    pub fn reserved(&self) -> u64 {
        self.tail - self.base
    }

    /// Returns the number of positions that were delivered in this batch.
    pub(crate) fn delivered(&self) -> u64 {
        self.ring.head() - self.base
    }

    /// Returns an issuer that no other ring of this process trusts, and the first position of the
    /// batch. Two batches in which positions were reserved differ in one of them.
    pub(crate) fn batch_identity(&self) -> (Issuer, u64) {
        (self.ring.trusted, self.base)
    }

    /// Returns the space: the number of positions that can be reserved now.
    ///
    /// The space is at most the ring's capacity. It grows when the consumer takes, and shrinks only
    /// when this producer reserves. A batch that is cancelled accepts no reservation, whatever the
    /// space is.
    ///
    /// ```
    /// # let ring = reorder_ring::Ring::<u8>::with_capacity(4)?;
    /// # let (mut producer, _consumer) = ring.open()?.split();
    /// _ = producer.reserve()?;
    /// let rest = producer.space();
    /// assert_eq!(rest, 3);
    /// assert!(producer.reserve_many(rest).is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Progress
    ///
    /// Wait-free: 1 load.
    pub fn space(&mut self) -> usize {
        self.refresh_limit();
        (self.limit - self.tail) as usize
    }

    /// Returns `true` if the batch is cancelled, or its consumer was dropped.
    ///
    /// ```
    /// # let ring = reorder_ring::Ring::<u8>::with_capacity(1)?;
    /// let (producer, consumer) = ring.open()?.split();
    /// assert!(!producer.is_cancelled());
    /// drop(consumer);
    /// assert!(producer.is_cancelled());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Progress
    ///
    /// Wait-free: 1 load.
    pub fn is_cancelled(&self) -> bool {
        self.ring.batch_state.is_cancelled()
    }

    /// Reserves the next position. If the window is full, it returns an error immediately.
    ///
    /// ```
    /// # let ring = reorder_ring::Ring::with_capacity(1)?;
    /// # let (mut producer, mut consumer) = ring.open()?.split();
    /// let ticket = producer.reserve()?;
    /// // Now, later, or on another thread:
    /// ring.complete(ticket, 'a')?;
    /// assert_eq!(consumer.try_next()?.outcome, Ok('a'));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ReserveError`] if the window is full, the batch is cancelled, or the ring has no positions
    /// left.
    ///
    /// # Progress
    ///
    /// Wait-free: at most 2 loads and 1 store. It never blocks.
    #[inline]
    pub fn reserve(&mut self) -> Result<Ticket, ReserveError> {
        let position = self.advance(1)?;
        Ok(Ticket { ring: self.ring.issuer, position })
    }

    /// Reserves the next `count` positions, all or none, at the cost of one reservation.
    ///
    /// ```
    /// # use reorder_ring::ReserveError;
    /// # let ring = reorder_ring::Ring::<usize>::with_capacity(4)?;
    /// # let (mut producer, mut consumer) = ring.open()?.split();
    /// let three = producer.reserve_many(3)?;
    /// assert_eq!(producer.reserve_many(2), Err(ReserveError::Full), "1 of 2 fits");
    ///
    /// let ring = producer.ring();
    /// std::thread::scope(|scope| {
    ///     for (value, ticket) in three.enumerate() {
    ///         scope.spawn(move || ring.complete(ticket, value));
    ///     }
    /// });
    /// assert!(consumer.drain_ready().map(|delivery| delivery.outcome).eq([Ok(0), Ok(1), Ok(2)]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`reserve`](Producer::reserve), and [`ReserveError::TooMany`] if `count` is above the
    /// ring's capacity: such a request never fits. If the error is [`ReserveError::Full`],
    /// [`poll_space_many`](Producer::poll_space_many) waits until the request fits.
    ///
    /// # Progress
    ///
    /// Wait-free: at most 2 loads and 1 store, as for one position.
    pub fn reserve_many(&mut self, count: usize) -> Result<Tickets, ReserveError> {
        let next = self.advance(count as u64)?;
        Ok(Tickets { ring: self.ring.issuer, next, end: next + count as u64 })
    }

    /// Reserves the next position as a [`Permit`], which leaves a gap when it is dropped.
    ///
    /// A permit of a shared ring costs a reference count. A permit of a borrowed ring does not.
    ///
    /// ```
    /// # use reorder_ring::Gap;
    /// # let ring = reorder_ring::Ring::<u8>::with_capacity(1)?;
    /// # let (mut producer, mut consumer) = ring.open()?.split();
    /// let permit = producer.permit()?;
    /// let worker = std::thread::scope(|scope| {
    ///     scope.spawn(move || {
    ///         let _permit = permit;
    ///         panic!("the worker drops its permit");
    ///     }).join()
    /// });
    /// assert!(worker.is_err());
    /// assert_eq!(consumer.try_next()?.outcome, Err(Gap::Abandoned));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`reserve`](Producer::reserve).
    ///
    /// # Progress
    ///
    /// As [`reserve`](Producer::reserve), and cloning an `Arc` for a shared ring.
    pub fn permit(&mut self) -> Result<Permit<R>, ReserveError> {
        let index = self.reserved();
        let ticket = self.reserve()?;
        Ok(Permit::new(self.ring.clone(), ticket, index))
    }

    /// Finishes the batch: when the reserved positions are delivered, the consumer sees the end.
    ///
    /// ```
    /// # use reorder_ring::{Ring, TryNextError};
    /// # let ring = Ring::<u8>::with_capacity(1)?;
    /// let (producer, mut consumer) = ring.open()?.split();
    /// producer.finish();
    /// assert_eq!(consumer.try_next(), Err(TryNextError::Ended));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Panics
    ///
    /// Panics if the waker of a waiting consumer panics. The batch is finished nevertheless.
    ///
    /// If the consumer was dropped before, this call closes the batch. Then it also panics if the
    /// `Drop` of an undelivered value panics. The batch is closed nevertheless.
    ///
    /// # Progress
    ///
    /// Wait-free: a constant; for the last side, and for a consumer that goes first, 4 steps more
    /// for each slot of the window. Waking the consumer and the `Drop` of undelivered values are
    /// not counted.
    pub fn finish(mut self) {
        self.end = End::Finished;
    }

    /// Reserves `count` positions and returns the first one.
    #[inline]
    fn advance(&mut self, count: u64) -> Result<u64, ReserveError> {
        let first = self.tail;
        if self.seems_full(count) || self.ring.batch_state.may_be_cancelled() {
            self.check_space(count)?;
        }
        self.tail = first + count;
        // ORDERING: reserve:tail: Release pairs with `from_bits:tail`: a thread that reads this
        // tail sees the slots of the reserved positions as vacant for them. The store comes before
        // the ticket leaves this function.
        self.ring.tail.store(self.tail, Release);
        Ok(first)
    }

    /// Returns `true` if `count` positions do not fit, as far as is known. Then the next
    /// reservation loads the head.
    #[inline]
    pub(crate) fn seems_full(&self, count: u64) -> bool {
        self.limit - self.tail < count
    }

    /// Loads the head again, and returns an error if `count` positions do not fit.
    #[cold]
    #[inline(never)]
    fn check_space(&mut self, count: u64) -> Result<(), ReserveError> {
        if self.ring.batch_state.is_cancelled() {
            return Err(ReserveError::Cancelled);
        }
        if count > self.ring.capacity() as u64 {
            return Err(ReserveError::TooMany);
        }
        self.refresh_limit();
        if self.limit - self.tail >= count {
            Ok(())
        } else if self.is_exhausted(count) {
            Err(ReserveError::Exhausted)
        } else {
            Err(ReserveError::Full)
        }
    }

    /// Computes the limit from the present head.
    fn refresh_limit(&mut self) {
        let window_end = self.ring.head() + self.ring.capacity() as u64;
        self.limit = window_end.min(self.ring.end_of_positions());
    }

    /// Returns `true` if fewer positions than `count` are left in the ring's life.
    fn is_exhausted(&self, count: u64) -> bool {
        self.ring.end_of_positions() - self.tail < count
    }

    /// Declares the end, and wakes the consumer if it waits for the next position.
    fn declare_end(&self) {
        self.ring.end_state.declare(self.end);
        // ORDERING: finish:fence: SeqCst pairs with `wait:fence`: either this side sees that the
        // slot is `Waited`, or the consumer sees the end before it sleeps.
        fence(SeqCst);
        let (slot, generation) = self.ring.slot(self.tail);
        if slot.peek() == Tag::new(generation, State::Waited) {
            // No thread can claim the slot of an unreserved position, so this side takes the waker.
            self.ring.consumer_waker.wake();
        }
    }
}

impl<R: RingRef> Drop for Producer<R> {
    fn drop(&mut self) {
        let _leave_last = SideGuard { ring: &self.ring, side: Side::Producer };
        self.declare_end();
    }
}

impl<R: RingRef> fmt::Debug for Producer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer").field("reserved", &self.reserved()).finish_non_exhaustive()
    }
}
