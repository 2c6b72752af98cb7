//! One ordered sequence on a ring, with both of its sides in one hand.

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
use crate::errors::{Busy, Reason, ReserveError, TryNextError};
#[cfg(feature = "std")]
use crate::errors::{NextError, NextTimeoutError};
use crate::producer::Producer;
use crate::producer::permit::Permit;
use crate::ring::Ring;
use crate::ring::ring_ref::RingRef;
use crate::ticket::{Ticket, Tickets};

/// An open batch: what reserves and takes on one thread. [`split`](Batch::split) it for two.
///
/// Tickets and permits may be completed on any thread in either case. Dropping the batch closes
/// it: what is undelivered is dropped, and its tickets are stale.
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
/// // Nobody else could reserve more, so there is nothing to wait for, but this side still can.
/// assert_eq!(batch.try_next(), Err(TryNextError::Ended));
/// assert!(batch.reserve().is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// The methods are those of [`Producer`] and [`Consumer`], whose pages have their examples.
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

    /// The two sides, for two threads. Only then can the batch be
    /// [finished](Producer::finish) before its consumer is.
    ///
    /// ```
    /// # use reorder_ring::Ring;
    /// let ring = Ring::with_capacity(4)?;
    /// let (mut producer, mut consumer) = ring.open()?.split();
    /// let ring = &ring;
    /// std::thread::scope(|scope| {
    ///     scope.spawn(move || {
    ///         let ticket = producer.reserve().expect("the window is empty");
    ///         ring.complete(ticket, 'a').expect("nobody evicts it");
    ///         producer.finish();
    ///     });
    /// });
    /// assert_eq!(consumer.try_next()?.outcome, Ok('a'));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Progress
    ///
    /// Wait-free: it moves the handles.
    pub fn split(self) -> (Producer<R>, Consumer<R>) {
        (self.producer, self.consumer.split())
    }

    /// See [`Producer::ring`].
    ///
    /// # Progress
    ///
    /// As there.
    pub fn ring(&self) -> &Ring<R::Value> {
        self.producer.ring()
    }

    /// See [`Producer::reserved`].
    ///
    /// # Progress
    ///
    /// As there.
    pub fn reserved(&self) -> u64 {
        self.producer.reserved()
    }

    /// See [`Consumer::delivered`].
    ///
    /// # Progress
    ///
    /// As there.
    pub fn delivered(&self) -> u64 {
        self.consumer.delivered()
    }

    /// See [`Producer::space`].
    ///
    /// # Progress
    ///
    /// As there.
    pub fn space(&mut self) -> usize {
        self.producer.space()
    }

    /// See [`Producer::reserve`].
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Progress
    ///
    /// As there.
    #[inline]
    pub fn reserve(&mut self) -> Result<Ticket, ReserveError> {
        self.producer.reserve()
    }

    /// See [`Producer::reserve_many`].
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Progress
    ///
    /// As there.
    pub fn reserve_many(&mut self, count: usize) -> Result<Tickets, ReserveError> {
        self.producer.reserve_many(count)
    }

    /// See [`Producer::permit`].
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Progress
    ///
    /// As there.
    pub fn permit(&mut self) -> Result<Permit<R>, ReserveError> {
        self.producer.permit()
    }

    /// Takes the head of line, if it is there.
    ///
    /// # Errors
    ///
    /// As [`Consumer::try_next`], but never `Truncated`: while nothing is reserved and undelivered,
    /// the answer is [`TryNextError::Ended`], and more may be reserved after it.
    ///
    /// # Progress
    ///
    /// As [`Consumer::try_next`].
    #[inline]
    pub fn try_next(&mut self) -> Result<Delivery<R::Value>, TryNextError> {
        match self.consumer.take_value() {
            Some(delivery) => Ok(delivery),
            None => self.try_next_cold(),
        }
    }

    #[cold]
    #[inline(never)]
    fn try_next_cold(&mut self) -> Result<Delivery<R::Value>, TryNextError> {
        if self.delivered() == self.reserved() {
            return Err(TryNextError::Ended);
        }
        self.consumer.try_next_cold()
    }

    /// See [`Consumer::drain_ready`].
    ///
    /// # Progress
    ///
    /// As there.
    pub fn drain_ready(&mut self) -> DrainReady<'_, R> {
        DrainReady::new(&mut self.consumer)
    }

    /// See [`Consumer::evict_head`].
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Progress
    ///
    /// As there.
    pub fn evict_head(&mut self) -> Result<(), Reason> {
        self.consumer.evict_head()
    }

    /// See [`Consumer::evict_index`].
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Progress
    ///
    /// As there.
    pub fn evict_index(&mut self, index: u64) -> Result<(), Reason> {
        self.consumer.evict_index(index)
    }

    /// See [`Consumer::head_of_line`].
    ///
    /// # Progress
    ///
    /// As there.
    pub fn head_of_line(&self) -> HeadOfLine {
        self.consumer.head_of_line()
    }

    /// See [`Consumer::canceller`].
    ///
    /// # Progress
    ///
    /// As there.
    pub fn canceller(&self) -> Canceller<R> {
        self.consumer.canceller()
    }
}

#[cfg(feature = "std")]
impl<R: RingRef> Batch<R> {
    /// As [`Consumer::next`], but while nothing is reserved and undelivered it returns `None` and
    /// never blocks: nobody else could reserve.
    ///
    /// # Errors
    ///
    /// As [`Consumer::next`].
    ///
    /// # Progress
    ///
    /// As [`Consumer::next`].
    #[expect(clippy::should_implement_trait, reason = "it blocks, and tells how a batch ended")]
    pub fn next(&mut self) -> Result<Option<Delivery<R::Value>>, NextError> {
        if self.delivered() == self.reserved() {
            return Ok(None);
        }
        self.consumer.next()
    }

    /// As [`next`](Batch::next), for at most `timeout`.
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
        if self.delivered() == self.reserved() {
            return Ok(None);
        }
        self.consumer.next_timeout(timeout)
    }

    /// As [`next`](Batch::next), until `deadline`.
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
        if self.delivered() == self.reserved() {
            return Ok(None);
        }
        self.consumer.next_deadline(deadline)
    }
}

impl<T> Ring<T> {
    /// Leases the ring to a new batch.
    ///
    /// The batch borrows the ring; [`open_owned`](Ring::open_owned) shares an `Arc` instead. The
    /// type and [`Busy`] have examples.
    ///
    /// # Errors
    ///
    /// [`Busy::Leased`] while another batch has a side left, or another thread opens or closes
    /// one; [`Busy::Orphaned`] while a completer of an earlier batch is in mid-write.
    ///
    /// # Panics
    ///
    /// If the `Drop` of a value panics that such a completer left behind. The ring is usable.
    ///
    /// # Progress
    ///
    /// Wait-free: 2 loads and 1 compare-and-swap; after an orphan, a constant more and 4 steps for each
    /// slot.
    pub fn open(&self) -> Result<Batch<&Ring<T>>, Busy> {
        open(self)
    }

    /// As [`open`](Ring::open), with handles that share the ring and can be `'static`.
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
