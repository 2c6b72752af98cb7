//! Tests that need more than the public interface: a completer that stops while it writes, or a
//! ticket that the ring has not issued.

#[cfg(all(target_os = "linux", not(miri), feature = "std"))]
#[path = "../../tests/ring/cpu_time.rs"]
mod cpu_time;
#[path = "../../tests/ring/drop_counter.rs"]
mod drop_counter;
#[path = "../../tests/ring/wake_counter.rs"]
mod wake_counter;

mod orphans;
mod property;
mod unreserved;
#[cfg(feature = "std")]
mod writing;

use drop_counter::Counted;

use crate::ring::slot::paused_write::PausedWrite;
use crate::{Ring, Ticket};

/// Claims the ticket's slot and stops before the publication.
fn hold<T>(ring: &Ring<T>, ticket: Ticket) -> PausedWrite<'_, T> {
    try_hold(ring, ticket).expect("the position is missing")
}

fn try_hold<T>(ring: &Ring<T>, ticket: Ticket) -> Option<PausedWrite<'_, T>> {
    let (slot, generation) = ring.slot(ticket.position());
    slot.hold(generation, &ring.consumer_waker)
}
