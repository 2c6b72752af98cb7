//! A ring that goes on where its predecessor was: the predecessor's tickets, other capacities, and
//! two rings of one identity at the same time.

use std::sync::Arc;

use reorder_ring::{
    Budget, CapacityError, Gap, HeadState, Reason, Refusals, ReserveError, Ring, Ticket,
    TicketError, TryNextError,
};

use crate::drop_counter::{Counted, DropCounter};

/// The positions of a ring with one slot.
const POSITIONS: u64 = 1 << 61;

/// Returns the bits of `count` tickets from position `first` on, which a ring of this capacity
/// issued, and the ring.
fn predecessor(capacity: usize, first: u64, count: usize) -> (Ring<u64>, Vec<u128>) {
    let ring = Ring::starting_at(capacity, first).unwrap();
    let tickets = ring.open().unwrap().reserve_many(count).unwrap();
    (ring, tickets.map(Ticket::to_bits).collect())
}

#[test]
fn each_ticket_of_the_predecessor_is_refused_with_its_reason_or_accepted_once() {
    let (old, bits) = predecessor(8, 0, 8);
    let foreign = Ring::<u64>::with_capacity(1).unwrap().open().unwrap().reserve().unwrap();
    let ring = Ring::resume(old.id(), 4, 3).unwrap();
    drop(old);
    let ticket = |position: usize| ring.ticket_from_bits(bits[position]);
    let complete = |position: usize| {
        ring.complete(ticket(position).unwrap(), position as u64).map_err(|no| {
            assert_eq!(no.value, position as u64);
            no.reason
        })
    };

    let nothing_is_reserved = TicketError::Unreserved { position: 3, first: 0, tail: 3 };
    assert_eq!(ticket(3), Err(nothing_is_reserved));
    let mut batch = ring.open().unwrap();
    assert_eq!(ticket(3), Err(nothing_is_reserved));
    assert_eq!(batch.head_of_line().state, HeadState::Unreserved);

    let own: Vec<_> = batch.reserve_many(4).unwrap().collect();
    assert!(own.iter().map(|ticket| ticket.to_bits()).eq(bits[3..7].iter().copied()));
    for position in 0..3 {
        assert!(!ring.is_wanted(ticket(position).unwrap()));
        assert_eq!(complete(position), Err(Reason::Stale));
        assert_eq!(ring.evict(ticket(position).unwrap()), Err(Reason::Stale));
    }
    let beyond = TicketError::Unreserved { position: 7, first: 0, tail: 7 };
    assert_eq!(ticket(7), Err(beyond));
    assert_eq!(ring.complete(foreign, 9).unwrap_err().reason, Reason::Foreign);
    assert!(matches!(ring.ticket_from_bits(foreign.to_bits()), Err(TicketError::Foreign { .. })));

    // The tickets of both rings name the same positions.
    assert!(ring.is_wanted(own[1]) && ring.is_wanted(ticket(4).unwrap()));
    assert_eq!(complete(4), Ok(()));
    assert_eq!(ring.complete(own[1], 4).unwrap_err().reason, Reason::Duplicate);
    ring.complete(own[0], 3).unwrap();
    assert_eq!(complete(3), Err(Reason::Duplicate));
    ring.evict(ticket(5).unwrap()).unwrap();
    assert_eq!(complete(5), Err(Reason::Evicted));

    let delivered: Vec<_> = batch.drain_ready().map(|next| (next.index, next.outcome)).collect();
    assert_eq!(delivered, [(0, Ok(3)), (1, Ok(4)), (2, Err(Gap::Evicted))]);
    assert_eq!(complete(4), Err(Reason::Settled));
    _ = batch.reserve().unwrap();
    assert_eq!(complete(7), Ok(()));
    assert_eq!(complete(6), Ok(()));
    assert!(batch.drain_ready().map(|next| next.outcome).eq([Ok(6), Ok(7)]));

    let Refusals { foreign, stale, duplicate, evicted, settled, unreserved, .. } = ring.refusals();
    assert_eq!((foreign, stale, duplicate), (1, 6, 2));
    assert_eq!((evicted, settled, unreserved), (1, 1, 0));
}

/// A ticket contains no generation. So every pair of capacities agrees on the positions.
#[test]
fn the_capacity_may_change() {
    let capacities = [1, 2, 4, 16];
    let firsts = [0, 1, 2, 3, 5, 15, 16, 17, 1000, (1 << 40) - 1, POSITIONS - 64];
    for (old_capacity, capacity) in
        capacities.iter().flat_map(|&old| capacities.map(|new| (old, new)))
    {
        for first in firsts {
            let (old, bits) = predecessor(old_capacity, first, old_capacity);
            let ring = Ring::<u64>::resume(old.id(), capacity, first).unwrap();
            let mut batch = ring.open().unwrap();
            batch.reserve_through(capacity as u64 - 1).unwrap();

            let mut waiting = Vec::new();
            for &bits in bits.iter().rev() {
                let position = bits as u64;
                let beyond = position - first >= capacity as u64;
                match ring.ticket_from_bits(bits) {
                    Ok(ticket) => ring.complete(ticket, position).unwrap(),
                    Err(TicketError::Unreserved { .. }) if beyond => waiting.push(bits),
                    Err(error) => panic!("{old_capacity}, {capacity}, {first}: {error}"),
                }
            }
            // The window moves on, and the tickets beyond it are accepted later.
            let mut next = first;
            while next < first + old_capacity as u64 {
                let Ok(delivery) = batch.try_next() else {
                    let ticket = ring.ticket_from_bits(waiting.pop().unwrap()).unwrap();
                    ring.complete(ticket, ticket.position()).unwrap();
                    continue;
                };
                assert_eq!((delivery.index, delivery.outcome), (next - first, Ok(next)));
                _ = batch.reserve().unwrap();
                next += 1;
            }
            assert!(waiting.is_empty());
        }
    }
}

#[test]
fn every_way_to_complete_works_on_a_resumed_ring() {
    let (old, bits) = predecessor(4, 0, 4);
    let ring = Arc::new(Ring::resume(old.id(), 8, 1).unwrap());
    let mut batch = ring.open_owned().unwrap();
    let permit = batch.permit().unwrap();
    drop(batch.permit().unwrap());
    batch.reserve_through(4).unwrap();
    ring.complete(ring.ticket_from_bits(bits[3]).unwrap(), 3).unwrap();
    batch.complete_index(3, 4).unwrap();
    batch.completer().complete_index(4, 5).unwrap();
    permit.complete(1).unwrap();
    assert_eq!(batch.evict_head(), Err(Reason::Duplicate));
    let outcomes: Vec<_> = batch.drain_ready().map(|next| next.outcome).collect();
    assert_eq!(outcomes, [Ok(1), Err(Gap::Abandoned), Ok(3), Ok(4), Ok(5)]);

    _ = batch.reserve().unwrap();
    batch.evict_head().unwrap();
    assert_eq!(batch.try_next().unwrap().outcome, Err(Gap::Evicted));
    assert_eq!(batch.try_next(), Err(TryNextError::Ended));
    drop(batch);
    let batch = ring.open_owned().unwrap();
    assert_eq!(
        ring.complete(ring.ticket_from_bits(bits[3]).unwrap(), 3).unwrap_err().reason,
        Reason::Stale
    );
    assert_eq!((batch.reserved(), batch.delivered()), (0, 0));
}

#[test]
fn a_ring_is_resumed_again_and_again() {
    let (old, bits) = predecessor(4, 0, 4);
    let mut ring = old;
    for position in 0..4 {
        let next = Ring::resume(ring.id(), 4, position).unwrap();
        assert_eq!(next.id(), ring.id());
        ring = next;
        let mut batch = ring.open().unwrap();
        _ = batch.reserve_many(4).unwrap();
        for bits in &bits {
            _ = ring.complete(ring.ticket_from_bits(*bits).unwrap(), *bits as u64);
        }
        assert_eq!(batch.try_next().unwrap().outcome, Ok(position));
        assert_eq!(ring.refusals().stale, position);
    }
}

#[test]
fn a_ring_that_cannot_be_resumed_says_why() {
    let id = Ring::<u8>::with_capacity(1).unwrap().id();
    for (capacity, rounded) in [(1, 1), (2, 2), (5, 8), (64, 64)] {
        let largest = POSITIONS - rounded;
        Ring::<u8>::resume(id, capacity, largest).unwrap();
        for requested in [largest + 1, POSITIONS, u64::MAX] {
            let error = Ring::<u8>::resume(id, capacity, requested).unwrap_err();
            assert_eq!(error, CapacityError::FirstPosition { requested, largest });
        }
    }
    assert_eq!(Ring::<u8>::resume(id, 0, 7).unwrap_err(), CapacityError::Zero);
    let error = Ring::<u8>::resume(id, usize::MAX, 7).unwrap_err();
    assert!(matches!(error, CapacityError::TooLarge { requested: usize::MAX, .. }));
}

#[test]
fn positions_end_on_a_resumed_ring() {
    let (old, bits) = predecessor(1, POSITIONS - 2, 1);
    let ring = Ring::resume(old.id(), 1, POSITIONS - 2).unwrap();
    let mut batch = ring.open().unwrap();
    _ = batch.reserve().unwrap();
    ring.complete(ring.ticket_from_bits(bits[0]).unwrap(), 7).unwrap();
    assert_eq!(batch.try_next().unwrap().outcome, Ok(7));
    assert_eq!(batch.reserve(), Err(ReserveError::Exhausted));
    for position in [POSITIONS - 1, POSITIONS, u64::MAX - 1, u64::MAX] {
        let bits = bits[0] >> 64 << 64 | u128::from(position);
        let tail = POSITIONS - 1;
        let error = TicketError::Unreserved { position, first: 0, tail };
        assert_eq!(ring.ticket_from_bits(bits), Err(error));
    }
}

/// Two rings of one identity live at once, and each reserves positions that the other one has not.
/// No ring accepts a value for a position that it has not reserved, and no value is lost.
#[test]
fn a_ticket_of_a_twin_is_checked() {
    let counter = DropCounter::default();
    let made = Ring::<Counted>::with_capacity(4).unwrap();
    let twins = [0, 2].map(|first| Ring::<Counted>::resume(made.id(), 4, first).unwrap());
    let reason = |ring: &Ring<Counted>, ticket| {
        ring.complete(ticket, counter.value()).map_err(|refused| refused.reason)
    };
    let mut of_made = made.open().unwrap();
    let [mut of_first, mut of_second] = twins.each_ref().map(|ring| ring.open().unwrap());
    let from_made: Vec<_> = of_made.reserve_many(2).unwrap().collect();
    let from_first: Vec<_> = of_first.reserve_many(4).unwrap().collect();
    let from_second: Vec<_> = of_second.reserve_many(1).unwrap().collect();
    assert_eq!(from_made, from_first[..2]);
    assert_eq!(from_first[2..3], from_second);

    // A ring that was made trusts its own tickets, so it accepts no others.
    for &ticket in from_first.iter().chain(&from_second) {
        assert_eq!(reason(&made, ticket), Err(Reason::Foreign));
        assert_eq!(made.evict(ticket), Err(Reason::Foreign));
        assert!(!made.is_wanted(ticket));
    }
    // The second twin has reserved position 2, and not position 3.
    assert_eq!(reason(&twins[1], from_first[3]), Err(Reason::Unreserved));
    assert_eq!(twins[1].evict(from_first[3]), Err(Reason::Unreserved));
    assert_eq!(reason(&twins[1], from_made[1]), Err(Reason::Stale));
    assert_eq!(reason(&twins[1], from_first[2]), Ok(()));
    assert_eq!(reason(&twins[0], from_second[0]), Ok(()), "each ring accepts the position once");
    assert_eq!(reason(&twins[0], from_made[1]), Ok(()));
    assert_eq!(reason(&made, from_made[1]), Ok(()));

    let bits = from_first[3].to_bits();
    let unreserved = TicketError::Unreserved { position: 3, first: 0, tail: 2 };
    assert_eq!(made.ticket_from_bits(bits), Err(unreserved));
    let bits = made.ticket_from_bits(from_first[0].to_bits()).unwrap();
    assert_eq!(reason(&made, bits), Ok(()), "bits carry no mark");

    assert_eq!(of_made.drain_ready().count(), 2);
    assert_eq!(of_first.drain_ready().count(), 0, "position 0 is missing");
    assert_eq!(of_second.drain_ready().count(), 1);
    drop((of_made, of_first, of_second));
    counter.assert_each_dropped_once();
}

/// The budget belongs to a batch. Two batches of one identity may begin at the same position.
#[test]
fn a_budget_does_not_confuse_the_batches_of_one_identity() {
    let id = Ring::<u8>::with_capacity(1).unwrap().id();
    let mut budget = Budget::new(10);
    let ring = Ring::<u8>::resume(id, 4, 5).unwrap();
    let (mut producer, _consumer) = ring.open().unwrap().split();
    assert_eq!(budget.reserve(&mut producer, 10).unwrap().position(), 5);
    assert_eq!(budget.reserve(&mut producer, 1), Err(ReserveError::Full));

    let next = Ring::<u8>::resume(id, 4, 5).unwrap();
    let (mut producer, _consumer) = next.open().unwrap().split();
    // This position has no weight, although the same position of the last ring has one.
    assert_eq!(producer.reserve().unwrap().position(), 5);
    assert_eq!(budget.reserve(&mut producer, 10).unwrap().position(), 6);
    assert_eq!(budget.reserve(&mut producer, 1), Err(ReserveError::Full));
}
