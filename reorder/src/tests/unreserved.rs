//! The one refusal that an honest ticket meets only through a hand-over that does not synchronise.

use crate::{Reason, Ring, Ticket};

#[test]
fn a_ticket_ahead_of_its_slot_is_refused_as_unreserved() {
    let ring = Ring::with_capacity(2).unwrap();
    let mut batch = ring.open().unwrap();
    let first = batch.reserve().unwrap();
    // A thread that had got this ticket by a relaxed store could still see the slot a lap behind.
    let ahead = Ticket { position: first.position() + 2, ..first };

    let rejected = ring.complete(ahead, "too early").unwrap_err();
    assert_eq!((rejected.reason, rejected.value), (Reason::Unreserved, "too early"));
    assert_eq!(ring.evict(ahead), Err(Reason::Unreserved));

    ring.complete(first, "first").unwrap();
    assert_eq!(batch.try_next().unwrap().outcome, Ok("first"));
}
