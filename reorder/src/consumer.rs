//! The consumer side of a batch: it takes one delivery per position, in order.

pub(crate) mod canceller;
pub(crate) mod head_of_line;
mod poll;
#[cfg(feature = "stream")]
pub(crate) mod stream;
#[cfg(feature = "std")]
mod wait;

use core::fmt;

use alloc::sync::Arc;

use crate::consumer::canceller::Canceller;
use crate::consumer::head_of_line::{HeadOfLine, HeadState};
use crate::delivery::{Delivery, Gap};
use crate::errors::{EvictIndexError, Reason, TryNextError};
use crate::primitive::Ordering::{Release, SeqCst};
use crate::primitive::fence;
use crate::primitive::shared_waker::SharedWaker;
use crate::ring::Ring;
use crate::ring::batch_state::Side;
use crate::ring::close::{SideGuard, Sweep};
use crate::ring::cursor::{Cursor, Place};
use crate::ring::end_state::End;
use crate::ring::ring_ref::RingRef;
use crate::ring::tag::State;
use crate::ticket::Ticket;

/// The consumer side of a batch: takes the outcomes in the order of reservation.
///
/// Dropping the consumer cancels the batch, and drops the undelivered values. A consumer that is
/// forgotten with `mem::forget` keeps its ring leased for ever.
///
/// ```
/// use reorder_ring::{ReserveError, Ring};
///
/// let ring = Ring::with_capacity(2)?;
/// let (mut producer, mut consumer) = ring.open()?.split();
/// let (first, second) = (producer.reserve()?, producer.reserve()?);
/// ring.complete(first, 'a')?;
/// assert_eq!(consumer.try_next()?.outcome, Ok('a'));
///
/// drop(consumer);
/// assert!(ring.complete(second, 'b').is_err(), "the batch has no consumer");
/// assert_eq!(producer.reserve(), Err(ReserveError::Cancelled));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "dropping the consumer cancels the batch"]
pub struct Consumer<R: RingRef> {
    pub(crate) ring: R,
    /// The next position to take, the head.
    cursor: Cursor<R::Value>,
    base: u64,
    batch_number: u64,
    /// The head at the last fence, after which the consumer could not miss a producer that waits.
    /// It is `u64::MAX` before the split, when the producer cannot wait.
    fenced_at: u64,
    /// The last waker that was registered for the head. It is kept so that its last reference is
    /// not dropped by the cell.
    pub(crate) waker: Option<Arc<SharedWaker>>,
}

impl<R: RingRef> Consumer<R> {
    pub(crate) fn new(ring: R, base: u64, batch_number: u64) -> Self {
        let cursor = Cursor::new(&ring.slots, base);
        Consumer { ring, cursor, base, batch_number, fenced_at: u64::MAX, waker: None }
    }

    /// Returns the consumer of a split batch, whose producer may wait for space on another thread.
    pub(crate) fn split(mut self) -> Self {
        self.publish_head();
        self.fenced_at = self.head();
        // SAFETY: the slots of the cursor are the slots of `ring`.
        unsafe { self.cursor.stop_at_half(&self.ring.slots) };
        self
    }

    /// Returns the ring, for completions and evictions. [`Producer::ring`](crate::Producer::ring)
    /// has an example.
    ///
    /// # Progress
    ///
    /// Wait-free: no shared access.
    pub fn ring(&self) -> &Ring<R::Value> {
        &self.ring
    }

    /// Returns the next position to take.
    #[inline]
    pub(crate) fn head(&self) -> u64 {
        self.cursor.position()
    }

    /// Returns the number of positions that were delivered in this batch, gaps included.
    ///
    /// This number is the index of the next delivery.
    ///
    /// ```
    /// # let ring = reorder_ring::Ring::with_capacity(1)?;
    /// # let (mut producer, mut consumer) = ring.open()?.split();
    /// ring.complete(producer.reserve()?, 'a')?;
    /// let next = consumer.delivered();
    /// assert_eq!(consumer.try_next()?.index, next);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Progress
    ///
    /// Wait-free: no shared access.
    pub fn delivered(&self) -> u64 {
        self.head() - self.base
    }

    /// Takes the head of line, if it is ready.
    ///
    /// ```
    /// # use reorder_ring::TryNextError;
    /// # let ring = reorder_ring::Ring::with_capacity(2)?;
    /// # let (mut producer, mut consumer) = ring.open()?.split();
    /// let (first, second) = (producer.reserve()?, producer.reserve()?);
    /// ring.complete(second, "second")?;
    /// assert_eq!(consumer.try_next(), Err(TryNextError::Pending), "the first is missing");
    /// ring.complete(first, "first")?;
    /// assert_eq!(consumer.try_next()?.outcome, Ok("first"));
    /// assert_eq!(consumer.try_next()?.outcome, Ok("second"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`TryNextError`]: pending, or one of the three ends of a batch. After a cancellation the
    /// error is `Cancelled` instead of `Pending`. A head that is ready is delivered first.
    ///
    /// # Panics
    ///
    /// Panics if the waker of a waiting producer panics. Then a delivery that was taken is dropped.
    ///
    /// # Progress
    ///
    /// Wait-free: at most 2 loads and 2 stores for a value; 3 loads and 2 stores for a gap; 5 loads
    /// for neither; to notify a producer that waits, 3 steps more; if the batch was cancelled, 14
    /// steps. The call of the producer's waker is not counted.
    ///
    /// After the split, it takes two of the steps for a producer once per half window, and when it
    /// finds nothing after it took something: a fence and a load.
    #[inline]
    pub fn try_next(&mut self) -> Result<Delivery<R::Value>, TryNextError> {
        match self.take_value() {
            Some(delivery) => Ok(delivery),
            None => self.try_next_cold(),
        }
    }

    /// Takes the head of line if it is a value: the hot path of `try_next`.
    #[inline]
    pub(crate) fn take_value(&mut self) -> Option<Delivery<R::Value>> {
        let place = self.cursor.place();
        // SAFETY: `ring` is borrowed or counted by this handle.
        let slot = unsafe { place.slot() };
        // SAFETY: the consumer has the right to take until it leaves, and this handle is the only
        // consumer of the batch. `&mut self` excludes other threads.
        let value = unsafe { slot.take_value(self.cursor.ready()) }?;
        Some(self.deliver(place, Ok(value)))
    }

    /// Does the same in a batch that is not split, and does not store the head. No other thread
    /// loads it, and [`publish_head`](Consumer::publish_head) stores it before this thread does.
    #[inline]
    pub(crate) fn take_value_unsplit(&mut self) -> Option<Delivery<R::Value>> {
        let place = self.cursor.place();
        // SAFETY: as in `take_value`.
        let slot = unsafe { place.slot() };
        // SAFETY: as in `take_value`.
        let value = unsafe { slot.take_value(self.cursor.ready()) }?;
        let index = self.cursor.position_at(&place) - self.base;
        // SAFETY: as in `deliver`.
        if unsafe { self.cursor.advance(place) } {
            self.leave_stop();
        }
        Some(Delivery { index, outcome: Ok(value) })
    }

    /// Takes the head of line if it is a gap, or a value by now. Otherwise it returns the reason.
    #[cold]
    #[inline(never)]
    pub(crate) fn try_next_cold(&mut self) -> Result<Delivery<R::Value>, TryNextError> {
        if let Some(delivery) = self.take_outcome() {
            return Ok(delivery);
        }
        match self.end_or_pending() {
            // A completion or the end may have come before the cancellation, but after the loads
            // above. So both are loaded once more.
            TryNextError::Cancelled => {
                self.take_outcome().ok_or_else(|| self.end().unwrap_or(TryNextError::Cancelled))
            }
            why => Err(why),
        }
    }

    /// Takes the head of line, a value or a gap.
    ///
    /// If the head is not ready, it looks for a producer that waits, since the consumer may stop
    /// here.
    #[cold]
    #[inline(never)]
    fn take_outcome(&mut self) -> Option<Delivery<R::Value>> {
        let (slot, generation) = self.ring.slot(self.head());
        // SAFETY: as in `take_value`.
        if let Ok(outcome) = unsafe { slot.take(generation) } {
            return Some(self.deliver(self.cursor.place(), outcome));
        }
        // The consumer has taken something since its last fence.
        if self.fenced_at < self.head() {
            self.fence_and_notify_producer();
        }
        None
    }

    /// Moves the head past a position that was taken. `place` is the place of the cursor.
    #[inline]
    fn deliver(
        &mut self,
        place: Place<R::Value>,
        outcome: Result<R::Value, Gap>,
    ) -> Delivery<R::Value> {
        let position = self.cursor.position_at(&place);
        let head = position + 1;
        self.store_head(head);
        // SAFETY: `place` is the place of the cursor, which leaves a stop below.
        if unsafe { self.cursor.advance(place) } {
            self.leave_stop();
        } else if self.ring.space_request.is_met(head) {
            self.notify_producer();
        }
        Delivery { index: position - self.base, outcome }
    }

    #[inline]
    fn store_head(&self, head: u64) {
        // ORDERING: take:head: Release pairs with `reserve:head`: position `p` is taken before
        // position `p + capacity` is reserved.
        self.ring.head.store(head, Release);
    }

    /// Stores the head, which the takes of a batch that is not split did not store.
    pub(crate) fn publish_head(&self) {
        self.store_head(self.head());
    }

    /// Moves the cursor on from a stop. In a split batch, this is once per half window, and the
    /// consumer looks for a producer that waits.
    #[cold]
    #[inline(never)]
    fn leave_stop(&mut self) {
        // SAFETY: the slots of the cursor are the slots of `ring`.
        unsafe { self.cursor.turn(&self.ring.slots) };
        if self.fenced_at != u64::MAX {
            self.fence_and_notify_producer();
        }
    }

    /// Wakes the producer if it waits for space and its request fits. It cannot miss the producer.
    fn fence_and_notify_producer(&mut self) {
        self.fenced_at = self.head();
        // ORDERING: notify:fence: SeqCst pairs with `space:fence`: either this side sees the
        // announcement of a producer that waits, or the producer sees the head.
        fence(SeqCst);
        self.ring.space_request.notify(self.fenced_at);
    }

    /// Wakes the producer, whose request seems to fit.
    #[cold]
    #[inline(never)]
    fn notify_producer(&self) {
        self.ring.space_request.notify(self.head());
    }

    /// Returns an iterator that takes ready positions, up to a position that is not ready.
    ///
    /// [`try_next`](Consumer::try_next) returns the reason of the stop. Positions that the iterator
    /// did not take stay in the ring when it is dropped.
    ///
    /// ```
    /// # let ring = reorder_ring::Ring::with_capacity(4)?;
    /// # let (mut producer, mut consumer) = ring.open()?.split();
    /// for (ticket, value) in producer.reserve_many(4)?.zip(["a", "b", "missing", "d"]) {
    ///     if value != "missing" {
    ///         ring.complete(ticket, value)?;
    ///     }
    /// }
    /// let ready: Vec<_> = consumer.drain_ready().map(|delivery| delivery.outcome).collect();
    /// assert_eq!(ready, [Ok("a"), Ok("b")]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Progress
    ///
    /// Wait-free: each call takes at most 2 loads and 2 stores for a value; 3 loads and 2 stores
    /// for a gap; 2 loads at the end. The rest is as for [`try_next`](Consumer::try_next).
    pub fn drain_ready(&mut self) -> DrainReady<'_, R> {
        DrainReady { consumer: self, is_split: true }
    }

    /// Evicts the head of line: it is delivered as a gap.
    ///
    /// ```
    /// # use reorder_ring::Gap;
    /// # let ring = reorder_ring::Ring::with_capacity(2)?;
    /// # let (mut producer, mut consumer) = ring.open()?.split();
    /// let (_lost, second) = (producer.reserve()?, producer.reserve()?);
    /// ring.complete(second, 'b')?;
    /// consumer.evict_head()?;
    /// let outcomes: Vec<_> = consumer.drain_ready().map(|delivery| delivery.outcome).collect();
    /// assert_eq!(outcomes, [Err(Gap::Evicted), Ok('b')]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`Ring::evict`]. The reason is [`Reason::Unreserved`] if the head of line is not
    /// reserved yet.
    ///
    /// # Progress
    ///
    /// Wait-free: 1 load more than [`Ring::evict`].
    pub fn evict_head(&mut self) -> Result<(), Reason> {
        self.evict_below(self.head(), self.ring.tail())
    }

    /// Evicts the position with this index in the batch: it is delivered as a gap, in its order.
    ///
    /// ```
    /// # use reorder_ring::{Gap, Reason};
    /// # let ring = reorder_ring::Ring::with_capacity(2)?;
    /// # let (mut producer, mut consumer) = ring.open()?.split();
    /// let first = producer.reserve_many(2)?.get(0).expect("two were reserved");
    /// consumer.evict_index(1)?;
    /// assert_eq!(consumer.evict_index(2).unwrap_err().reason, Reason::Unreserved);
    ///
    /// // The head is not delayed, and the order is not changed.
    /// ring.complete(first, 'a')?;
    /// let outcomes: Vec<_> = consumer.drain_ready().map(|delivery| delivery.outcome).collect();
    /// assert_eq!(outcomes, [Ok('a'), Err(Gap::Evicted)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`EvictIndexError`] with the reason, as for [`Ring::evict`]. The reason is
    /// [`Reason::Unreserved`] if the position is not reserved yet.
    ///
    /// # Progress
    ///
    /// Wait-free: 1 load more than [`Ring::evict`].
    pub fn evict_index(&mut self, index: u64) -> Result<(), EvictIndexError> {
        let tail = self.ring.tail();
        self.evict_below(self.base.saturating_add(index), tail).map_err(|reason| EvictIndexError {
            reason,
            index,
            delivered: self.delivered(),
            reserved: tail.saturating_sub(self.base),
        })
    }

    /// Evicts a position, which must be below `tail`.
    fn evict_below(&self, position: u64, tail: u64) -> Result<(), Reason> {
        if position >= tail {
            return Err(self.ring.refuse(Reason::Unreserved));
        }
        self.ring.evict(Ticket { ring: self.ring.issuer, position })
    }

    /// Returns a view of the position that is delivered next. [`HeadOfLine`] has an example.
    ///
    /// # Progress
    ///
    /// Wait-free: 2 loads.
    pub fn head_of_line(&self) -> HeadOfLine {
        let (slot, generation) = self.ring.slot(self.head());
        let tail = self.ring.tail();
        // The loaded tail may be outdated, even behind the head, if a ticket was sent by relaxed
        // stores.
        let tag = slot.peek();
        let state = match tag.state() {
            _ if tag.generation() != generation || self.head() >= tail => HeadState::Unreserved,
            State::Vacant | State::Waited => HeadState::Missing,
            State::Writing | State::Evicting | State::Abandoning => HeadState::Writing,
            State::Ready | State::Evicted | State::Abandoned => HeadState::Ready,
        };
        HeadOfLine { index: self.delivered(), reserved: tail.saturating_sub(self.head()), state }
    }

    /// Returns a handle that cancels this batch, and no other batch, from any thread.
    ///
    /// ```
    /// # use reorder_ring::TryNextError;
    /// # let ring = reorder_ring::Ring::<u8>::with_capacity(1)?;
    /// # let (mut producer, mut consumer) = ring.open()?.split();
    /// let _never_completed = producer.reserve()?;
    /// let canceller = consumer.canceller();
    /// std::thread::scope(|scope| {
    ///     scope.spawn(move || canceller.cancel());
    /// });
    /// assert_eq!(consumer.try_next(), Err(TryNextError::Cancelled));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Progress
    ///
    /// Wait-free: at most a clone of the `Arc`.
    pub fn canceller(&self) -> Canceller<R> {
        Canceller::new(self.ring.clone(), self.batch_number)
    }

    /// Returns the reason why the head is not ready.
    pub(crate) fn end_or_pending(&self) -> TryNextError {
        let cancelled = || {
            if self.ring.batch_state.is_cancelled() {
                TryNextError::Cancelled
            } else {
                TryNextError::Pending
            }
        };
        self.end().unwrap_or_else(cancelled)
    }

    /// Returns the end of the batch, if it is declared and every position is delivered.
    fn end(&self) -> Option<TryNextError> {
        let end = self.ring.end_state.get()?;
        (self.ring.tail() == self.head()).then_some(match end {
            End::Finished => TryNextError::Ended,
            End::Truncated => TryNextError::Truncated,
        })
    }
}

impl<R: RingRef> Drop for Consumer<R> {
    fn drop(&mut self) {
        self.publish_head();
        let ring = &*self.ring;
        let _leave_last = SideGuard { ring, side: Side::Consumer };
        if !ring.batch_state.has_side(Side::Producer) {
            return;
        }
        ring.batch_state.cancel(self.batch_number);
        let tail = ring.tail();
        ring.set_base(tail);
        // SAFETY: this side has the right to take until `_leave_last` is dropped.
        let mut sweep = unsafe { Sweep::new(ring, self.head(), tail) };
        // The producer is woken before values are dropped, since a `Drop` may panic. If the waker
        // panics, the drop of `sweep` drops the values.
        ring.space_request.wake();
        sweep.run();
    }
}

impl<R: RingRef> fmt::Debug for Consumer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer").field("delivered", &self.delivered()).finish_non_exhaustive()
    }
}

/// An iterator that takes ready positions, in order. [`Consumer::drain_ready`] returns it.
///
/// After a `None` it may yield more items, if positions became ready meanwhile.
#[must_use = "iterators are lazy: nothing is taken until `next` is called"]
pub struct DrainReady<'a, R: RingRef> {
    consumer: &'a mut Consumer<R>,
    is_split: bool,
}

impl<'a, R: RingRef> DrainReady<'a, R> {
    /// Returns the iterator for a batch that is not split.
    #[inline]
    pub(crate) fn unsplit(consumer: &'a mut Consumer<R>) -> Self {
        DrainReady { consumer, is_split: false }
    }
}

impl<R: RingRef> Iterator for DrainReady<'_, R> {
    type Item = Delivery<R::Value>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let taken = match self.is_split {
            true => self.consumer.take_value(),
            false => self.consumer.take_value_unsplit(),
        };
        taken.or_else(|| self.consumer.take_outcome())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        // Positions may be reserved and completed while the iterator exists.
        (0, None)
    }
}

impl<R: RingRef> fmt::Debug for DrainReady<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DrainReady").finish_non_exhaustive()
    }
}
