//! The shared ring: its storage, its counters, and what anyone may do with a ticket.

use core::fmt;
use core::num::NonZeroU64;
use core::panic::{RefUnwindSafe, UnwindSafe};

use alloc::sync::Arc;
use crossbeam_utils::CachePadded;

use crate::batch::Batch;
use crate::close::Closing;
use crate::end::EndWord;
use crate::errors::{Busy, CapacityError};
use crate::identity;
use crate::lease::{LeaseWord, Opened};
use crate::primitive::Ordering::{Acquire, Relaxed};
use crate::primitive::{AtomicU64, WakerCell};
use crate::refusals::Counters;
use crate::ring_ref::RingRef;
use crate::slot::Slot;
use crate::storage::{Slots, rounded_capacity};
use crate::tag::GENERATIONS;

/// A fixed number of slots that host one ordered batch at a time.
///
/// [`open`](Ring::open) leases the ring to a [`Batch`]; its producer side reserves positions and
/// hands out [`Ticket`](crate::Ticket)s, any thread [`complete`](Ring::complete)s them in any order,
/// and the consumer side gets the results in the order of reservation. When both sides are gone, the
/// ring can be opened again; tickets of earlier batches are refused then.
///
/// ```
/// use reorder_ring::Ring;
///
/// let ring = Ring::with_capacity(4)?;
/// let mut batch = ring.open()?;
/// let (first, second) = (batch.reserve()?, batch.reserve()?);
///
/// ring.complete(second, "second")?;
/// assert!(batch.try_next().is_err(), "the first is still missing");
/// ring.complete(first, "first")?;
///
/// let in_order: Vec<_> = batch.drain_ready().map(|d| d.outcome).collect();
/// assert_eq!(in_order, [Ok("first"), Ok("second")]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Ring<T> {
    /// The first position that was not taken. Stored by the consumer side.
    pub(crate) head: CachePadded<AtomicU64>,
    /// The first position that is not reserved. Stored by the producer side.
    pub(crate) tail: CachePadded<AtomicU64>,
    /// Where the consumer waits for its head.
    pub(crate) waiter: CachePadded<WakerCell>,
    /// Where the producer waits for room.
    pub(crate) room: CachePadded<WakerCell>,
    pub(crate) lease: LeaseWord,
    pub(crate) ended: EndWord,
    /// The first position of the open batch, or of the next one.
    base: AtomicU64,
    /// The first position of its life.
    pub(crate) first: u64,
    pub(crate) slots: Slots<T>,
    pub(crate) id: NonZeroU64,
    pub(crate) refusals: CachePadded<Counters>,
}

// A panic in user code leaves no slot half changed: values move in and out whole.
impl<T> UnwindSafe for Ring<T> {}
impl<T> RefUnwindSafe for Ring<T> {}

impl<T> Ring<T> {
    /// A ring of at least `capacity` slots, rounded up to a power of two.
    ///
    /// The capacity bounds the window: how many positions can be reserved and not yet delivered.
    /// A slot takes 8 bytes beside its value, and what alignment asks for. The memory comes zeroed
    /// from the allocator and is not touched, so that a large ring can cost physical memory only
    /// as it is used.
    ///
    /// ```
    /// # use reorder_ring::Ring;
    /// assert_eq!(Ring::<u8>::with_capacity(5)?.capacity(), 8);
    /// # Ok::<(), reorder_ring::CapacityError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`CapacityError`] if `capacity` is 0, or memory is too small for it.
    ///
    /// # Progress
    ///
    /// That of the allocator, which is asked once.
    pub fn with_capacity(capacity: usize) -> Result<Ring<T>, CapacityError> {
        Ring::starting_at(capacity, 0)
    }

    /// As [`with_capacity`](Ring::with_capacity), with `first` as the first position.
    ///
    /// Positions end at 2<sup>61</sup> - `capacity`, after 73 years at a billion a second. Starting
    /// near the end makes it possible to test how a program handles
    /// [`Exhausted`](crate::ReserveError::Exhausted).
    ///
    /// ```
    /// # use reorder_ring::{ReserveError, Ring};
    /// let ring = Ring::<u8>::starting_at(1, (1 << 61) - 2)?;
    /// let mut batch = ring.open()?;
    /// batch.reserve()?;
    /// batch.evict_head()?;
    /// _ = batch.try_next()?;
    /// assert_eq!(batch.reserve(), Err(ReserveError::Exhausted));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`with_capacity`](Ring::with_capacity), and if `first` lies beyond the end of positions.
    ///
    /// # Progress
    ///
    /// A step per slot, if `first` is not 0, and the allocator's.
    pub fn starting_at(capacity: usize, first: u64) -> Result<Ring<T>, CapacityError> {
        Ring::named(capacity, first, 0)
    }

    /// As `starting_at`, with the place that its pool has for it.
    pub(crate) fn named(capacity: usize, first: u64, place: u16) -> Result<Self, CapacityError> {
        let capacity = rounded_capacity::<T>(capacity)?;
        let end = GENERATIONS - capacity as u64;
        if first > end {
            return Err(CapacityError::FirstPosition { requested: first, largest: end });
        }
        Ok(Ring {
            head: CachePadded::new(AtomicU64::new(first)),
            tail: CachePadded::new(AtomicU64::new(first)),
            waiter: CachePadded::new(WakerCell::default()),
            room: CachePadded::new(WakerCell::default()),
            lease: LeaseWord::free(),
            ended: EndWord::open(),
            base: AtomicU64::new(first),
            first,
            slots: Slots::armed(capacity, first)?,
            id: identity::fresh(place)?,
            refusals: CachePadded::default(),
        })
    }

    /// How many slots the ring has: a power of two.
    ///
    /// # Progress
    ///
    /// Wait-free: it is fixed.
    pub fn capacity(&self) -> usize {
        self.slots.len()
    }

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

    /// The slot of a position, and the generation in which it is that position's.
    #[inline]
    pub(crate) fn slot(&self, position: u64) -> (&Slot<T>, u64) {
        self.slots.of(position)
    }

    pub(crate) fn head(&self) -> u64 {
        // ORDERING: reserve:head: Acquire pairs with `take:head`: the delivery of a position comes
        // before the reservation one lap later.
        self.head.load(Acquire)
    }

    pub(crate) fn tail(&self) -> u64 {
        // ORDERING: from_bits:tail: Acquire pairs with `reserve:tail`, so that a slot is seen armed
        // once its position is known to be reserved.
        self.tail.load(Acquire)
    }

    pub(crate) fn base(&self) -> u64 {
        // ORDERING: base:load: Relaxed; the refused claim before it was an Acquire.
        self.base.load(Relaxed)
    }

    /// Makes every ticket below `base` stale.
    pub(crate) fn set_base(&self, base: u64) {
        // ORDERING: base:store: Relaxed; published by the hand-on of each slot, and by the lease.
        self.base.store(base, Relaxed);
    }

    /// Ends the batch that a forgotten handle left open, if there is one, and polls the orphans, if
    /// there are any. `false` if an orphan is left.
    ///
    /// # Safety
    ///
    /// There is no handle left that could be used, and nobody can open the ring meanwhile.
    #[cfg(feature = "pool")]
    pub(crate) unsafe fn tidy(&self) -> bool {
        if self.lease.is_held() {
            // SAFETY: the caller vouches for sides that can do nothing any more.
            unsafe { Closing::batch(self) }.run();
        }
        if self.lease.is_orphaned() {
            // SAFETY: the caller has what the lease would give.
            unsafe { Closing::orphans(self) }.run();
        }
        !self.lease.is_orphaned()
    }

    /// The end of this ring's positions: none is reserved from here on.
    pub(crate) fn end(&self) -> u64 {
        GENERATIONS - self.capacity() as u64
    }
}

pub(crate) fn open<R: RingRef>(ring: R) -> Result<Batch<R>, Busy> {
    // The first round polls the orphans of an earlier batch, if there are any; the second finds the
    // ring clean, or gives up.
    for _ in 0..2 {
        match ring.lease.try_open()? {
            Opened::Batch(epoch) => return Ok(Batch::new(ring, epoch)),
            // SAFETY: the lease was just taken, for a ring that was closed with orphans.
            Opened::Orphans => unsafe { Closing::orphans(&*ring) }.run(),
        }
    }
    Err(Busy::Orphaned)
}

impl<T> Drop for Ring<T> {
    fn drop(&mut self) {
        // A forgotten handle leaves the lease taken, and a completer in mid-write left an orphan.
        // Otherwise every slot is vacant, and the memory of a large ring need not be touched.
        if self.lease.is_held() || self.lease.is_orphaned() {
            // SAFETY: the ring goes, and its slots with it.
            unsafe { self.slots.drop_values() };
        }
    }
}

impl<T> fmt::Debug for Ring<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring")
            .field("capacity", &self.capacity())
            .field("head", &self.head())
            .field("tail", &self.tail())
            .finish_non_exhaustive()
    }
}
