//! The right to complete one slot, as plain data.

pub(crate) mod bits;
#[cfg(feature = "serde")]
mod serde;

use core::fmt;
use core::iter::FusedIterator;
use core::num::NonZeroU64;

/// Names one reserved position of one ring: the right to complete it.
///
/// A ticket is plain `Copy` data. It may be sent anywhere, duplicated, or kept past the end of its
/// batch; a ring accepts each position once, while its batch is open, and refuses all else.
///
/// Tickets come from [`Producer::reserve`](crate::Producer::reserve), or from
/// [`Ring::ticket_from_bits`](crate::Ring::ticket_from_bits) and that of a pool, which check them.
/// There is no other way to make one.
///
/// A ticket that is lost leaves its position missing until somebody evicts it. Use a
/// [`Permit`](crate::Permit) where a worker may die.
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
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ticket {
    pub(crate) ring: NonZeroU64,
    pub(crate) position: u64,
}

impl Ticket {
    /// The position: the number of this reservation in the ring's whole life, below 2<sup>61</sup>.
    ///
    /// ```
    /// # let ring = reorder_ring::Ring::<u8>::with_capacity(2)?;
    /// let first = ring.open()?.reserve()?;
    /// let second = ring.open()?.reserve()?;
    /// assert_eq!((first.position(), second.position()), (0, 1), "two batches, one count");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Progress
    ///
    /// Wait-free: a ticket is plain data.
    pub fn position(self) -> u64 {
        self.position
    }

    /// The ticket as 128 bits, for a wire: the ring's identity above, the position below.
    ///
    /// See [`Ring::ticket_from_bits`](crate::Ring::ticket_from_bits) for the way back, and
    /// [`TicketBits`](crate::TicketBits) for them as text, and with `serde`.
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
        u128::from(self.ring.get()) << 64 | u128::from(self.position)
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ticket({:016x}:{})", self.ring, self.position)
    }
}

/// A run of consecutive tickets, from [`Producer::reserve_many`](crate::Producer::reserve_many).
///
/// Whoever has the values of several at once completes the last one first: what comes before it stays
/// missing, so the consumer is woken for all of them together, and finds them together. From another
/// core that was measured to take 5 to 27 % off the time of a run.
///
/// ```
/// # let ring = reorder_ring::Ring::with_capacity(4)?;
/// # let mut batch = ring.open()?;
/// let tickets = batch.reserve_many(3)?;
/// assert_eq!(tickets.len(), 3);
/// for (ticket, value) in tickets.zip(["a", "b", "c"]) {
///     ring.complete(ticket, value)?;
/// }
/// assert_eq!(batch.drain_ready().count(), 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a ticket that is lost stalls its batch"]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tickets {
    pub(crate) ring: NonZeroU64,
    pub(crate) next: u64,
    pub(crate) end: u64,
}

impl Tickets {
    /// The ticket `offset` places after the first one that is left; `None` beyond the last.
    ///
    /// It stays in the run, so that many threads can share one by reference.
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
    /// Wait-free: a run is plain data.
    pub fn get(&self, offset: usize) -> Option<Ticket> {
        let position = self.next.checked_add(offset as u64)?;
        (position < self.end).then_some(Ticket { ring: self.ring, position })
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
        // A run is never longer than the ring, whose capacity is a `usize`.
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
