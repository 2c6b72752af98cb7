//! What anyone may do with a ticket: complete its position, give it up, or bring it back from bits.

use core::task::Waker;

use crate::delivery::Gap;
use crate::errors::{Reason, Rejected, TicketError};
use crate::refusals::Refusals;
use crate::ring::Ring;
use crate::tag::{State, Tag};
use crate::ticket::Ticket;

impl<T> Ring<T> {
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
    /// Wait-free: at most 2 compare-and-swaps and 1 store; if it is refused, 1 load instead of the
    /// store. Counting a refusal comes on top. So does waking a waiting consumer, which calls its
    /// waker.
    #[inline]
    pub fn complete(&self, ticket: Ticket, value: T) -> Result<(), Rejected<T>> {
        wake(self.complete_silently(ticket, value)?);
        Ok(())
    }

    /// As `complete`, and leaves it to the caller to wake the consumer: that is user code.
    #[inline]
    pub(crate) fn complete_silently(
        &self,
        ticket: Ticket,
        value: T,
    ) -> Result<Option<Waker>, Rejected<T>> {
        if ticket.ring != self.id {
            return Err(Rejected { reason: self.refuse(Reason::Foreign), value });
        }
        let (slot, generation) = self.slot(ticket.position);
        slot.complete(generation, value, &self.waiter).map_err(|(seen, value)| Rejected {
            reason: self.refused(ticket.position, seen),
            value,
        })
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
        wake(self.evict_silently(ticket)?);
        Ok(())
    }

    /// As `evict`, and leaves it to the caller to wake the consumer.
    pub(crate) fn evict_silently(&self, ticket: Ticket) -> Result<Option<Waker>, Reason> {
        self.give_up(ticket, Gap::Evicted).map_err(|reason| self.refuse(reason))
    }

    pub(crate) fn give_up(&self, ticket: Ticket, gap: Gap) -> Result<Option<Waker>, Reason> {
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
    /// Wait-free: 7 loads. They are not taken at one instant.
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
    /// Wait-free: 1 load.
    pub fn ticket_from_bits(&self, bits: u128) -> Result<Ticket, TicketError> {
        let (ring, position) = ((bits >> 64) as u64, bits as u64);
        if ring != self.id.get() {
            return Err(TicketError::Foreign);
        }
        let (first, tail) = (self.first, self.tail());
        if !(first..tail).contains(&position) {
            return Err(TicketError::Unreserved { position, first, tail });
        }
        Ok(Ticket { ring: self.id, position })
    }

    /// Why a slot with this tag refused this position.
    fn reason(&self, position: u64, seen: Tag) -> Reason {
        let generation = self.slots.generation(position);
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
}

#[inline]
pub(crate) fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        wake_consumer(waker);
    }
}

#[cold]
#[inline(never)]
fn wake_consumer(waker: Waker) {
    waker.wake();
}
