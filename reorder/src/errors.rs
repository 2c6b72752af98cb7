//! All errors. An error that refuses a value returns it.

use core::fmt;

macro_rules! messages {
    ($type:ty: $($pattern:pat => $($message:expr),+;)+) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self { $($pattern => write!(f, $($message),+),)+ }
            }
        }
        impl core::error::Error for $type {}
    };
}

/// The reason why a ring could not be made.
///
/// ```
/// use reorder_ring::{CapacityError, Ring};
///
/// assert_eq!(Ring::<u8>::with_capacity(0).unwrap_err(), CapacityError::Zero);
/// let error = Ring::<u8>::with_capacity(usize::MAX).unwrap_err();
/// assert!(matches!(error, CapacityError::TooLarge { requested: usize::MAX, .. }));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CapacityError {
    /// The capacity is 0. The smallest is 1.
    Zero,
    /// The slots would not fit into the address space.
    TooLarge {
        /// The requested capacity, in slots.
        requested: usize,
        /// The largest capacity for this type, in slots.
        largest: usize,
    },
    /// The allocator refused the memory of the slots. Request a smaller capacity.
    OutOfMemory {
        /// The capacity that was requested, rounded up to a power of two.
        capacity: usize,
        /// The size of these slots, in bytes.
        bytes: usize,
    },
    /// The first position is beyond the end of positions.
    FirstPosition {
        /// The requested position.
        requested: u64,
        /// The largest possible first position of a ring of that capacity.
        largest: u64,
    },
    /// This process has made 2<sup>47</sup> rings, and has no identity for another one.
    NoIdentity,
    /// The pool has its largest number of rings.
    TooManyRings {
        /// The largest number of rings.
        largest: usize,
    },
}

messages! { CapacityError:
    CapacityError::Zero => "a ring needs a capacity of at least 1 slot, not 0";
    CapacityError::TooLarge { requested, largest } =>
        "a capacity of {requested} slots does not fit into memory: at most {largest}";
    CapacityError::OutOfMemory { capacity, bytes } =>
        "the allocator refused {bytes} bytes for a capacity of {capacity} slots: request fewer";
    CapacityError::FirstPosition { requested, largest } =>
        "the first position {requested} is beyond the end of positions: at most {largest}";
    CapacityError::NoIdentity => "this process has made 2^47 rings and cannot make more";
    CapacityError::TooManyRings { largest } => "the pool has {largest} rings and cannot have more";
}

/// The reason why a ring could not be opened now.
///
/// ```
/// use reorder_ring::{Busy, Ring};
///
/// let ring = Ring::<u8>::with_capacity(1)?;
/// let (producer, consumer) = ring.open()?.split();
/// drop(producer);
/// assert_eq!(ring.open().unwrap_err(), Busy::Leased, "the consumer has not left");
/// drop(consumer);
/// assert!(ring.open().is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Busy {
    /// A batch is open on the ring, a side of it was forgotten, or another thread opens or closes
    /// the ring at this moment.
    Leased,
    /// A completer of an earlier batch is still writing. Try again, or use another ring.
    Orphaned,
}

messages! { Busy:
    Busy::Leased => "a batch is open on this ring";
    Busy::Orphaned => "a completer of an earlier batch is still writing into this ring";
}

/// The reason why no position was reserved.
///
/// ```
/// use reorder_ring::{ReserveError, Ring};
///
/// let ring = Ring::with_capacity(1)?;
/// let mut batch = ring.open()?;
/// let ticket = batch.reserve()?;
/// assert_eq!(batch.reserve(), Err(ReserveError::Full));
/// ring.complete(ticket, 'a')?;
/// batch.try_next()?;
/// assert!(batch.reserve().is_ok(), "the delivery made space");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReserveError {
    /// The window is full: the positions do not fit until the consumer takes.
    Full,
    /// More positions were requested at once than the ring has slots. They never fit.
    ///
    /// This variant has no fields, so that the result of a reservation fits into two registers.
    TooMany,
    /// The batch was cancelled, or its consumer was dropped.
    Cancelled,
    /// The ring has fewer positions left than were requested. Make a new ring.
    Exhausted,
}

messages! { ReserveError:
    ReserveError::TooMany => "more positions were requested than the ring has slots";
    ReserveError::Full => "the window is full until the consumer takes";
    ReserveError::Cancelled => "the batch was cancelled";
    ReserveError::Exhausted => "the ring has too few positions left";
}

/// The reason why an index could not be reserved.
///
/// ```
/// use reorder_ring::{ReserveThroughError, Ring};
///
/// let ring = Ring::<u8>::with_capacity(4)?;
/// let mut batch = ring.open()?;
/// let refused = batch.reserve_through(9).unwrap_err();
/// assert_eq!(refused, ReserveThroughError::Full { index: 9, end: 4 });
/// assert_eq!(refused.to_string(), "index 9 does not fit: the window ends before index 4");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReserveThroughError {
    /// The window ends before the index. The window moves on when the consumer takes.
    Full {
        /// The given index.
        index: u64,
        /// The first index that does not fit now. Lower indices fit.
        end: u64,
    },
    /// The batch was cancelled, or its consumer was dropped.
    Cancelled,
    /// The ring has no position for the index. Make a new ring.
    Exhausted {
        /// The given index.
        index: u64,
        /// The first index for which the ring has no position.
        end: u64,
    },
}

messages! { ReserveThroughError:
    ReserveThroughError::Full { index, end } =>
        "index {index} does not fit: the window ends before index {end}";
    ReserveThroughError::Cancelled => "the batch was cancelled";
    ReserveThroughError::Exhausted { index, end } =>
        "index {index} has no position: the ring ends before index {end} of this batch";
}

/// The reason why there will never be space.
///
/// ```
/// use reorder_ring::{Ring, SpaceError};
/// # use std::task::{Context, Poll, Waker};
///
/// let ring = Ring::<u8>::with_capacity(1)?;
/// let (mut producer, consumer) = ring.open()?.split();
/// drop(consumer);
/// let answer = producer.poll_space(&mut Context::from_waker(Waker::noop()));
/// assert_eq!(answer, Poll::Ready(Err(SpaceError::Cancelled)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpaceError {
    /// More positions were requested at once than the ring has slots. They never fit.
    TooMany {
        /// The requested number of positions.
        requested: usize,
        /// The capacity of the ring, in slots.
        capacity: usize,
    },
    /// The batch was cancelled, or its consumer was dropped.
    Cancelled,
    /// The ring has fewer positions left than were requested. Make a new ring.
    Exhausted,
}

messages! { SpaceError:
    SpaceError::TooMany { requested, capacity } =>
        "{requested} positions never fit into a ring of {capacity} slots";
    SpaceError::Cancelled => "the batch was cancelled";
    SpaceError::Exhausted => "the ring has too few positions left";
}

/// The reason why a wait ended without space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpaceTimeoutError {
    /// The deadline passed before the request fitted.
    Timeout,
    /// More positions were requested at once than the ring has slots. They never fit.
    TooMany {
        /// The requested number of positions.
        requested: usize,
        /// The capacity of the ring, in slots.
        capacity: usize,
    },
    /// The batch was cancelled, or its consumer was dropped.
    Cancelled,
    /// The ring has fewer positions left than were requested. Make a new ring.
    Exhausted,
}

messages! { SpaceTimeoutError:
    SpaceTimeoutError::Timeout => "the window was still too full at the deadline";
    SpaceTimeoutError::TooMany { requested, capacity } =>
        "{requested} positions never fit into a ring of {capacity} slots";
    SpaceTimeoutError::Cancelled => "the batch was cancelled";
    SpaceTimeoutError::Exhausted => "the ring has too few positions left";
}

/// The reason why a completion or an eviction was refused.
///
/// The reason was true at some instant during the call.
///
/// ```
/// use reorder_ring::{Reason, Ring};
///
/// let (ring, other) = (Ring::with_capacity(1)?, Ring::with_capacity(1)?);
/// let mut batch = ring.open()?;
/// let ticket = batch.reserve()?;
/// assert_eq!(other.complete(ticket, 'a').unwrap_err().reason, Reason::Foreign);
///
/// ring.evict(ticket)?;
/// assert_eq!(ring.complete(ticket, 'a').unwrap_err().reason, Reason::Evicted);
/// _ = batch.try_next()?;
/// assert_eq!(ring.complete(ticket, 'a').unwrap_err().reason, Reason::Settled);
/// drop(batch);
/// assert_eq!(ring.complete(ticket, 'a').unwrap_err().reason, Reason::Stale);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The ticket belongs to another ring.
    Foreign,
    /// The batch of the ticket is closed.
    Stale,
    /// The position is completed, or a completer is writing, and it is not delivered yet.
    Duplicate,
    /// The position was evicted; its gap is not delivered yet.
    Evicted,
    /// The permit of the position was dropped; its gap is not delivered yet.
    Abandoned,
    /// The position was delivered, as a value or as a gap.
    Settled,
    /// The position is not reserved, or this thread cannot know it yet: the ticket was sent in a
    /// way that does not synchronise, such as a relaxed store.
    Unreserved,
}

messages! { Reason:
    Reason::Foreign => "the ticket belongs to another ring";
    Reason::Stale => "the batch of the ticket is closed";
    Reason::Duplicate => "the position is completed already";
    Reason::Evicted => "the position was evicted";
    Reason::Abandoned => "the permit of the position was dropped";
    Reason::Settled => "the position was delivered already";
    Reason::Unreserved => "the position is not reserved, as far as this thread can know";
}

/// The refusal to evict an index: the reason, and the indices that can be evicted.
///
/// ```
/// # use reorder_ring::{EvictIndexError, Reason, Ring};
/// # let ring = Ring::<u8>::with_capacity(4)?;
/// # let (mut producer, mut consumer) = ring.open()?.split();
/// # let tickets = producer.reserve_many(2)?;
/// let refused = consumer.evict_index(7).unwrap_err();
/// assert_eq!((refused.reason, refused.index), (Reason::Unreserved, 7));
/// assert_eq!((refused.delivered, refused.reserved), (0, 2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EvictIndexError {
    /// The reason of the refusal.
    pub reason: Reason,
    /// The given index.
    pub index: u64,
    /// The first index that is not delivered yet. Lower indices cannot be evicted.
    pub delivered: u64,
    /// The first index that is not reserved yet, as far as this thread can know. This index and
    /// higher indices cannot be evicted.
    pub reserved: u64,
}

impl fmt::Display for EvictIndexError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let EvictIndexError { reason, index, delivered, reserved } = self;
        write!(f, "index {index} is not evicted: {reason}; ")?;
        if delivered < reserved {
            write!(f, "the window has the indices from {delivered} to below {reserved}")
        } else {
            write!(f, "the window is empty at index {delivered}")
        }
    }
}

impl core::error::Error for EvictIndexError {}

/// A refused completion: the reason, and the value.
///
/// ```
/// # use reorder_ring::Ring;
/// # let ring = Ring::with_capacity(1)?;
/// # let ticket = ring.open()?.reserve()?;
/// let refused = ring.complete(ticket, String::from("late")).unwrap_err();
/// assert_eq!(refused.to_string(), "refused: the batch of the ticket is closed");
/// assert_eq!(refused.into_inner(), "late");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Rejected<T> {
    /// The reason of the refusal.
    pub reason: Reason,
    /// The value, unchanged.
    pub value: T,
}

impl<T> Rejected<T> {
    /// Returns the value that was refused.
    ///
    /// # Progress
    ///
    /// Wait-free: it moves the value.
    pub fn into_inner(self) -> T {
        self.value
    }
}

impl<T> fmt::Debug for Rejected<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rejected").field("reason", &self.reason).finish_non_exhaustive()
    }
}

impl<T> fmt::Display for Rejected<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "refused: {}", self.reason)
    }
}

impl<T> core::error::Error for Rejected<T> {}

/// The reason why bits are not a ticket of this ring.
///
/// [`Ring::ticket_from_bits`](crate::Ring::ticket_from_bits) has an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TicketError {
    /// The bits do not contain the identity of this ring.
    Foreign {
        /// The identity in the bits.
        given: u64,
        /// The identity of this ring.
        own: u64,
    },
    /// The bits do not contain the identity of a ring of this pool, or the ring was freed.
    NotInPool {
        /// The identity in the bits.
        given: u64,
    },
    /// The bits contain a position that is not reserved, as far as this thread can know.
    Unreserved {
        /// The position in the bits.
        position: u64,
        /// The first position of the ring's life. It is 0, unless
        /// [`starting_at`](crate::Ring::starting_at) made the ring. It is 0 for a ring that was
        /// [resumed](crate::Ring::resume), whose predecessors had the lower positions.
        first: u64,
        /// The first position that is not reserved yet.
        tail: u64,
    },
}

messages! { TicketError:
    TicketError::Foreign { given, own } =>
        "the bits belong to ring {given:016x}, and not to this ring, {own:016x}";
    TicketError::NotInPool { given } =>
        "the bits belong to ring {given:016x}, which is not, or no longer, in this pool";
    TicketError::Unreserved { position, first, tail } =>
        "position {position} is not reserved, as far as this thread can know; the positions from \
         {first} to below {tail} are";
}

/// The reason why [`try_next`](crate::Consumer::try_next) had nothing to deliver.
///
/// ```
/// use reorder_ring::{Ring, TryNextError};
///
/// let ring = Ring::with_capacity(1)?;
/// let (mut producer, mut consumer) = ring.open()?.split();
/// let ticket = producer.reserve()?;
/// producer.finish();
/// assert_eq!(consumer.try_next(), Err(TryNextError::Pending));
/// ring.complete(ticket, 'a')?;
/// assert!(consumer.try_next().is_ok());
/// assert_eq!(consumer.try_next(), Err(TryNextError::Ended));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TryNextError {
    /// The head of line is not completed yet, or not reserved.
    Pending,
    /// The batch is finished, and every position was delivered.
    Ended,
    /// The producer was dropped without `finish`, and every reserved position was delivered.
    Truncated,
    /// The batch was cancelled, and the head of line is not ready. It is still delivered if it is
    /// completed later.
    Cancelled,
}

messages! { TryNextError:
    TryNextError::Pending => "the head of line is not completed yet";
    TryNextError::Ended => "the batch is finished and delivered";
    TryNextError::Truncated => "the producer was dropped before it finished the batch";
    TryNextError::Cancelled => "the batch was cancelled";
}

/// The reason why a wait ended without a delivery or a normal end.
///
/// ```
/// # #[cfg(feature = "std")] {
/// # use reorder_ring::{NextError, Ring};
/// # let ring = Ring::<u8>::with_capacity(1)?;
/// let (producer, mut consumer) = ring.open()?.split();
/// // A producer that panics ends its batch in the same way.
/// drop(producer);
/// assert_eq!(consumer.next(), Err(NextError::Truncated));
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NextError {
    /// The producer was dropped without `finish`, and every reserved position was delivered.
    Truncated,
    /// The batch was cancelled, and the head of line is not ready. It is still delivered if it is
    /// completed later.
    Cancelled,
}

messages! { NextError:
    NextError::Truncated => "the producer was dropped before it finished the batch";
    NextError::Cancelled => "the batch was cancelled";
}

/// The reason why a wait with a deadline ended without a delivery or a normal end.
///
/// [`Consumer::next_timeout`](crate::Consumer) has an example, with the feature `std`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NextTimeoutError {
    /// The deadline passed before the head of line was ready. The batch can be used as before.
    Timeout,
    /// The producer was dropped without `finish`, and every reserved position was delivered.
    Truncated,
    /// The batch was cancelled, and the head of line is not ready. It is still delivered if it is
    /// completed later.
    Cancelled,
}

messages! { NextTimeoutError:
    NextTimeoutError::Timeout => "the head of line was still missing at the deadline";
    NextTimeoutError::Truncated => "the producer was dropped before it finished the batch";
    NextTimeoutError::Cancelled => "the batch was cancelled";
}
