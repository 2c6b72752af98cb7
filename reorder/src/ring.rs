//! The shared ring: its storage, its counters, and what anyone may do with a ticket.

use core::fmt;
use core::panic::{RefUnwindSafe, UnwindSafe};

use alloc::boxed::Box;
use alloc::sync::Arc;
use crossbeam_utils::CachePadded;

use crate::batch::Batch;
use crate::close::Closing;
use crate::delivery::Gap;
use crate::errors::{Busy, CapacityError, Reason, Rejected, TicketError};
use crate::identity;
use crate::lease::{Lease, Opened};
use crate::primitive::Ordering::{Acquire, Relaxed};
use crate::primitive::{AtomicU64, WakerCell};
use crate::refusals::{Counters, Refusals};
use crate::ring_ref::RingRef;
use crate::slot::Slot;
use crate::storage::{armed_slots, largest_capacity};
use crate::tag::{GENERATIONS, State, Tag};
use crate::tail::Tail;
use crate::ticket::Ticket;

/// A fixed number of slots that host one ordered batch at a time.
///
/// [`open`](Ring::open) leases the ring to a [`Batch`]; its producer side reserves positions and
/// hands out [`Ticket`]s, any thread [`complete`](Ring::complete)s them in any order, and the
/// consumer side gets the results in the order of reservation. When both sides are gone, the ring
/// can be opened again; tickets of earlier batches are refused then.
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
    /// The first position that is not reserved, and how the batch ended. Stored by the producer
    /// side.
    pub(crate) tail: CachePadded<AtomicU64>,
    /// Where the consumer waits for its head.
    pub(crate) waiter: CachePadded<WakerCell>,
    /// Where the producer waits for room.
    pub(crate) room: CachePadded<WakerCell>,
    pub(crate) lease: Lease,
    /// The first position of the open batch, or of the next one.
    base: AtomicU64,
    /// The first position of its life.
    first: u64,
    slots: Box<[Slot<T>]>,
    mask: u64,
    shift: u32,
    pub(crate) id: u64,
    refusals: CachePadded<Counters>,
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
        if capacity == 0 {
            return Err(CapacityError::Zero);
        }
        let largest = largest_capacity::<T>();
        if capacity > largest {
            return Err(CapacityError::TooLarge { requested: capacity, largest });
        }
        let capacity = capacity.next_power_of_two();
        let end = GENERATIONS - capacity as u64;
        if first > end {
            return Err(CapacityError::FirstPosition { requested: first, largest: end });
        }
        Ok(Ring {
            head: CachePadded::new(AtomicU64::new(first)),
            tail: CachePadded::new(AtomicU64::new(first)),
            waiter: CachePadded::new(WakerCell::default()),
            room: CachePadded::new(WakerCell::default()),
            lease: Lease::free(),
            base: AtomicU64::new(first),
            first,
            slots: armed_slots(capacity, first)?,
            mask: capacity as u64 - 1,
            shift: capacity.trailing_zeros(),
            id: identity::fresh(),
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
    /// Wait-free: a constant number of steps, and one per slot if an earlier batch left orphans.
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

    /// Puts the result of a ticket's position into its slot. The type has an example.
    ///
    /// # Errors
    ///
    /// [`Rejected`] with the value and the [`Reason`], if the position cannot take a result (any
    /// more); nothing was changed then.
    ///
    /// # Panics
    ///
    /// If the waker of a waiting consumer panics; the position is settled then.
    ///
    /// # Progress
    ///
    /// Wait-free: at most two compare-and-swaps, and a store or, if it is refused, a load, whatever
    /// other threads do. Waking a waiting consumer comes on top, and calls its waker.
    #[inline]
    pub fn complete(&self, ticket: Ticket, value: T) -> Result<(), Rejected<T>> {
        if ticket.ring != self.id {
            return Err(Rejected { reason: self.refuse(Reason::Foreign), value });
        }
        let (slot, generation) = self.slot(ticket.position);
        match slot.complete(generation, value, &self.waiter) {
            Ok(()) => Ok(()),
            Err((seen, value)) => {
                Err(Rejected { reason: self.refused(ticket.position, seen), value })
            }
        }
    }

    /// Gives a ticket's position up: it is delivered as [`Gap::Evicted`], and a completion that
    /// comes later is refused.
    ///
    /// ```
    /// # use reorder_ring::{Gap, Reason, Ring};
    /// # let ring = Ring::with_capacity(1)?;
    /// # let mut batch = ring.open()?;
    /// let ticket = batch.reserve()?;
    /// ring.evict(ticket)?;
    /// assert_eq!(ring.complete(ticket, 'a').unwrap_err().reason, Reason::Evicted);
    /// assert_eq!(batch.try_next()?.outcome, Err(Gap::Evicted));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The [`Reason`] if there is nothing to give up (any more). A position in mid-write or
    /// completed is [`Reason::Duplicate`]: it cannot be evicted.
    ///
    /// # Panics
    ///
    /// As [`complete`](Ring::complete).
    ///
    /// # Progress
    ///
    /// As [`complete`](Ring::complete).
    pub fn evict(&self, ticket: Ticket) -> Result<(), Reason> {
        self.give_up(ticket, Gap::Evicted).map_err(|reason| self.refuse(reason))
    }

    pub(crate) fn give_up(&self, ticket: Ticket, gap: Gap) -> Result<(), Reason> {
        if ticket.ring != self.id {
            return Err(Reason::Foreign);
        }
        let (slot, generation) = self.slot(ticket.position);
        slot.give_up(generation, gap, &self.waiter)
            .map_err(|seen| self.reason(ticket.position, seen))
    }

    /// How many completions and evictions this ring has refused, by reason, over all its batches.
    ///
    /// ```
    /// # let ring = reorder_ring::Ring::with_capacity(1)?;
    /// # let mut batch = ring.open()?;
    /// let ticket = batch.reserve()?;
    /// ring.complete(ticket, 'a')?;
    /// assert!(ring.complete(ticket, 'b').is_err());
    /// assert!(ring.evict(ticket).is_err());
    /// assert_eq!(ring.refusals().duplicate, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Progress
    ///
    /// Wait-free: seven loads. They are not taken at one instant.
    pub fn refusals(&self) -> Refusals {
        self.refusals.read()
    }

    #[cold]
    #[inline(never)]
    fn refused(&self, position: u64, seen: Tag) -> Reason {
        self.refuse(self.reason(position, seen))
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn refuse(&self, reason: Reason) -> Reason {
        self.refusals.count(reason);
        reason
    }

    /// The ticket that [`Ticket::to_bits`] turned into bits.
    ///
    /// ```
    /// # use reorder_ring::{Ring, TicketError};
    /// # let ring = Ring::<u8>::with_capacity(1)?;
    /// let ticket = ring.open()?.reserve()?;
    /// let bits = ticket.to_bits();
    /// assert_eq!(ring.ticket_from_bits(bits)?, ticket, "though it is stale by now");
    /// let forged = ring.ticket_from_bits(bits + 1);
    /// assert!(matches!(forged, Err(TicketError::Unreserved { position: 1, .. })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`TicketError`] if the bits do not name this ring, or a position that was never reserved.
    ///
    /// # Progress
    ///
    /// Wait-free: one load.
    pub fn ticket_from_bits(&self, bits: u128) -> Result<Ticket, TicketError> {
        let ticket = Ticket { ring: (bits >> 64) as u64, position: bits as u64 };
        if ticket.ring != self.id {
            return Err(TicketError::Foreign);
        }
        let (first, tail) = (self.first, self.tail().position());
        if !(first..tail).contains(&ticket.position) {
            return Err(TicketError::Unreserved { position: ticket.position, first, tail });
        }
        Ok(ticket)
    }

    /// Why a slot with this tag refused this position.
    fn reason(&self, position: u64, seen: Tag) -> Reason {
        let generation = position >> self.shift;
        if seen.generation() < generation {
            return Reason::Unreserved;
        }
        if seen.generation() > generation {
            return if position < self.base() { Reason::Stale } else { Reason::Settled };
        }
        match seen.state() {
            State::Evicted => Reason::Evicted,
            State::Abandoned => Reason::Abandoned,
            State::Vacant | State::Waited | State::Writing | State::Ready => Reason::Duplicate,
        }
    }

    /// The slot of a position, and the generation in which it is that position's.
    #[inline]
    pub(crate) fn slot(&self, position: u64) -> (&Slot<T>, u64) {
        let index = (position & self.mask) as usize;
        debug_assert!(index < self.slots.len());
        // SAFETY: `mask` is one less than the number of slots, and masking by it cannot exceed it.
        // (The compiler does not see that, and a bounds check is a call in every operation.)
        (unsafe { self.slots.get_unchecked(index) }, position >> self.shift)
    }

    pub(crate) fn head(&self) -> u64 {
        // ORDERING: reserve:head: Acquire pairs with `take:head`: the delivery of a position comes
        // before the reservation one lap later.
        self.head.load(Acquire)
    }

    pub(crate) fn tail(&self) -> Tail {
        // ORDERING: from_bits:tail: Acquire pairs with `reserve:tail` and `finish:tail`, so that a
        // slot is seen armed once its position is known to be reserved.
        Tail::from_word(self.tail.load(Acquire))
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

    /// The end of this ring's positions: none is reserved from here on.
    pub(crate) fn end(&self) -> u64 {
        GENERATIONS - self.capacity() as u64
    }
}

fn open<R: RingRef>(ring: R) -> Result<Batch<R>, Busy> {
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

impl<T> fmt::Debug for Ring<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring")
            .field("capacity", &self.capacity())
            .field("head", &self.head())
            .field("tail", &self.tail().position())
            .finish_non_exhaustive()
    }
}
