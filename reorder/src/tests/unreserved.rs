//! The refusal of a ticket that was sent in a way that does not synchronise.

use crate::{Reason, Ring, Ticket};

#[test]
fn a_ticket_ahead_of_its_slot_is_refused_as_unreserved() {
    let ring = Ring::with_capacity(2).unwrap();
    let mut batch = ring.open().unwrap();
    let first = batch.reserve().unwrap();
    // A thread that got this ticket by a relaxed store could see the slot in an earlier generation.
    let ahead = Ticket { position: first.position() + 2, ..first };

    let rejected = ring.complete(ahead, "too early").unwrap_err();
    assert_eq!((rejected.reason, rejected.value), (Reason::Unreserved, "too early"));
    assert_eq!(ring.evict(ahead), Err(Reason::Unreserved));

    ring.complete(first, "first").unwrap();
    assert_eq!(batch.try_next().unwrap().outcome, Ok("first"));
}
