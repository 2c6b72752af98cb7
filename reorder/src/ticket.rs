//! The ticket: the right to complete one position, as plain data.

pub(crate) mod bits;
mod hex;
pub(crate) mod issuer;
pub(crate) mod ring_id;
#[cfg(feature = "serde")]
mod serde;

use core::fmt;
use core::hash::{Hash, Hasher};
use core::iter::FusedIterator;

use crate::ticket::issuer::Issuer;

/// Names one reserved position of one ring: the right to complete it.
///
/// A ticket is plain `Copy` data. It may be sent anywhere, duplicated, or kept after the end of its
/// batch. A ring accepts one completion of each position, while its batch is open, and refuses all
/// others.
///
/// [`Producer::reserve`](crate::Producer::reserve) returns tickets.
/// [`Ring::ticket_from_bits`](crate::Ring::ticket_from_bits), and the same method of a pool, makes
/// a ticket from bits and checks it. There is no other way to make one.
///
/// Tickets are equal if they have the same ring's identity and the same position. A ring that was
/// [resumed](crate::Ring::resume) has the identity of its predecessor.
///
/// A ticket that is lost leaves its position missing until it is evicted. Use a
/// [`Permit`](crate::Permit) where a worker may panic.
///
/// ```
/// use reorder_ring::{Reason, Ring};
///
/// let ring = Ring::with_capacity(2)?;
/// let mut batch = ring.open()?;
/// let ticket = batch.reserve()?;
/// let copy = ticket;
/// ring.complete(ticket, "once")?;
/// assert_eq!(ring.complete(copy, "twice").unwrap_err().reason, Reason::Duplicate);
///
/// drop(batch);
/// let _next = ring.open()?;
/// assert_eq!(ring.complete(copy, "late").unwrap_err().reason, Reason::Stale);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a ticket that is lost stalls its batch"]
#[derive(Clone, Copy)]
pub struct Ticket {
    pub(crate) ring: Issuer,
    pub(crate) position: u64,
}

impl Ticket {
    /// Returns the position: the number of this reservation in the ring's life, below
    /// 2<sup>61</sup>.
    ///
    /// ```
    /// # let ring = reorder_ring::Ring::<u8>::with_capacity(2)?;
    /// let first = ring.open()?.reserve()?;
    /// let second = ring.open()?.reserve()?;
    /// assert_eq!((first.position(), second.position()), (0, 1), "two batches of one ring");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Progress
    ///
    /// Wait-free: a ticket is plain data.
    pub fn position(self) -> u64 {
        self.position
    }

    /// Returns the ticket as 128 bits: the ring's identity in the high half, the position in the
    /// low.
    ///
    /// [`Ring::ticket_from_bits`](crate::Ring::ticket_from_bits) makes a ticket from the bits.
    /// [`TicketBits`](crate::TicketBits) is their form as text and with `serde`.
    ///
    /// ```
    /// # let ring = reorder_ring::Ring::<u8>::with_capacity(2)?;
    /// # let mut batch = ring.open()?;
    /// let ticket = batch.reserve()?;
    /// let bits = ticket.to_bits();
    /// assert_eq!(bits as u64, ticket.position());
    /// assert_eq!(ring.ticket_from_bits(bits), Ok(ticket));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Progress
    ///
    /// Wait-free: a ticket is plain data.
    pub fn to_bits(self) -> u128 {
        u128::from(u64::from(self.ring.id())) << 64 | u128::from(self.position)
    }
}

/// Compares the [bits](Ticket::to_bits).
impl PartialEq for Ticket {
    fn eq(&self, other: &Ticket) -> bool {
        self.to_bits() == other.to_bits()
    }
}

impl Eq for Ticket {}

impl Hash for Ticket {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.to_bits().hash(state);
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ticket({}:{})", self.ring.id(), self.position)
    }
}

/// Consecutive tickets. [`Producer::reserve_many`](crate::Producer::reserve_many) returns them.
///
/// If one thread has the values of several tickets, it should complete the last ticket first. The
/// head then stays missing until the end, so the consumer wakes once, and finds all values. With
/// the consumer on another core, this took 5 to 27 % less time than completing in order.
///
/// ```
/// # let ring = reorder_ring::Ring::with_capacity(4)?;
/// # let mut batch = ring.open()?;
/// let tickets = batch.reserve_many(3)?;
/// assert_eq!(tickets.len(), 3);
/// for (offset, value) in [(2, "c"), (1, "b"), (0, "a")] {
///     let ticket = tickets.get(offset).expect("there are three");
///     ring.complete(ticket, value)?;
/// }
/// let values: Vec<_> = batch.drain_ready().map(|delivery| delivery.outcome).collect();
/// assert_eq!(values, [Ok("a"), Ok("b"), Ok("c")]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a ticket that is lost stalls its batch"]
#[derive(Clone)]
pub struct Tickets {
    pub(crate) ring: Issuer,
    pub(crate) next: u64,
    pub(crate) end: u64,
}

impl Tickets {
    /// Returns the ticket `offset` positions after the next one, or `None` if there are fewer
    /// tickets.
    ///
    /// The ticket stays in the iterator, so threads can share the tickets by reference.
    ///
    /// ```
    /// # let ring = reorder_ring::Ring::<u8>::with_capacity(4)?;
    /// # let mut batch = ring.open()?;
    /// let mut tickets = batch.reserve_many(2)?;
    /// let second = tickets.get(1);
    /// assert_eq!(tickets.get(2), None);
    /// tickets.next();
    /// assert_eq!(tickets.get(0), second);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Progress
    ///
    /// Wait-free: the tickets are plain data.
    pub fn get(&self, offset: usize) -> Option<Ticket> {
        let position = self.next.checked_add(offset as u64)?;
        (position < self.end).then_some(Ticket { ring: self.ring, position })
    }
}

/// Compares the identity of the ring, and the positions.
impl PartialEq for Tickets {
    fn eq(&self, other: &Tickets) -> bool {
        self.ring.id() == other.ring.id() && self.next == other.next && self.end == other.end
    }
}

impl Eq for Tickets {}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tickets({}:{}..{})", self.ring.id(), self.next, self.end)
    }
}

impl Iterator for Tickets {
    type Item = Ticket;

    #[inline]
    fn next(&mut self) -> Option<Ticket> {
        let ticket = self.get(0)?;
        self.next += 1;
        Some(ticket)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        // There are at most as many tickets as slots, and the capacity is a `usize`.
        let left = (self.end - self.next) as usize;
        (left, Some(left))
    }

    fn nth(&mut self, n: usize) -> Option<Ticket> {
        self.next = self.next.saturating_add(n as u64).min(self.end);
        self.next()
    }
}

impl ExactSizeIterator for Tickets {}
impl FusedIterator for Tickets {}
