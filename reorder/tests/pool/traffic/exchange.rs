//! The exchange: threads leave tickets and handles here, which other threads then use.

use std::boxed::Box;
use std::sync::Mutex;

use super::random::Random;
use super::value::{Name, NamedValue};
use reorder_ring::{Canceller, Lease, Permit, Ticket};

/// A ticket, with the name and the pool of its position.
#[derive(Clone, Copy)]
pub(super) struct IssuedTicket {
    pub(super) name: Name,
    pub(super) ticket: Ticket,
    /// The index of the pool.
    pub(super) pool: usize,
}

/// A handle that keeps a ring leased while it is in the exchange.
pub(super) enum Handle {
    Permit(Name, Permit<Lease<NamedValue>>),
    Canceller(u32, Canceller<Lease<NamedValue>>),
}

pub(super) struct Exchange {
    tickets: Box<[ExchangeSlot<IssuedTicket>]>,
    /// There are few slots for handles, because handles keep rings leased.
    handles: Box<[ExchangeSlot<Handle>]>,
}

type ExchangeSlot<T> = Mutex<Option<T>>;

const TICKETS: u32 = 12;
const HANDLES: u32 = 3;
/// The largest number of rings that handles can keep leased: in the exchange, and one per thread.
pub(super) const KEPT_RINGS: usize = (1 << HANDLES) + super::AT_ONCE;

impl Exchange {
    pub(super) fn new() -> Exchange {
        Exchange { tickets: slots(TICKETS), handles: slots(HANDLES) }
    }

    /// Puts a ticket into a random slot, and returns the ticket that was there.
    pub(super) fn leave(&self, issued: IssuedTicket, random: &mut Random) -> Option<IssuedTicket> {
        exchange(&self.tickets, TICKETS, issued, random)
    }

    /// Puts a handle into a random slot, and returns the handle that was there.
    pub(super) fn leave_handle(&self, handle: Handle, random: &mut Random) -> Option<Handle> {
        exchange(&self.handles, HANDLES, handle, random)
    }

    /// Takes all tickets and handles that are left.
    pub(super) fn empty(
        &self,
    ) -> (impl Iterator<Item = IssuedTicket>, impl Iterator<Item = Handle>) {
        (all(&self.tickets), all(&self.handles))
    }
}

fn slots<T>(bits: u32) -> Box<[ExchangeSlot<T>]> {
    (0..1 << bits).map(|_| Mutex::new(None)).collect()
}

/// Puts the item into a random slot, and returns the item that was there.
///
/// The first slots are used most: some items stay for a moment, others for a hundred batches.
fn exchange<T>(slots: &[ExchangeSlot<T>], bits: u32, item: T, random: &mut Random) -> Option<T> {
    let reach = 1 << random.below(bits as usize + 1);
    slots[random.below(reach)].lock().unwrap().replace(item)
}

fn all<T>(slots: &[ExchangeSlot<T>]) -> impl Iterator<Item = T> {
    slots.iter().filter_map(|place| place.lock().unwrap().take())
}
