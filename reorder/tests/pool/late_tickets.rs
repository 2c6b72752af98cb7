//! Tickets that come late, twice, or to the wrong pool, and the counts of their refusals.

use crate::drop_counter::DropCounter;
use reorder_ring::{Gap, Reason, Refusals, Ring, RingPool, Ticket, TicketError};

/// Returns a pool that frees each ring when its lease ends.
fn pool_without_idle_rings<T>() -> RingPool<T> {
    RingPool::with_idle_limit(0)
}

/// Returns a ticket of a batch that is closed, and whose lease has ended.
fn late_ticket<T>(pool: &RingPool<T>, capacity: usize) -> Ticket {
    let lease = pool.lease(capacity).unwrap();
    let mut batch = lease.open().unwrap();
    batch.reserve().unwrap()
}

#[test]
fn the_pool_returns_each_reason_that_the_ring_returns() {
    let (pool, counter) = (RingPool::new(), DropCounter::default());
    let stale = late_ticket(&pool, 8);
    let lease = pool.lease(8).unwrap();
    let mut batch = lease.open().unwrap();
    let tickets: Vec<_> = batch.reserve_many(5).unwrap().collect();
    let [settled, ready, evicted, abandoned, missing] = tickets[..] else { unreachable!() };
    pool.complete(settled, counter.value()).unwrap();
    drop(batch.try_next().unwrap());
    pool.complete(ready, counter.value()).unwrap();
    pool.evict(evicted).unwrap();
    // The position of a permit has no ticket. Its bits follow from the bits of an earlier ticket.
    drop(batch.permit().unwrap());
    let given_up = pool.ticket_from_bits(abandoned.to_bits() + 2).unwrap();
    let foreign = Ring::<u8>::with_capacity(8).unwrap().open().unwrap().reserve().unwrap();

    for (ticket, reason) in [
        (stale, Reason::Stale),
        (settled, Reason::Settled),
        (ready, Reason::Duplicate),
        (evicted, Reason::Evicted),
        (given_up, Reason::Abandoned),
        (foreign, Reason::Foreign),
    ] {
        let value = counter.value();
        let id = value.id;
        let rejected = pool.complete(ticket, value).unwrap_err();
        assert_eq!((rejected.reason, rejected.value.id), (reason, id));
        assert!(!counter.is_dropped(id), "the refused value was dropped");
        assert_eq!(pool.evict(ticket), Err(reason));
    }
    for ticket in [abandoned, missing] {
        pool.complete(ticket, counter.value()).unwrap();
    }
    let outcomes: Vec<_> = batch.drain_ready().map(|next| next.outcome.map(drop)).collect();
    assert_eq!(
        outcomes,
        [Ok(()), Err(Gap::Evicted), Ok(()), Ok(()), Err(Gap::Abandoned)],
        "a refusal changed an outcome"
    );
    let Refusals { foreign, stale, duplicate, evicted, abandoned, settled, unreserved, .. } =
        pool.refusals();
    assert_eq!([foreign, stale, duplicate, evicted, abandoned, settled], [2; 6]);
    assert_eq!(unreserved, 0);
    drop(batch);
    counter.assert_each_dropped_once();
}

#[test]
fn a_ticket_of_an_earlier_lease_never_reaches_the_next() {
    let pool = RingPool::new();
    let mut late = Vec::new();
    for round in 0..20 {
        let lease = pool.lease(2).unwrap();
        let mut batch = lease.open().unwrap();
        let tickets: Vec<_> = batch.reserve_many(2).unwrap().collect();
        for &ticket in &late {
            assert_eq!(pool.complete(ticket, usize::MAX).unwrap_err().reason, Reason::Stale);
            assert_eq!(lease.complete(ticket, usize::MAX).unwrap_err().reason, Reason::Stale);
        }
        pool.complete(tickets[1], round).unwrap();
        late.extend(tickets);
        // The first position is still missing when the lease ends.
    }
    assert_eq!((pool.usage().rings, pool.refusals().stale), (1, 2 * 20 * 19));
}

#[test]
fn tickets_of_freed_rings_are_foreign() {
    let pool = pool_without_idle_rings();
    let mut late = Vec::new();
    for _ in 0..100 {
        late.push(late_ticket(&pool, 2));
    }
    assert_eq!(pool.usage().rings, 0);
    // This ring has the table entry of an earlier ring, but another identity.
    let lease = pool.lease(2).unwrap();
    let mut batch = lease.open().unwrap();
    let here = batch.reserve().unwrap();
    for &ticket in &late {
        let rejected = pool.complete(ticket, 'x').unwrap_err();
        assert_eq!((rejected.reason, rejected.value), (Reason::Foreign, 'x'));
        assert_eq!(pool.evict(ticket), Err(Reason::Foreign));
        let given = (ticket.to_bits() >> 64) as u64;
        assert_eq!(pool.ticket_from_bits(ticket.to_bits()), Err(TicketError::NotInPool { given }));
    }
    pool.complete(here, 'y').unwrap();
    assert_eq!(batch.try_next().unwrap().outcome, Ok('y'));
    assert_eq!(pool.refusals().foreign, 200);
}

#[test]
fn trimming_makes_stale_tickets_foreign() {
    let pool = RingPool::new();
    let late = late_ticket(&pool, 4);
    assert_eq!(pool.complete(late, 1).unwrap_err().reason, Reason::Stale);
    pool.trim(0);
    assert_eq!(pool.complete(late, 1).unwrap_err().reason, Reason::Foreign);
}

#[test]
fn pools_and_rings_are_foreign_to_each_other() {
    let pools = [RingPool::new(), RingPool::new()];
    let leases = pools.each_ref().map(|pool| pool.lease(2).unwrap());
    let lone = Ring::with_capacity(2).unwrap();
    let mut batches: Vec<_> = leases.iter().map(|lease| lease.open().unwrap()).collect();
    batches.push(lone.open().unwrap());
    let tickets: Vec<_> = batches.iter_mut().map(|batch| batch.reserve().unwrap()).collect();
    for (pool, owner) in pools.iter().zip(0..) {
        for (&ticket, of) in tickets.iter().zip(0..) {
            let bits = ticket.to_bits();
            if owner == of {
                assert_eq!(pool.ticket_from_bits(bits), Ok(ticket));
            } else {
                assert_eq!(pool.complete(ticket, 0).unwrap_err().reason, Reason::Foreign);
                let (given, own) = ((bits >> 64) as u64, (tickets[owner].to_bits() >> 64) as u64);
                assert_eq!(pool.ticket_from_bits(bits), Err(TicketError::NotInPool { given }));
                let foreign = Err(TicketError::Foreign { given, own });
                assert_eq!(leases[owner].ticket_from_bits(bits), foreign);
                assert_eq!(leases[owner].complete(ticket, 0).unwrap_err().reason, Reason::Foreign);
            }
        }
    }
    assert!(pools.iter().zip(&tickets).all(|(pool, &ticket)| pool.complete(ticket, 1).is_ok()));
    assert_eq!(lone.complete(tickets[2], 1), Ok(()));
}

#[test]
fn bits_of_positions_that_are_not_reserved_are_refused() {
    let pool = RingPool::<u8>::new();
    let lease = pool.lease(4).unwrap();
    let mut batch = lease.open().unwrap();
    let first = batch.reserve().unwrap().to_bits();
    let unreserved = |position| TicketError::Unreserved { position, first: 0, tail: 1 };
    let not_in_pool = |bits: u128| TicketError::NotInPool { given: (bits >> 64) as u64 };
    for (bits, error) in [
        (first + 1, unreserved(1)),
        (first + 4, unreserved(4)),
        (first | u128::from(u64::MAX), unreserved(u64::MAX)),
        (first ^ 1 << 64, not_in_pool(first ^ 1 << 64)),
        (first ^ 1 << 127, not_in_pool(first ^ 1 << 127)),
        (first & u128::from(u64::MAX), not_in_pool(0)),
        (first >> 64, not_in_pool(0)),
    ] {
        assert_eq!(pool.ticket_from_bits(bits), Err(error), "{bits:032x}");
    }
    let second = batch.reserve().unwrap();
    assert_eq!(pool.ticket_from_bits(first + 1), Ok(second));
}

#[test]
fn refusals_of_freed_rings_still_count() {
    let pool = pool_without_idle_rings();
    for _ in 0..10 {
        let lease = pool.lease(2).unwrap();
        let mut batch = lease.open().unwrap();
        let ticket = batch.reserve().unwrap();
        lease.complete(ticket, 1).unwrap();
        assert!(lease.complete(ticket, 1).is_err());
        assert_eq!(pool.evict(ticket), Err(Reason::Duplicate));
        batch.try_next().unwrap();
        assert_eq!(lease.evict(ticket), Err(Reason::Settled));
    }
    let kept = pool.lease(1).unwrap();
    let ticket = kept.open().unwrap().reserve().unwrap();
    assert_eq!(kept.evict(ticket), Err(Reason::Stale));
    let sums = pool.refusals();
    assert_eq!((sums.duplicate, sums.settled, sums.stale, sums.foreign), (20, 10, 1, 0));
    drop(kept);
    pool.trim(0);
    assert_eq!(pool.refusals(), sums);
}
