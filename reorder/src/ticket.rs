//! The right to complete one slot, as plain data.

use core::fmt;
use core::iter::FusedIterator;

/// Names one reserved position of one ring: the right to complete it.
///
/// A ticket is plain `Copy` data. It may be sent anywhere, duplicated, or kept past the end of its
/// batch; a ring accepts each position once, while its batch is open, and refuses all else.
///
/// Tickets come from [`Producer::reserve`](crate::Producer::reserve), or from
/// [`Ring::ticket_from_bits`](crate::Ring::ticket_from_bits), which checks them. There is no other
/// way to make one.
///
/// A ticket that is lost leaves its position missing until somebody evicts it. Use a
/// [`Permit`](crate::Permit) where a worker may die.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ticket {
    pub(crate) ring: u64,
    pub(crate) position: u64,
}

impl Ticket {
    /// The position: the number of this reservation in the ring's whole life.
    pub fn position(self) -> u64 {
        self.position
    }

    /// The ticket as 128 bits, for a wire: the ring's identity above, the position below.
    ///
    /// See [`Ring::ticket_from_bits`](crate::Ring::ticket_from_bits) for the way back.
    pub fn to_bits(self) -> u128 {
        u128::from(self.ring) << 64 | u128::from(self.position)
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ticket({:016x}:{})", self.ring, self.position)
    }
}

/// A run of consecutive tickets, from [`Producer::reserve_many`](crate::Producer::reserve_many).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tickets {
    pub(crate) ring: u64,
    pub(crate) next: u64,
    pub(crate) end: u64,
}

impl Tickets {
    /// The ticket `offset` places after the first one that is left.
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
