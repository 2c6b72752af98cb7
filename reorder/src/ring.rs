//! The ring: the slots, and the words that the two sides of a batch share.
//!
//! | file | contents |
//! |---|---|
//! | `slot`, `tag` | one slot, and its atomic word |
//! | `slots` | the memory of all slots |
//! | `cursor` | the place of the consumer in that memory |
//! | `complete` | completions, evictions, and tickets from bits |
//! | `batch_state`, `end_state` | the words of the open batch |
//! | `space_request` | the request of a producer that waits for space |
//! | `open`, `close` | the start and the end of a batch |
//! | `identity` | the number by which a ticket finds its ring |
//! | `resume` | a ring that goes on where its predecessor was |
//! | `refusals` | counters for operators |
//! | `ring_ref` | the reference of a handle to its ring |

pub(crate) mod batch_state;
pub(crate) mod close;
pub(crate) mod complete;
pub(crate) mod cursor;
pub(crate) mod end_state;
pub(crate) mod identity;
mod open;
pub(crate) mod refusals;
mod resume;
pub(crate) mod ring_ref;
pub(crate) mod slot;
pub(crate) mod slots;
pub(crate) mod space_request;
pub(crate) mod tag;

use core::fmt;
use core::panic::{RefUnwindSafe, UnwindSafe};

use crossbeam_utils::CachePadded;

use crate::errors::CapacityError;
use crate::primitive::Ordering::{Acquire, Relaxed};
use crate::primitive::{AtomicU64, WakerCell};
use crate::ring::batch_state::BatchState;
use crate::ring::end_state::EndState;
use crate::ring::refusals::Counters;
use crate::ring::slot::Slot;
use crate::ring::slots::{Slots, rounded_capacity};
use crate::ring::space_request::SpaceRequest;
use crate::ring::tag::GENERATIONS;
use crate::ticket::issuer::Issuer;

/// A fixed number of slots for one ordered batch at a time.
///
/// 1. [`open`](Ring::open) opens a [`Batch`](crate::Batch) on the ring.
/// 2. The producer side reserves positions and gets a [`Ticket`](crate::Ticket) for each.
/// 3. Any thread completes the tickets in any order, with [`complete`](Ring::complete).
/// 4. The consumer side takes the values in the order of reservation.
/// 5. When both sides are dropped, the ring can be opened again. It refuses tickets of earlier
///    batches.
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
    /// The first position that is not taken. The consumer side stores it. In a batch that is not
    /// split, it may be lower, until this side loads it.
    pub(crate) head: CachePadded<AtomicU64>,
    /// The first position that is not reserved. The producer side stores it.
    pub(crate) tail: CachePadded<AtomicU64>,
    /// The waker of a consumer that waits for the head of line.
    pub(crate) consumer_waker: CachePadded<WakerCell>,
    /// The request of a producer that waits for space.
    pub(crate) space_request: CachePadded<SpaceRequest>,
    pub(crate) batch_state: BatchState,
    pub(crate) end_state: EndState,
    /// The first position of the open batch, or of the next one.
    base: AtomicU64,
    /// The first position of the ring's life. Bits of lower positions are no tickets.
    pub(crate) first_position: u64,
    pub(crate) slots: Slots<T>,
    /// The issuer of the ring's tickets.
    pub(crate) issuer: Issuer,
    /// The issuer whose tickets need no check: `issuer`, or one without tickets if the ring was
    /// resumed. No two rings of this process trust the same issuer.
    pub(crate) trusted: Issuer,
    pub(crate) refusals: CachePadded<Counters>,
}

// A panic in user code leaves every slot in a valid state: values are moved in and out as a whole.
impl<T> UnwindSafe for Ring<T> {}
impl<T> RefUnwindSafe for Ring<T> {}

impl<T> Ring<T> {
    /// Returns a ring of at least `capacity` slots, rounded up to a power of two.
    ///
    /// The capacity bounds the window: the number of positions that are reserved and not delivered.
    /// A slot takes 8 bytes beside its value, and padding for the alignment of the value.
    ///
    /// The memory comes zeroed from the allocator and is not written. So the operating system can
    /// provide the physical memory of a large ring when it is used first.
    ///
    /// ```
    /// # use reorder_ring::Ring;
    /// assert_eq!(Ring::<u8>::with_capacity(5)?.capacity(), 8);
    /// # Ok::<(), reorder_ring::CapacityError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`CapacityError`] if `capacity` is 0, or the memory is too small.
    ///
    /// # Progress
    ///
    /// As the allocator, which is called once.
    pub fn with_capacity(capacity: usize) -> Result<Ring<T>, CapacityError> {
        Ring::starting_at(capacity, 0)
    }

    /// Returns a ring whose first position is `first`, and otherwise as
    /// [`with_capacity`](Ring::with_capacity).
    ///
    /// Positions end at 2<sup>61</sup> - `capacity`, after 73 years at a billion reservations a
    /// second. With a first position near the end, a program can test how it handles
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
    /// As for [`with_capacity`](Ring::with_capacity), and if `first` is beyond the end of
    /// positions.
    ///
    /// # Progress
    ///
    /// As the allocator. If `first` is not 0, every slot is written, too.
    pub fn starting_at(capacity: usize, first: u64) -> Result<Ring<T>, CapacityError> {
        Ring::for_entry(capacity, first, 0)
    }

    /// Returns a ring as `starting_at` does, for an entry of a pool.
    pub(crate) fn for_entry(
        capacity: usize,
        first: u64,
        entry: u16,
    ) -> Result<Self, CapacityError> {
        let capacity = rounded_capacity::<T>(capacity)?;
        let end = GENERATIONS - capacity as u64;
        if first > end {
            return Err(CapacityError::FirstPosition { requested: first, largest: end });
        }
        let slots = Slots::vacant_from(capacity, first)?;
        let issuer = Issuer::made(identity::new(entry)?);
        Ok(Ring {
            head: CachePadded::new(AtomicU64::new(first)),
            tail: CachePadded::new(AtomicU64::new(first)),
            consumer_waker: CachePadded::new(WakerCell::default()),
            space_request: CachePadded::new(SpaceRequest::none()),
            batch_state: BatchState::closed(),
            end_state: EndState::open(),
            base: AtomicU64::new(first),
            first_position: first,
            slots,
            issuer,
            trusted: issuer,
            refusals: CachePadded::default(),
        })
    }

    /// Returns the number of slots: a power of two.
    ///
    /// # Progress
    ///
    /// Wait-free: no shared access.
    pub fn capacity(&self) -> usize {
        self.slots.len()
    }

    /// Returns the slot of a position, and the position's generation of it.
    #[inline]
    pub(crate) fn slot(&self, position: u64) -> (&Slot<T>, u64) {
        self.slots.slot(position)
    }

    /// Returns the first position that is not taken.
    pub(crate) fn head(&self) -> u64 {
        // ORDERING: reserve:head: Acquire pairs with `take:head`: position `p` is delivered before
        // position `p + capacity` is reserved.
        self.head.load(Acquire)
    }

    /// Returns the first position that is not reserved.
    pub(crate) fn tail(&self) -> u64 {
        // ORDERING: from_bits:tail: Acquire pairs with `reserve:tail`: the slot of a position that
        // is known to be reserved is visible as vacant for it.
        self.tail.load(Acquire)
    }

    /// Returns the first position of the open batch, or of the next one.
    pub(crate) fn base(&self) -> u64 {
        // ORDERING: base:load: Relaxed; the refused claim before it was an Acquire.
        self.base.load(Relaxed)
    }

    /// Makes every ticket below `base` stale.
    pub(crate) fn set_base(&self, base: u64) {
        // ORDERING: base:store: Relaxed; `take:vacate`, `close:revoke` and `batch:close` publish
        // it.
        self.base.store(base, Relaxed);
    }

    /// Returns the end of this ring's positions: no position from it on is reserved.
    pub(crate) fn end_of_positions(&self) -> u64 {
        GENERATIONS - self.capacity() as u64
    }
}

impl<T> Drop for Ring<T> {
    fn drop(&mut self) {
        // A forgotten handle leaves the ring busy, and a completer may have left an orphan.
        // Otherwise every slot is vacant, and the memory is not read.
        if self.batch_state.is_busy() || self.batch_state.is_orphaned() {
            // SAFETY: the slots are not used after the drop of the ring.
            unsafe { self.slots.drop_values() };
        }
    }
}

impl<T> fmt::Debug for Ring<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring")
            .field("id", &self.id())
            .field("capacity", &self.capacity())
            .field("head", &self.head())
            .field("tail", &self.tail())
            .finish_non_exhaustive()
    }
}
