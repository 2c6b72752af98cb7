//! The operations of a thread on tickets and handles that other threads have left in the exchange.

use super::State;
use super::exchange::{Handle, IssuedTicket};
use super::open_batch::OpenBatch;
use super::test_thread::TestThread;
use reorder_ring::{Reason, Ticket, TicketError};

impl TestThread<'_> {
    pub(super) fn leave(&mut self, issued: IssuedTicket, open: &OpenBatch) {
        if let Some(found) = self.traffic.exchange.leave(issued, &mut self.random) {
            self.use_ticket(found, Some(open));
        }
    }

    pub(super) fn leave_handle(&mut self, handle: Handle) {
        if let Some(found) = self.traffic.exchange.leave_handle(handle, &mut self.random) {
            self.use_handle(found);
        }
    }

    /// Uses all tickets and handles that are left, when all batches are closed.
    pub(super) fn empty_exchange(&mut self) {
        let (tickets, handles) = self.traffic.exchange.empty();
        handles.for_each(|handle| self.use_handle(handle));
        tickets.for_each(|issued| self.use_ticket(issued, None));
    }

    /// Completes, evicts or misuses a ticket of another thread. `open` is the batch of this thread.
    fn use_ticket(&mut self, issued: IssuedTicket, open: Option<&OpenBatch>) {
        let IssuedTicket { name, pool, .. } = issued;
        let own = &self.traffic.pools[pool];
        match self.random.below(9) {
            8 => self.forge(issued),
            0 => _ = self.evict(name, || own.evict(issued.ticket)),
            1 => _ = self.through_bits(issued),
            2 => (0..2).for_each(|_| {
                _ = self.complete(name, |value| own.complete(issued.ticket, value));
            }),
            3 => self.use_on_wrong_ring(issued, open),
            _ => _ = self.complete(name, |value| own.complete(issued.ticket, value)),
        }
    }

    pub(super) fn through_bits(&mut self, issued: IssuedTicket) -> Result<(), Reason> {
        let IssuedTicket { name, ticket, pool } = issued;
        let own = &self.traffic.pools[pool];
        let before = self.traffic.state(name.batch);
        match own.ticket_from_bits(ticket.to_bits()) {
            Ok(same) => {
                assert_eq!(same, ticket);
                self.complete(name, |value| own.complete(same, value))
            }
            Err(TicketError::NotInPool { .. }) => {
                let after = self.traffic.state(name.batch);
                assert_ne!(after, State::Open, "{name:?} is unknown, and its batch was {before:?}");
                Err(Reason::Foreign)
            }
            Err(error) => panic!("{name:?}: {error}"),
        }
    }

    /// Flips one bit of the ticket. The result may name another reserved position of the same ring,
    /// but no position of another ring.
    fn forge(&mut self, issued: IssuedTicket) {
        let IssuedTicket { name, ticket, pool } = issued;
        let bits = ticket.to_bits() ^ 1 << self.random.below(128);
        self.answers.forged += 1;
        if let Ok(found) = self.traffic.pools[pool].ticket_from_bits(bits) {
            assert_eq!(
                identity(found),
                identity(ticket),
                "{name:?} was taken for a ticket of another ring"
            );
            assert_eq!(found.to_bits(), bits);
        }
    }

    /// Uses the ticket with the other pool, and on the ring of another batch.
    pub(super) fn use_on_wrong_ring(&mut self, issued: IssuedTicket, open: Option<&OpenBatch>) {
        let IssuedTicket { name, ticket, pool } = issued;
        let other = &self.traffic.pools[1 - pool];
        self.misdirect(name, Reason::Foreign, |value| other.complete(ticket, value));
        assert_eq!(other.evict(ticket), Err(Reason::Foreign));
        let unknown = other.ticket_from_bits(ticket.to_bits());
        assert!(matches!(unknown, Err(TicketError::NotInPool { .. })), "{unknown:?}");
        let Some(open) = open.filter(|open| open.number != name.batch) else { return };
        let is_same = open.last_issued.is_some_and(|own| identity(own.ticket) == identity(ticket));
        // The ring of this batch may have been the ring of the ticket's batch before.
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
                self.answers.cancelled += u64::from(cancels);
            }
        }
    }
}

fn identity(ticket: Ticket) -> u64 {
    (ticket.to_bits() >> 64) as u64
}
