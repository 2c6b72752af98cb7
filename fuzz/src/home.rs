//! Where a ticket can be used: on its ring, or through its pool.

use crate::ledger::Counted;
use reorder_ring::{Reason, Rejected, Ring, RingPool, Ticket, TicketError};

pub(crate) trait Home {
    fn complete(&self, ticket: Ticket, value: Counted) -> Result<(), Rejected<Counted>>;
    fn evict(&self, ticket: Ticket) -> Result<(), Reason>;
    fn ticket_from_bits(&self, bits: u128) -> Result<Ticket, TicketError>;
}

macro_rules! home {
    ($($type:ident)+) => { $(
        impl Home for $type<Counted> {
            fn complete(&self, ticket: Ticket, value: Counted) -> Result<(), Rejected<Counted>> {
                $type::complete(self, ticket, value)
            }

            fn evict(&self, ticket: Ticket) -> Result<(), Reason> {
                $type::evict(self, ticket)
            }

            fn ticket_from_bits(&self, bits: u128) -> Result<Ticket, TicketError> {
                $type::ticket_from_bits(self, bits)
            }
        }
    )+ };
}

home!(Ring RingPool);
