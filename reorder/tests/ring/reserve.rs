//! Reserving, the tickets that it returns, and the state that a batch reports.

use crate::drop_counter::DropCounter;
use crate::gaps::{CAPACITIES, full};
use reorder_ring::{
    Batch, HeadState, Reason, ReserveError, Ring, Ticket, TicketError, TryNextError,
};

#[test]
fn reserve_many_reserves_all_positions_or_none() {
    for capacity in CAPACITIES {
        let ring = Ring::<()>::with_capacity(capacity).unwrap();
        let mut batch = ring.open().unwrap();
        for count in [capacity + 1, usize::MAX] {
            assert_eq!(batch.reserve_many(count), Err(ReserveError::TooMany));
        }
        assert_eq!((batch.reserved(), batch.space()), (0, capacity));
        assert_eq!(batch.reserve_many(0).unwrap().len(), 0);

        let first = batch.reserve().unwrap();
        assert_eq!(batch.space(), capacity - 1);
        assert_eq!(batch.reserve_many(capacity), Err(ReserveError::Full));
        assert_eq!((batch.reserved(), batch.space()), (1, capacity - 1));
        let rest = batch.reserve_many(capacity - 1).unwrap();
        let positions: Vec<_> = rest.map(Ticket::position).collect();
        assert_eq!(positions, (1..capacity as u64).collect::<Vec<_>>());
        assert_eq!((batch.reserved(), batch.space()), (capacity as u64, 0));
        assert_eq!(batch.reserve_many(1), Err(ReserveError::Full));
        assert_eq!(batch.reserve_many(0).unwrap().next(), None, "an empty run always fits");

        // A completed position takes space until it is delivered.
        ring.complete(first, ()).unwrap();
        assert_eq!((batch.space(), batch.reserve()), (0, Err(ReserveError::Full)));
        batch.try_next().unwrap();
        assert_eq!(batch.space(), 1);
        assert_eq!(batch.reserve().map(Ticket::position), Ok(capacity as u64));
    }
}

#[test]
fn a_run_of_tickets_can_be_iterated_and_indexed() {
    let ring = Ring::<()>::with_capacity(8).unwrap();
    let (_batch, expected) = full(&ring);
    drop(_batch);
    let mut batch = ring.open().unwrap();
    let mut run = batch.reserve_many(8).unwrap();
    let all: Vec<_> = run.clone().collect();
    assert!(all.iter().zip(&expected).all(|(new, old)| new.position() == old.position() + 8));
    assert_eq!(
        (run.len(), run.get(0), run.get(7), run.get(8)),
        (8, Some(all[0]), Some(all[7]), None)
    );
    assert_eq!(run.get(usize::MAX), None);
    assert_eq!((run.next(), run.nth(2), run.len()), (Some(all[0]), Some(all[3]), 4));
    assert_eq!((run.get(0), run.get(4)), (Some(all[4]), None));
    assert_eq!((run.nth(usize::MAX), run.len(), run.next()), (None, 0, None));
}

#[test]
fn the_head_of_line_reports_the_state_of_the_head() {
    let ring = Ring::with_capacity(4).unwrap();
    let (mut batch, tickets) = full(&ring);
    let head = |batch: &Batch<_>| {
        let line = batch.head_of_line();
        (line.index, line.reserved, line.state)
    };
    assert_eq!(head(&batch), (0, 4, HeadState::Missing));
    ring.complete(tickets[1], ()).unwrap();
    assert_eq!(head(&batch), (0, 4, HeadState::Missing));
    ring.complete(tickets[0], ()).unwrap();
    assert_eq!(head(&batch), (0, 4, HeadState::Ready));
    assert_eq!(batch.drain_ready().count(), 2);
    assert_eq!(head(&batch), (2, 2, HeadState::Missing));
    batch.evict_head().unwrap();
    assert_eq!(head(&batch), (2, 2, HeadState::Ready), "a gap can be taken");
    ring.complete(tickets[3], ()).unwrap();
    assert_eq!(batch.drain_ready().count(), 2);
    assert_eq!(head(&batch), (4, 0, HeadState::Unreserved));
    _ = batch.reserve().unwrap();
    assert_eq!(head(&batch), (4, 1, HeadState::Missing));
}

#[test]
fn tickets_and_bits_that_the_ring_did_not_issue_are_refused() {
    let (ring, counter) = (Ring::with_capacity(2).unwrap(), DropCounter::default());
    let other = Ring::<()>::with_capacity(2).unwrap();
    let (mut batch, tickets) = full(&ring);
    let (mut other_batch, foreign) = full(&other);
    assert_eq!(tickets[0].position(), foreign[0].position());
    let rejected = ring.complete(foreign[0], counter.value()).unwrap_err();
    assert_eq!(rejected.reason, Reason::Foreign);
    assert_eq!(ring.evict(foreign[0]), Err(Reason::Foreign));
    assert_eq!(batch.try_next().err(), Some(TryNextError::Pending));

    ring.complete(tickets[0], counter.value()).unwrap();
    let again = ring.complete(tickets[0], counter.value()).unwrap_err();
    assert_eq!(again.reason, Reason::Duplicate);
    assert_eq!(ring.evict(tickets[0]), Err(Reason::Duplicate));
    assert_eq!(batch.try_next().unwrap().outcome.map(|value| value.id), Ok(1));

    for &ticket in &tickets {
        assert_eq!(ring.ticket_from_bits(ticket.to_bits()), Ok(ticket));
        let foreign = other.ticket_from_bits(ticket.to_bits()).unwrap_err();
        let given = (ticket.to_bits() >> 64) as u64;
        assert!(matches!(foreign, TicketError::Foreign { given: found, .. } if found == given));
        assert!(foreign.to_string().contains(&format!("{given:016x}")), "{foreign}");
    }
    let beyond = tickets[1].to_bits() + 1;
    let error = TicketError::Unreserved { position: 2, first: 0, tail: 2 };
    assert_eq!(ring.ticket_from_bits(beyond), Err(error));
    assert_eq!(
        ring.ticket_from_bits(beyond | u128::from(u64::MAX)).unwrap_err().to_string(),
        format!(
            "position {} is not reserved, as far as this thread can know; the positions from 0 to \
             below 2 are",
            u64::MAX
        )
    );
    assert_eq!(other_batch.try_next().err(), Some(TryNextError::Pending));
    drop((rejected, again, batch, other_batch));
    drop(ring);
    counter.assert_each_dropped_once();
}
