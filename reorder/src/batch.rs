//! An open batch: both sides in one handle, until it is split.

use core::fmt;
#[cfg(feature = "std")]
use core::time::Duration;
#[cfg(feature = "std")]
use std::time::Instant;

use alloc::sync::Arc;

use crate::consumer::canceller::Canceller;
use crate::consumer::head_of_line::HeadOfLine;
use crate::consumer::{Consumer, DrainReady};
use crate::delivery::Delivery;
use crate::errors::{
    Busy, EvictIndexError, Reason, Rejected, ReserveError, ReserveThroughError, TryNextError,
};
#[cfg(feature = "std")]
use crate::errors::{NextError, NextTimeoutError};
use crate::producer::Producer;
use crate::producer::completer::Completer;
use crate::producer::permit::Permit;
use crate::ring::Ring;
use crate::ring::ring_ref::RingRef;
use crate::ticket::{Ticket, Tickets};

/// An open batch, which reserves and takes on one thread. [`split`](Batch::split) makes a handle
/// for each side, for two threads.
///
/// Tickets and permits may be completed on any thread in either case. Dropping the batch closes it:
/// undelivered values are dropped, and its tickets are stale.
///
/// ```
/// use reorder_ring::{Ring, TryNextError};
///
/// let ring = Ring::with_capacity(4)?;
/// let mut batch = ring.open()?;
/// for (ticket, value) in batch.reserve_many(2)?.zip(["a", "b"]) {
///     ring.complete(ticket, value)?;
/// }
/// assert_eq!(batch.try_next()?.outcome, Ok("a"));
/// assert_eq!(batch.try_next()?.outcome, Ok("b"));
/// // No other handle could reserve a position meanwhile, so this is an end. More may be reserved.
/// assert_eq!(batch.try_next(), Err(TryNextError::Ended));
/// assert!(batch.reserve().is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// The methods do the same as the methods of [`Producer`] and [`Consumer`], which have examples.
#[must_use = "dropping the batch closes it"]
pub struct Batch<R: RingRef> {
    producer: Producer<R>,
    consumer: Consumer<R>,
}

impl<R: RingRef> Batch<R> {
    pub(crate) fn new(ring: R, number: u64) -> Self {
        let base = ring.base();
        Batch {
            producer: Producer::new(ring.clone(), base),
            consumer: Consumer::new(ring, base, number),
        }
    }

    /// Splits the batch into its two sides, for two threads.
    ///
    /// Only a producer of its own can [finish](Producer::finish) the batch.
    ///
    /// ```
    /// # use reorder_ring::Ring;
    /// let ring = Ring::with_capacity(4)?;
    /// let (mut producer, mut consumer) = ring.open()?.split();
    /// let ring = &ring;
    /// std::thread::scope(|scope| {
    ///     scope.spawn(move || {
    ///         let ticket = producer.reserve().expect("the window is empty");
    ///         ring.complete(ticket, 'a').expect("it is not evicted");
    ///         producer.finish();
    ///     });
    /// });
    /// assert_eq!(consumer.try_next()?.outcome, Ok('a'));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Progress
    ///
    /// Wait-free: it stores the head, and moves the handles.
    pub fn split(self) -> (Producer<R>, Consumer<R>) {
        (self.producer, self.consumer.split())
    }

    /// Returns the ring. See [`Producer::ring`].
    ///
    /// # Progress
    ///
    /// As [`Producer::ring`].
    pub fn ring(&self) -> &Ring<R::Value> {
        self.producer.ring()
    }

    /// Returns the number of positions that were reserved. See [`Producer::reserved`].
    ///
    /// # Progress
    ///
    /// As [`Producer::reserved`].
    pub fn reserved(&self) -> u64 {
        self.producer.reserved()
    }

    /// Returns the number of positions that were delivered. See [`Consumer::delivered`].
    ///
    /// # Progress
    ///
    /// As [`Consumer::delivered`].
    pub fn delivered(&self) -> u64 {
        self.consumer.delivered()
    }

    /// Returns the number of positions that can be reserved now. See [`Producer::space`].
    ///
    /// # Progress
    ///
    /// As [`Producer::space`], and the store of the head.
    pub fn space(&mut self) -> usize {
        self.consumer.publish_head();
        self.producer.space()
    }

    /// Returns `true` if the batch is cancelled. See [`Producer::is_cancelled`].
    ///
    /// # Progress
    ///
    /// As [`Producer::is_cancelled`].
    pub fn is_cancelled(&self) -> bool {
        self.producer.is_cancelled()
    }

    /// Reserves the next position. See [`Producer::reserve`].
    ///
    /// # Errors
    ///
    /// As [`Producer::reserve`].
    ///
    /// # Progress
    ///
    /// As [`Producer::reserve`], and at most the store of the head.
    #[inline]
    pub fn reserve(&mut self) -> Result<Ticket, ReserveError> {
        self.publish_head_for(1);
        self.producer.reserve()
    }

    /// Reserves the next `count` positions, all or none. See [`Producer::reserve_many`].
    ///
    /// # Errors
    ///
    /// As [`Producer::reserve_many`].
    ///
    /// # Progress
    ///
    /// As [`Producer::reserve_many`], and at most the store of the head.
    pub fn reserve_many(&mut self, count: usize) -> Result<Tickets, ReserveError> {
        self.publish_head_for(count as u64);
        self.producer.reserve_many(count)
    }

    /// Reserves the next position as a [`Permit`]. See [`Producer::permit`].
    ///
    /// # Errors
    ///
    /// As [`Producer::permit`].
    ///
    /// # Progress
    ///
    /// As [`Producer::permit`], and at most the store of the head.
    pub fn permit(&mut self) -> Result<Permit<R>, ReserveError> {
        self.publish_head_for(1);
        self.producer.permit()
    }

    /// Reserves all positions up to this index. See [`Producer::reserve_through`].
    ///
    /// # Errors
    ///
    /// As [`Producer::reserve_through`].
    ///
    /// # Progress
    ///
    /// As [`Producer::reserve_through`], and at most the store of the head.
    pub fn reserve_through(&mut self, index: u64) -> Result<(), ReserveThroughError> {
        self.publish_head_for(index.saturating_sub(self.reserved()).saturating_add(1));
        self.producer.reserve_through(index)
    }

    /// Stores the head, if a reservation of `count` positions will load it.
    #[inline]
    fn publish_head_for(&self, count: u64) {
        if self.producer.seems_full(count) {
            self.publish_head();
        }
    }

    #[cold]
    #[inline(never)]
    fn publish_head(&self) {
        self.consumer.publish_head();
    }

    /// Returns the ticket of a reserved index. See [`Producer::ticket`].
    ///
    /// # Errors
    ///
    /// As [`Producer::ticket`].
    ///
    /// # Progress
    ///
    /// As [`Producer::ticket`].
    pub fn ticket(&self, index: u64) -> Result<Ticket, Reason> {
        self.producer.ticket(index)
    }

    /// Completes the position of an index. See [`Producer::complete_index`].
    ///
    /// # Errors
    ///
    /// As [`Producer::complete_index`].
    ///
    /// # Progress
    ///
    /// As [`Producer::complete_index`].
    pub fn complete_index(&self, index: u64, value: R::Value) -> Result<(), Rejected<R::Value>> {
        self.producer.complete_index(index, value)
    }

    /// Returns a handle that completes positions of this batch by index. See
    /// [`Producer::completer`].
    ///
    /// # Progress
    ///
    /// As [`Producer::completer`].
    pub fn completer(&self) -> Completer<R> {
        self.producer.completer()
    }

    /// Takes the head of line, if it is ready.
    ///
    /// # Errors
    ///
    /// As for [`Consumer::try_next`], but never `Truncated`. If every reserved position is
    /// delivered, the error is [`TryNextError::Ended`], or `Cancelled` in a cancelled batch. After
    /// `Ended`, more positions may be reserved.
    ///
    /// # Progress
    ///
    /// As [`Consumer::try_next`].
    #[inline]
    pub fn try_next(&mut self) -> Result<Delivery<R::Value>, TryNextError> {
        match self.consumer.take_value_unsplit() {
            Some(delivery) => Ok(delivery),
            None => self.try_next_cold(),
        }
    }

    #[cold]
    #[inline(never)]
    fn try_next_cold(&mut self) -> Result<Delivery<R::Value>, TryNextError> {
        if self.is_over() {
            return Err(TryNextError::Ended);
        }
        self.consumer.try_next_cold()
    }

    /// Returns `true` if every reserved position is delivered, and more may be reserved.
    fn is_over(&self) -> bool {
        self.delivered() == self.reserved() && !self.consumer.ring.batch_state.is_cancelled()
    }

    /// Returns an iterator that takes ready positions. See [`Consumer::drain_ready`].
    ///
    /// # Progress
    ///
    /// As [`Consumer::drain_ready`].
    pub fn drain_ready(&mut self) -> DrainReady<'_, R> {
        DrainReady::unsplit(&mut self.consumer)
    }

    /// Evicts the head of line. See [`Consumer::evict_head`].
    ///
    /// # Errors
    ///
    /// As [`Consumer::evict_head`].
    ///
    /// # Progress
    ///
    /// As [`Consumer::evict_head`].
    pub fn evict_head(&mut self) -> Result<(), Reason> {
        self.consumer.evict_head()
    }

    /// Evicts the position with this index. See [`Consumer::evict_index`].
    ///
    /// # Errors
    ///
    /// As [`Consumer::evict_index`].
    ///
    /// # Progress
    ///
    /// As [`Consumer::evict_index`].
    pub fn evict_index(&mut self, index: u64) -> Result<(), EvictIndexError> {
        self.consumer.evict_index(index)
    }

    /// Returns a view of the position that is delivered next. See [`Consumer::head_of_line`].
    ///
    /// # Progress
    ///
    /// As [`Consumer::head_of_line`].
    pub fn head_of_line(&self) -> HeadOfLine {
        self.consumer.head_of_line()
    }

    /// Returns a handle that cancels this batch. See [`Consumer::canceller`].
    ///
    /// # Progress
    ///
    /// As [`Consumer::canceller`].
    pub fn canceller(&self) -> Canceller<R> {
        self.consumer.canceller()
    }
}

#[cfg(feature = "std")]
impl<R: RingRef> Batch<R> {
    /// Takes the head of line, and blocks until it is ready. See [`Consumer::next`].
    ///
    /// If every reserved position is delivered, it returns `None` and does not block, since no
    /// other handle could reserve a position meanwhile. A cancelled batch returns its error
    /// instead.
    ///
    /// # Errors
    ///
    /// As [`Consumer::next`].
    ///
    /// # Progress
    ///
    /// As [`Consumer::next`].
    #[expect(clippy::should_implement_trait, reason = "it blocks, and returns the end as an error")]
    pub fn next(&mut self) -> Result<Option<Delivery<R::Value>>, NextError> {
        if self.is_over() {
            return Ok(None);
        }
        self.consumer.next()
    }

    /// Takes the head of line as [`next`](Batch::next) does, and blocks for at most `timeout`.
    ///
    /// # Errors
    ///
    /// As [`Consumer::next_timeout`].
    ///
    /// # Progress
    ///
    /// As [`Consumer::next`].
    pub fn next_timeout(
        &mut self,
        timeout: Duration,
    ) -> Result<Option<Delivery<R::Value>>, NextTimeoutError> {
        if self.is_over() {
            return Ok(None);
        }
        self.consumer.next_timeout(timeout)
    }

    /// Takes the head of line as [`next`](Batch::next) does, and blocks until `deadline`.
    ///
    /// # Errors
    ///
    /// As [`Consumer::next_timeout`].
    ///
    /// # Progress
    ///
    /// As [`Consumer::next`].
    pub fn next_deadline(
        &mut self,
        deadline: Instant,
    ) -> Result<Option<Delivery<R::Value>>, NextTimeoutError> {
        if self.is_over() {
            return Ok(None);
        }
        self.consumer.next_deadline(deadline)
    }
}

impl<T> Ring<T> {
    /// Opens a batch, whose handles borrow the ring.
    ///
    /// [`open_owned`](Ring::open_owned) shares an `Arc` instead. [`Ring`] and [`Busy`] have
    /// examples.
    ///
    /// # Errors
    ///
    /// * [`Busy::Leased`] while another batch has a side left, or another thread opens or closes
    ///   one.
    /// * [`Busy::Orphaned`] while a completer of an earlier batch is still writing.
    ///
    /// # Panics
    ///
    /// Panics if the `Drop` of a late value panics: a completer of an earlier batch wrote it after
    /// the batch was closed. The ring can be opened afterwards.
    ///
    /// # Progress
    ///
    /// Wait-free: 2 loads and 1 compare-and-swap; after an orphan, a constant more and 4 steps for
    /// each slot.
    pub fn open(&self) -> Result<Batch<&Ring<T>>, Busy> {
        open(self)
    }

    /// Opens a batch, whose handles share the ring and can be `'static`.
    ///
    /// ```
    /// # use reorder_ring::Ring;
    /// let ring = std::sync::Arc::new(Ring::with_capacity(1)?);
    /// let (mut producer, mut consumer) = ring.open_owned()?.split();
    /// let permit = producer.permit()?;
    /// std::thread::spawn(move || permit.complete('a')).join().expect("no panic")?;
    /// assert_eq!(consumer.try_next()?.outcome, Ok('a'));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`open`](Ring::open).
    ///
    /// # Panics
    ///
    /// As [`open`](Ring::open).
    ///
    /// # Progress
    ///
    /// As [`open`](Ring::open).
    pub fn open_owned(self: &Arc<Self>) -> Result<Batch<Arc<Ring<T>>>, Busy> {
        open(Arc::clone(self))
    }
}

/// Opens a batch whose handles are clones of `ring`.
pub(crate) fn open<R: RingRef>(ring: R) -> Result<Batch<R>, Busy> {
    let number = ring.start_batch()?;
    Ok(Batch::new(ring, number))
}

impl<R: RingRef> fmt::Debug for Batch<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch")
            .field("reserved", &self.reserved())
            .field("delivered", &self.delivered())
            .finish_non_exhaustive()
    }
}
