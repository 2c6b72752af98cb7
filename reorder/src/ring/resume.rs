//! A ring that goes on where its predecessor was, such as after a restart of the process.
//!
//! | position | its ticket is | why |
//! |---|---|---|
//! | below `first` | `Stale` | the slot is vacant for a later position, and the base is `first` |
//! | from `first` on, and below `tail` | accepted once | the same position of the predecessor |
//! | from `tail` on | `Unreserved` | `check` compares it with the tail |
//!
//! A ticket contains a position, and no generation. Each ring computes the generation from its own
//! capacity. So the capacity of the predecessor does not matter.

use crate::errors::CapacityError;
use crate::ring::Ring;
use crate::ticket::issuer::Issuer;
use crate::ticket::ring_id::RingId;

impl<T> Ring<T> {
    /// Returns the identity of this ring, which all its tickets contain.
    ///
    /// It is plain data. [`resume`](Ring::resume) makes a ring that has the same identity.
    ///
    /// ```
    /// # use reorder_ring::Ring;
    /// let (ring, other) = (Ring::<u8>::with_capacity(1)?, Ring::<u8>::with_capacity(1)?);
    /// assert_ne!(ring.id(), other.id());
    /// # Ok::<(), reorder_ring::CapacityError>(())
    /// ```
    ///
    /// # Progress
    ///
    /// Wait-free: no shared access.
    pub fn id(&self) -> RingId {
        self.issuer.id()
    }

    /// Returns a ring that goes on where its predecessor was: the ring that had this identity
    /// before, such as in a process that was killed. Otherwise it is as a ring of
    /// [`with_capacity`](Ring::with_capacity).
    ///
    /// `first` is the first position that is not settled for ever. It is the number of the results
    /// that were delivered and stored. The predecessor's tickets belong to this ring:
    ///
    /// * Below `first`, they are [`Stale`](crate::Reason::Stale).
    /// * Other reserved positions accept one value each, whichever of the two rings issued the
    ///   ticket.
    /// * Positions that this ring has not reserved yet are
    ///   [`Unreserved`](crate::Reason::Unreserved).
    ///
    /// ```
    /// use reorder_ring::{Reason, Ring, RingId, TicketBits};
    ///
    /// let ring = Ring::<&str>::with_capacity(4)?;
    /// let mut batch = ring.open()?;
    /// let sent: Vec<_> = batch.reserve_many(4)?.map(|ticket| TicketBits::from(ticket)).collect();
    /// ring.complete(ring.ticket_from_bits(sent[0].into())?, "a")?;
    /// assert_eq!(batch.try_next()?.outcome, Ok("a"));
    /// // A file keeps the identity, and the number of results that were delivered.
    /// let (saved_id, saved_number) = (ring.id().to_string(), batch.delivered());
    /// drop(batch);
    /// drop(ring);
    ///
    /// // After a restart, 3 results of the predecessor are missing.
    /// let ring = Ring::resume(saved_id.parse()?, 4, saved_number)?;
    /// let mut batch = ring.open()?;
    /// _ = batch.reserve_many(4)?; // The positions 1 to 4, before any result arrives.
    ///
    /// let complete = |sent: TicketBits, value| {
    ///     let ticket = ring.ticket_from_bits(sent.into()).expect("it was sent before");
    ///     ring.complete(ticket, value).map_err(|refused| refused.reason)
    /// };
    /// assert_eq!(complete(sent[2], "c"), Ok(()));
    /// assert_eq!(complete(sent[1], "b"), Ok(()));
    /// assert_eq!(complete(sent[2], "c"), Err(Reason::Duplicate));
    /// assert_eq!(complete(sent[0], "a"), Err(Reason::Stale));
    /// let values: Vec<_> = batch.drain_ready().map(|delivery| delivery.outcome).collect();
    /// assert_eq!(values, [Ok("b"), Ok("c")]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # What the program ensures
    ///
    /// * **A position means the same item in both rings.** In the first batch of a ring, a position
    ///   is `first` plus the index. A ring of `with_capacity` begins at position 0.
    ///   [`Ticket::position`](crate::Ticket::position) returns the position in any batch. Later
    ///   batches of this ring may reserve positions of the predecessor, too.
    /// * **It reserves its window before it listens.** Until a position is reserved, its result is
    ///   refused. The program then keeps the message, or lets the item run again.
    /// * **One live ring has the identity.** A lease keeps a second owner away, such as an entry in
    ///   a database. The rings cannot notice each other.
    ///
    /// If two rings of one identity live at once, each accepts one value for each position that it
    /// has reserved. So a result may be delivered twice, once by each ring, and each may miss
    /// results that the other one got. Each ring keeps its order, and refuses positions that it has
    /// not reserved. Both rings accept the bits of each other's tickets. In one process, a ring
    /// that was not resumed refuses the [`Ticket`](crate::Ticket) of a ring that was, as
    /// [`Foreign`](crate::Reason::Foreign).
    ///
    /// # Capacity
    ///
    /// The capacity may differ from the predecessor's, since a ticket contains only its position.
    /// With a smaller capacity, the window may end before the last position that the predecessor
    /// reserved. Results beyond it are refused as unreserved until the window reaches them.
    /// Positions end at 2<sup>61</sup> - `capacity`, so they end earlier with a larger capacity.
    ///
    /// # Pools and identities
    ///
    /// A resumed ring belongs to no `RingPool`, even if the predecessor did. A pool refuses its
    /// tickets.
    ///
    /// Without `std`, rings get the same identities after each start of a program. There, a new
    /// ring may have the identity of the resumed ring. A program with a random number of its own
    /// can make its first ring from it, by `Ring::resume(RingId::try_from(random >> 1)?, 4, 0)`.
    ///
    /// # Cost
    ///
    /// On a resumed ring, a completion or an eviction takes 1 load more than on others. A
    /// [`Permit`](crate::Permit) does not.
    ///
    /// # Errors
    ///
    /// [`CapacityError`] if `capacity` is 0, the memory is too small, or `first` is beyond the end
    /// of positions.
    ///
    /// # Progress
    ///
    /// As the allocator. If `first` is not 0, every slot is written, too.
    pub fn resume(id: RingId, capacity: usize, first: u64) -> Result<Ring<T>, CapacityError> {
        let mut ring = Ring::starting_at(capacity, first)?;
        // No ticket has the issuer that the new ring got, so `trusted` keeps it.
        ring.issuer = Issuer::resumed(id);
        // The predecessors issued the tickets of the lower positions.
        ring.first_position = 0;
        Ok(ring)
    }
}
