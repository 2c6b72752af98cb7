//! The operations with a ticket: complete its position, evict it, or make a ticket from bits.

use core::task::Waker;

use crate::delivery::Gap;
use crate::errors::{Reason, Rejected, TicketError};
use crate::ring::Ring;
use crate::ring::refusals::Refusals;
use crate::ring::tag::{State, Tag};
use crate::ticket::Ticket;

impl<T> Ring<T> {
    /// Completes the ticket's position with a value. [`Ring`] has an example.
    ///
    /// # Errors
    ///
    /// [`Rejected`], with the value and the [`Reason`], if the position does not accept a value.
    /// The ring is unchanged.
    ///
    /// # Panics
    ///
    /// Panics if the waker of a waiting consumer panics. The position is completed nevertheless.
    ///
    /// # Progress
    ///
    /// Wait-free: at most 2 compare-and-swaps and 1 store; if it is refused, 1 load instead of the
    /// store. Counting a refusal comes on top. So does waking a waiting consumer, which calls its
    /// waker.
    #[inline]
    pub fn complete(&self, ticket: Ticket, value: T) -> Result<(), Rejected<T>> {
        if ticket.ring != self.trusted {
            return self.complete_checked(ticket, value);
        }
        wake(self.complete_reserved(ticket.position, value)?);
        Ok(())
    }

    /// Completes a ticket that this ring does not trust, if the check admits it.
    #[cold]
    #[inline(never)]
    fn complete_checked(&self, ticket: Ticket, value: T) -> Result<(), Rejected<T>> {
        wake(self.complete_without_waking(ticket, value)?);
        Ok(())
    }

    /// Completes the ticket's position, and returns the waker of a waiting consumer.
    ///
    /// The caller calls the waker, which is user code.
    #[inline]
    pub(crate) fn complete_without_waking(
        &self,
        ticket: Ticket,
        value: T,
    ) -> Result<Option<Waker>, Rejected<T>> {
        if ticket.ring != self.trusted {
            if let Err(reason) = self.check(ticket) {
                return Err(Rejected { reason: self.refuse(reason), value });
            }
        }
        self.complete_reserved(ticket.position, value)
    }

    /// Completes a position that is reserved, or was reserved in an earlier batch. The caller calls
    /// the waker.
    #[inline]
    pub(crate) fn complete_reserved(
        &self,
        position: u64,
        value: T,
    ) -> Result<Option<Waker>, Rejected<T>> {
        let (slot, generation) = self.slot(position);
        slot.complete(generation, value, &self.consumer_waker)
            .map_err(|(seen, value)| Rejected { reason: self.refuse_tag(position, seen), value })
    }

    /// Checks a ticket that this ring does not trust.
    ///
    /// A ring that was resumed accepts the tickets of its identity whose positions are reserved.
    /// Their issuer is this ring, its predecessor, or another ring that has the same identity.
    #[cold]
    #[inline(never)]
    fn check(&self, ticket: Ticket) -> Result<(), Reason> {
        if !self.has_identity_of(ticket) {
            Err(Reason::Foreign)
        } else if ticket.position < self.tail() {
            Ok(())
        } else {
            Err(Reason::Unreserved)
        }
    }

    /// Returns `true` if the ticket belongs to this ring, or to the predecessor of a ring that was
    /// resumed.
    fn has_identity_of(&self, ticket: Ticket) -> bool {
        ticket.ring == self.trusted
            || self.issuer.is_resumed() && self.issuer.id() == ticket.ring.id()
    }

    /// Evicts the ticket's position: it is delivered as [`Gap::Evicted`].
    ///
    /// A later completion is refused.
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
    /// The [`Reason`] if the position cannot be evicted. The reason is [`Reason::Duplicate`] if the
    /// position is completed, or its completer is writing.
    ///
    /// # Panics
    ///
    /// As [`complete`](Ring::complete).
    ///
    /// # Progress
    ///
    /// As [`complete`](Ring::complete).
    pub fn evict(&self, ticket: Ticket) -> Result<(), Reason> {
        if ticket.ring != self.trusted {
            return self.evict_checked(ticket);
        }
        wake(self.evict_reserved(ticket.position)?);
        Ok(())
    }

    /// Evicts the position of a ticket that this ring does not trust, if the check admits it.
    #[cold]
    #[inline(never)]
    fn evict_checked(&self, ticket: Ticket) -> Result<(), Reason> {
        wake(self.evict_without_waking(ticket)?);
        Ok(())
    }

    /// Evicts the ticket's position, and returns the waker of a waiting consumer.
    ///
    /// The caller calls the waker, which is user code.
    pub(crate) fn evict_without_waking(&self, ticket: Ticket) -> Result<Option<Waker>, Reason> {
        if ticket.ring != self.trusted {
            self.check(ticket).map_err(|reason| self.refuse(reason))?;
        }
        self.evict_reserved(ticket.position)
    }

    /// Evicts a position that is reserved, or was reserved in an earlier batch.
    fn evict_reserved(&self, position: u64) -> Result<Option<Waker>, Reason> {
        self.leave_gap(position, Gap::Evicted).map_err(|reason| self.refuse(reason))
    }

    /// Completes a position with a gap, and returns the waker of a waiting consumer.
    ///
    /// The position is reserved, or was reserved in an earlier batch.
    /// The caller calls the waker, and counts a refusal if it is to be counted.
    pub(crate) fn leave_gap(&self, position: u64, gap: Gap) -> Result<Option<Waker>, Reason> {
        let (slot, generation) = self.slot(position);
        slot.leave_gap(generation, gap, &self.consumer_waker)
            .map_err(|seen| self.reason(position, seen))
    }

    /// Returns `true` if the value of the ticket's position is still wanted.
    ///
    /// The value is not wanted if the position is completed, evicted or delivered, or if its batch
    /// is cancelled or closed. A consumer that is dropped cancels its batch. A thread that computes
    /// the value can ask from time to time, and stop early. The answer may be outdated when it
    /// arrives. Once the answer is `false`, it stays `false`.
    ///
    /// ```
    /// # let ring = reorder_ring::Ring::with_capacity(2)?;
    /// # let (mut producer, mut consumer) = ring.open()?.split();
    /// let (first, second) = (producer.reserve()?, producer.reserve()?);
    /// assert!(ring.is_wanted(first) && ring.is_wanted(second));
    /// ring.complete(first, 'a')?;
    /// assert!(!ring.is_wanted(first), "it is completed");
    /// drop(consumer);
    /// assert!(!ring.is_wanted(second), "it cannot be delivered");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Progress
    ///
    /// Wait-free: at most 2 loads.
    pub fn is_wanted(&self, ticket: Ticket) -> bool {
        // The batch state comes first. If the slot is vacant afterwards, no later batch was open.
        if !self.has_identity_of(ticket) || self.batch_state.is_cancelled() {
            return false;
        }
        let (slot, generation) = self.slot(ticket.position);
        let tag = slot.peek();
        match tag.state() {
            State::Vacant | State::Waited if tag.generation() == generation => true,
            // This thread cannot see yet that the position is reserved.
            _ => tag.generation() < generation,
        }
    }

    /// Returns the numbers of refused completions and evictions, by reason, in all batches.
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

    /// Counts the refusal of a completion that found this tag, and returns its reason.
    #[cold]
    #[inline(never)]
    fn refuse_tag(&self, position: u64, seen: Tag) -> Reason {
        self.refuse(self.reason(position, seen))
    }

    /// Counts a refusal and returns its reason.
    #[cold]
    #[inline(never)]
    pub(crate) fn refuse(&self, reason: Reason) -> Reason {
        self.refusals.count(reason);
        reason
    }

    /// Returns the ticket with these bits, which [`Ticket::to_bits`] returned before.
    ///
    /// A ring that was [resumed](Ring::resume) accepts the bits of its predecessor's tickets.
    ///
    /// ```
    /// # use reorder_ring::{Ring, TicketError};
    /// # let ring = Ring::<u8>::with_capacity(1)?;
    /// let ticket = ring.open()?.reserve()?;
    /// let bits = ticket.to_bits();
    /// assert_eq!(ring.ticket_from_bits(bits)?, ticket, "though it is stale now");
    /// let forged = ring.ticket_from_bits(bits + 1);
    /// assert_eq!(forged, Err(TicketError::Unreserved { position: 1, first: 0, tail: 1 }));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`TicketError`] if the bits contain the identity of another ring, or a position that is not
    /// reserved. If the bits were sent in a way that does not synchronise, such as a relaxed store,
    /// this thread may not know the reservation yet.
    ///
    /// # Progress
    ///
    /// Wait-free: 1 load.
    pub fn ticket_from_bits(&self, bits: u128) -> Result<Ticket, TicketError> {
        let (ring, position) = ((bits >> 64) as u64, bits as u64);
        let own = u64::from(self.id());
        if ring != own {
            return Err(TicketError::Foreign { given: ring, own });
        }
        let (first, tail) = (self.first_position, self.tail());
        if !(first..tail).contains(&position) {
            return Err(TicketError::Unreserved { position, first, tail });
        }
        Ok(Ticket { ring: self.issuer, position })
    }

    /// Returns the reason why a slot with this tag refuses this position.
    fn reason(&self, position: u64, seen: Tag) -> Reason {
        let generation = self.slots.generation(position);
        if seen.generation() < generation {
            return Reason::Unreserved;
        }
        if seen.generation() > generation {
            return if position < self.base() { Reason::Stale } else { Reason::Settled };
        }
        match seen.state() {
            State::Evicted | State::Evicting => Reason::Evicted,
            State::Abandoned | State::Abandoning => Reason::Abandoned,
            State::Vacant | State::Waited | State::Writing | State::Ready => Reason::Duplicate,
        }
    }
}

/// Calls the waker, if there is one.
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
