//! What a thread does with the tickets and handles that others have left.

use super::State;
use super::actor::Actor;
use super::open::Open;
use super::post::{Handle, Letter};
use reorder_ring::{Reason, Ticket, TicketError};

impl Actor<'_> {
    pub(super) fn leave(&mut self, letter: Letter, open: &Open) {
        if let Some(found) = self.traffic.post.leave(letter, &mut self.random) {
            self.use_letter(found, Some(open));
        }
    }

    pub(super) fn leave_handle(&mut self, handle: Handle) {
        if let Some(found) = self.traffic.post.leave_handle(handle, &mut self.random) {
            self.use_handle(found);
        }
    }

    /// When all batches are closed.
    pub(super) fn empty_the_post(&mut self) {
        let (letters, handles) = self.traffic.post.empty();
        handles.for_each(|handle| self.use_handle(handle));
        letters.for_each(|letter| self.use_letter(letter, None));
    }

    /// Completes or evicts what somebody has reserved, `open` being a batch of this thread.
    fn use_letter(&mut self, letter: Letter, open: Option<&Open>) {
        let Letter { name, pool, .. } = letter;
        let own = &self.traffic.pools[pool];
        match self.random.below(9) {
            8 => self.forge(letter),
            0 => _ = self.evict(name, || own.evict(letter.ticket)),
            1 => _ = self.through_bits(letter),
            2 => (0..2).for_each(|_| {
                _ = self.complete(name, |value| own.complete(letter.ticket, value));
            }),
            3 => self.try_elsewhere(letter, open),
            _ => _ = self.complete(name, |value| own.complete(letter.ticket, value)),
        }
    }

    pub(super) fn through_bits(&mut self, letter: Letter) -> Result<(), Reason> {
        let Letter { name, ticket, pool } = letter;
        let own = &self.traffic.pools[pool];
        let before = self.traffic.state(name.batch);
        match own.ticket_from_bits(ticket.to_bits()) {
            Ok(same) => {
                assert_eq!(same, ticket);
                self.complete(name, |value| own.complete(same, value))
            }
            Err(TicketError::Foreign) => {
                let after = self.traffic.state(name.batch);
                assert_ne!(after, State::Open, "{name:?} is unknown, and its batch was {before:?}");
                Err(Reason::Foreign)
            }
            Err(error) => panic!("{name:?}: {error}"),
        }
    }

    /// With one bit wrong, it may name another reserved position of the same ring, if that is still there; and
    /// nothing else that there is.
    fn forge(&mut self, letter: Letter) {
        let Letter { name, ticket, pool } = letter;
        let bits = ticket.to_bits() ^ 1 << self.random.below(128);
        self.met.forged += 1;
        if let Ok(found) = self.traffic.pools[pool].ticket_from_bits(bits) {
            assert_eq!(identity(found), identity(ticket), "{name:?} was taken for another ring's");
            assert_eq!(found.to_bits(), bits);
        }
    }

    /// At the other pool, and on another ring of any pool.
    pub(super) fn try_elsewhere(&mut self, letter: Letter, open: Option<&Open>) {
        let Letter { name, ticket, pool } = letter;
        let other = &self.traffic.pools[1 - pool];
        self.misdirect(name, Reason::Foreign, |value| other.complete(ticket, value));
        assert_eq!(other.evict(ticket), Err(Reason::Foreign));
        assert_eq!(other.ticket_from_bits(ticket.to_bits()), Err(TicketError::Foreign));
        let Some(open) = open.filter(|open| open.number != name.batch) else { return };
        let is_same = open.letter.is_some_and(|own| identity(own.ticket) == identity(ticket));
        // The ring may have been that of the other batch, before.
        let wanted = if is_same { Reason::Stale } else { Reason::Foreign };
        self.misdirect(name, wanted, |value| open.consumer.ring().complete(ticket, value));
    }

    fn use_handle(&mut self, handle: Handle) {
        match handle {
            Handle::Permit(_, permit) if self.random.once_in(2) => drop(permit),
            Handle::Permit(name, permit) => _ = self.complete(name, |value| permit.complete(value)),
            Handle::Canceller(batch, canceller) => {
                let before = self.traffic.state(batch);
                let cancels = canceller.cancel();
                assert!(!cancels || before != State::Closed, "batch {batch} was cancelled");
                self.met.cancelled += u64::from(cancels);
            }
        }
    }
}

fn identity(ticket: Ticket) -> u64 {
    (ticket.to_bits() >> 64) as u64
}
