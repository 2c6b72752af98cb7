//! Forgotten batches and leases.

use std::mem::{ManuallyDrop, forget};
use std::thread;

use crate::drop_counter::{Counted, DropCounter};
use reorder_ring::{Busy, Lease, Reason, RingPool, Ticket, TryNextError};

const CAPACITY: usize = 4;

/// Opens a batch and completes a full window, takes one value, and reserves one more position. Then
/// forgets the batch.
fn forget_a_batch(lease: &Lease<Counted>, counter: &DropCounter) -> Vec<Ticket> {
    let mut batch = lease.open().unwrap();
    let tickets: Vec<_> = batch.reserve_many(CAPACITY).unwrap().collect();
    tickets[1..].iter().for_each(|&ticket| lease.complete(ticket, counter.value()).unwrap());
    lease.complete(tickets[0], counter.value()).unwrap();
    drop(batch.try_next().unwrap());
    // This position reuses the slot of the first one, and stays missing.
    let missing = batch.reserve().unwrap();
    forget(batch);
    [tickets, vec![missing]].concat()
}

#[test]
fn the_end_of_a_lease_closes_a_forgotten_batch_that_borrows_it() {
    let (pool, counter) = (RingPool::new(), DropCounter::default());
    for round in 1..=3 {
        let lease = pool.lease(CAPACITY).unwrap();
        assert_eq!(pool.usage().rings, 1, "a ring was lost before round {round}");
        let tickets = forget_a_batch(&lease, &counter);
        assert_eq!(
            lease.open().unwrap_err(),
            Busy::Leased,
            "the forgotten batch is open until the lease ends"
        );
        assert_eq!(counter.alive(), CAPACITY - 1);
        // The tickets are valid until then, also through the pool.
        assert_eq!(pool.complete(tickets[0], counter.value()).unwrap_err().reason, Reason::Settled);
        pool.complete(tickets[CAPACITY], counter.value()).unwrap();
        drop(lease);
        assert_eq!(counter.alive(), 0);
        for ticket in tickets {
            assert_eq!(pool.complete(ticket, counter.value()).unwrap_err().reason, Reason::Stale);
        }
    }
    counter.assert_each_dropped_once();
}

#[test]
fn a_ring_of_a_forgotten_batch_can_be_retired_with_its_lease() {
    let (pool, counter) = (RingPool::with_idle_limit(0), DropCounter::default());
    let lease = pool.lease(CAPACITY).unwrap();
    let tickets = forget_a_batch(&lease, &counter);
    drop(lease);
    assert_eq!((pool.usage().rings, counter.alive()), (0, 0));
    for ticket in tickets {
        assert_eq!(pool.complete(ticket, counter.value()).unwrap_err().reason, Reason::Foreign);
    }
    counter.assert_each_dropped_once();
}

#[test]
fn the_end_of_a_lease_closes_a_batch_with_one_forgotten_side() {
    let (pool, counter) = (RingPool::new(), DropCounter::default());
    for forgets_the_producer in [true, false] {
        let lease = pool.lease(CAPACITY).unwrap();
        let (mut producer, mut consumer) = lease.open().unwrap().split();
        let tickets: Vec<_> = producer.reserve_many(2).unwrap().collect();
        lease.complete(tickets[0], counter.value()).unwrap();
        if forgets_the_producer {
            drop(consumer.try_next().unwrap());
            assert_eq!(consumer.try_next().err(), Some(TryNextError::Pending));
            forget(producer);
            drop(consumer);
        } else {
            forget(consumer);
            producer.finish();
            assert_eq!(counter.alive(), 1);
        }
        assert_eq!(lease.open().unwrap_err(), Busy::Leased);
        drop(lease);
        assert_eq!((counter.alive(), pool.usage().rings), (0, 1));
        let reason = pool.complete(tickets[1], counter.value()).unwrap_err().reason;
        assert_eq!(reason, Reason::Stale);
    }
    counter.assert_each_dropped_once();
}

/// The takes of such a batch do not store the head, so the end of the lease finds an earlier one.
#[test]
fn the_end_of_a_lease_closes_a_batch_that_has_taken_values() {
    let (pool, counter) = (RingPool::new(), DropCounter::default());
    for taken in 0..3 * CAPACITY {
        let lease = pool.lease(CAPACITY).unwrap();
        let mut batch = lease.open().unwrap();
        for _ in 0..taken {
            lease.complete(batch.reserve().unwrap(), counter.value()).unwrap();
            drop(batch.try_next().unwrap());
        }
        let mut tickets = batch.reserve_many(2).unwrap();
        lease.complete(tickets.next().unwrap(), counter.value()).unwrap();
        let late = tickets.next().unwrap();
        forget(batch);
        drop(lease);
        assert_eq!((counter.alive(), pool.usage().rings), (0, 1));
        assert_eq!(pool.complete(late, counter.value()).unwrap_err().reason, Reason::Stale);

        let lease = pool.lease(CAPACITY).unwrap();
        let mut batch = lease.open().unwrap();
        for ticket in batch.reserve_many(CAPACITY).unwrap() {
            lease.complete(ticket, counter.value()).unwrap();
        }
        assert_eq!(batch.drain_ready().count(), CAPACITY);
    }
    counter.assert_each_dropped_once();
}

#[test]
fn the_next_batch_does_not_wake_a_forgotten_consumer() {
    let pool = RingPool::new();
    let (wake_counter, waker) = crate::wake_counter::WakeCounter::new();
    let mut context = std::task::Context::from_waker(&waker);
    for way in 0..2 {
        let lease = pool.lease(1).unwrap();
        let (mut producer, mut consumer) = lease.open().unwrap().split();
        if way == 0 {
            _ = producer.reserve().unwrap();
        }
        assert!(consumer.poll_next(&mut context).is_pending());
        forget((producer, consumer));
        drop(lease);
        let lease = pool.lease(1).unwrap();
        let mut batch = lease.open().unwrap();
        pool.complete(batch.reserve().unwrap(), way).unwrap();
        assert_eq!(batch.try_next().unwrap().outcome, Ok(way));
        assert_eq!(wake_counter.count(), 0);
    }
}

/// `ManuallyDrop` stands for `forget`: the test drops the batch in the end, so that leak detectors
/// do not report it.
#[test]
fn a_forgotten_batch_that_owns_its_lease_keeps_the_ring_leased() {
    let (pool, counter) = (RingPool::new(), DropCounter::default());
    let mut batch = pool.lease(CAPACITY).unwrap().open_owned().unwrap();
    let tickets: Vec<_> = batch.reserve_many(CAPACITY).unwrap().collect();
    pool.complete(tickets[0], counter.value()).unwrap();
    let mut forgotten = ManuallyDrop::new(batch);

    // The ring is neither leased again nor trimmed.
    let others: Vec<_> = (0..10).map(|_| pool.lease(CAPACITY).unwrap()).collect();
    assert_eq!(pool.usage().rings, 11);
    drop(others);
    pool.trim(0);
    assert_eq!((pool.usage().rings, counter.alive()), (1, 1));
    // The tickets are valid as long as there is a handle of the pool.
    pool.complete(tickets[1], counter.value()).unwrap();
    assert_eq!(pool.complete(tickets[0], counter.value()).unwrap_err().reason, Reason::Duplicate);
    drop(pool);
    assert_eq!(counter.alive(), 2);

    // The batch itself is still usable.
    assert!(forgotten.try_next().is_ok());
    drop(ManuallyDrop::into_inner(forgotten));
    counter.assert_each_dropped_once();
}

#[test]
fn a_forgotten_lease_keeps_its_ring() {
    let (pool, counter) = (RingPool::new(), DropCounter::default());
    let forgotten = ManuallyDrop::new(pool.lease(CAPACITY).unwrap());
    let tickets = forget_a_batch(&forgotten, &counter);
    drop(pool.lease(CAPACITY).unwrap());
    assert_eq!(pool.usage().rings, 2);
    assert_eq!(pool.complete(tickets[1], counter.value()).unwrap_err().reason, Reason::Duplicate);
    drop(pool);
    assert_eq!(counter.alive(), CAPACITY - 1);
    // The last lease frees the pool, here on another thread.
    thread::spawn(move || drop(ManuallyDrop::into_inner(forgotten))).join().unwrap();
    counter.assert_each_dropped_once();
}
