//! The types that complete tickets: a ring, and a pool.

use crate::drop_counter::Counted;
use reorder_ring::{Reason, Rejected, Ring, RingPool, Ticket, TicketError};

pub(crate) trait Completer {
    fn complete(&self, ticket: Ticket, value: Counted) -> Result<(), Rejected<Counted>>;
    fn evict(&self, ticket: Ticket) -> Result<(), Reason>;
    fn ticket_from_bits(&self, bits: u128) -> Result<Ticket, TicketError>;
}

macro_rules! completer {
    ($($type:ident)+) => { $(
        impl Completer for $type<Counted> {
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

completer!(Ring RingPool);
