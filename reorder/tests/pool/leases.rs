//! Leasing a ring, returning it, leasing it again, and the handles that keep a lease.

use std::sync::mpsc;
use std::thread;

use crate::drop_counter::{Counted, DropCounter};
use crate::wake_counter::WakeCounter;
use reorder_ring::{Busy, CapacityError, Gap, Lease, Permit, Reason, ReserveError, Ring, RingPool};

/// Returns the identity of the leased ring. A ring never has the identity of a ring that was freed
/// before.
fn identity<T>(lease: &Lease<T>) -> u64 {
    let ticket = lease.open().unwrap().reserve().unwrap();
    (ticket.to_bits() >> 64) as u64
}

/// Returns `true` if every ring of the pool is leased.
fn all_leased<T>(pool: &RingPool<T>) -> bool {
    pool.usage().idle_bytes == 0
}

#[test]
fn a_returned_ring_is_leased_again_and_its_positions_continue() {
    let pool = RingPool::new();
    let mut tickets = Vec::new();
    for _ in 0..3 {
        let lease = pool.lease(4).unwrap();
        let mut batch = lease.open().unwrap();
        let ticket = batch.reserve().unwrap();
        lease.complete(ticket, 'a').unwrap();
        assert_eq!(batch.try_next().unwrap().index, 0);
        tickets.push(ticket);
    }
    let bits: Vec<_> =
        tickets.iter().map(|ticket| ticket.to_bits() - tickets[0].to_bits()).collect();
    assert_eq!((bits, pool.usage().rings), (vec![0, 1, 2], 1));
}

#[test]
fn concurrent_leases_have_different_rings() {
    let pool = RingPool::new();
    let leases: Vec<_> = (0..100).map(|_| pool.lease(2).unwrap()).collect();
    let mut batches: Vec<_> = leases.iter().map(|lease| lease.open().unwrap()).collect();
    let tickets: Vec<_> = batches.iter_mut().map(|batch| batch.reserve().unwrap()).collect();
    for (number, &ticket) in tickets.iter().enumerate().rev() {
        pool.complete(ticket, number).unwrap();
    }
    for (batch, number) in batches.iter_mut().zip(0..) {
        assert_eq!(batch.try_next().unwrap().outcome, Ok(number));
    }
}

#[test]
fn a_lease_gets_a_ring_of_its_size() {
    let pool = RingPool::<u64>::new();
    let mut seen = Vec::new();
    for round in 0..3 {
        for log in 0..=12 {
            let lease = pool.lease(1 << log).unwrap();
            assert_eq!(lease.capacity(), 1 << log);
            if round == 0 {
                seen.push(identity(&lease));
            }
            assert_eq!(identity(&lease), seen[log], "not the ring of this size");
        }
    }
    // A capacity between two powers of two is rounded up.
    for (asked, given) in [(3, 4), (5, 8), (1000, 1024), (1025, 2048)] {
        let lease = pool.lease(asked).unwrap();
        assert_eq!((lease.capacity(), pool.usage().rings), (given, 13));
    }
}

#[test]
fn an_impossible_capacity_is_refused_and_leaves_no_ring() {
    let pool = RingPool::<u64>::new();
    for capacity in [0, usize::MAX, usize::MAX / 2 + 1] {
        let refused = Ring::<u64>::with_capacity(capacity).unwrap_err();
        assert_eq!(pool.lease(capacity).unwrap_err(), refused);
    }
    if cfg!(all(target_pointer_width = "64", not(miri))) {
        // The allocator refuses, and the pool returns the table entry of the ring.
        for _ in 0..3 {
            let error = pool.lease(1 << 58).unwrap_err();
            assert!(matches!(error, CapacityError::OutOfMemory { .. }), "{error}");
        }
    }
    assert_eq!(pool.usage().rings, 0);
    assert!(pool.lease(1).is_ok());
}

#[test]
fn batches_follow_each_other_on_one_lease_and_never_overlap() {
    let pool = RingPool::new();
    let lease = pool.lease(2).unwrap();
    let mut late = None;
    for number in 0..5 {
        let mut batch = lease.open().unwrap();
        assert_eq!(lease.open().unwrap_err(), Busy::Leased);
        assert_eq!(lease.clone().open_owned().unwrap_err(), Busy::Leased);
        let ticket = batch.reserve().unwrap();
        if let Some(late) = late.replace(ticket) {
            assert_eq!(lease.complete(late, 99).unwrap_err().reason, Reason::Stale);
        }
        lease.complete(ticket, number).unwrap();
        assert_eq!(batch.try_next().unwrap().outcome, Ok(number));
    }
}

#[test]
fn each_owned_handle_keeps_the_lease() {
    let pool = RingPool::<u8>::new();
    let lease = pool.lease(4).unwrap();
    let mut batch = lease.open_owned().unwrap();
    let permit = batch.permit().unwrap();
    let canceller = batch.canceller();
    let (producer, consumer) = batch.split();
    let clone = lease.clone();
    let handles: [Box<dyn FnOnce()>; 6] = [
        Box::new(move || drop(lease)),
        Box::new(move || drop(producer)),
        Box::new(move || drop(permit)),
        Box::new(move || drop(clone)),
        Box::new(move || drop(consumer)),
        Box::new(move || drop(canceller)),
    ];
    for drop_handle in handles {
        assert!(all_leased(&pool));
        drop_handle();
    }
    assert!(!all_leased(&pool));
}

#[test]
fn owned_handles_work_on_other_threads_without_pool_and_lease() {
    let counter = DropCounter::default();
    let (mut producer, mut consumer) = {
        let pool = RingPool::new();
        pool.lease(8).unwrap().open_owned().unwrap().split()
    };
    let (sender, permits) = mpsc::channel();
    let completing = thread::spawn({
        let counter = counter.clone();
        move || permits.iter().for_each(|(permit, gap)| complete_or_drop(permit, gap, &counter))
    });
    let taking = thread::spawn(move || {
        let mut taken = 0;
        while let Some(delivery) = consumer.next().unwrap() {
            assert_eq!(delivery.index, taken);
            assert_eq!(delivery.outcome.err(), (taken % 5 == 0).then_some(Gap::Abandoned));
            taken += 1;
        }
        taken
    });
    for index in 0..100 {
        producer.wait_for_space(None).unwrap();
        sender.send((producer.permit().unwrap(), index % 5 == 0)).unwrap();
    }
    producer.finish();
    drop(sender);
    completing.join().unwrap();
    assert_eq!(taking.join().unwrap(), 100);
    counter.assert_each_dropped_once();
}

fn complete_or_drop(permit: Permit<Lease<Counted>>, gap: bool, counter: &DropCounter) {
    if !gap {
        permit.complete(counter.value()).unwrap();
    }
}

#[test]
fn a_lease_that_outlives_its_pool_is_usable_and_frees_it() {
    let counter = DropCounter::default();
    let pool = RingPool::new();
    let (first, second) = (pool.lease(2).unwrap(), pool.lease(4).unwrap());
    drop(pool.lease(8).unwrap());
    drop(pool);
    for lease in [first, second] {
        let mut batch = lease.open().unwrap();
        let tickets = batch.reserve_many(2).unwrap();
        tickets.for_each(|ticket| lease.complete(ticket, counter.value()).unwrap());
        drop(batch.try_next().unwrap());
        // The batch drops the other value.
        drop(batch);
        drop(lease);
    }
    counter.assert_each_dropped_once();
}

#[test]
fn a_lease_can_end_on_another_thread() {
    let (pool, counter) = (RingPool::new(), DropCounter::default());
    let lease = pool.lease(4).unwrap();
    let first = identity(&lease);
    let mut batch = lease.open_owned().unwrap();
    let ticket = batch.reserve().unwrap();
    lease.complete(ticket, counter.value()).unwrap();
    thread::spawn(move || drop((batch, lease))).join().unwrap();
    counter.assert_each_dropped_once();
    let lease = pool.lease(4).unwrap();
    assert_eq!(identity(&lease), first);
    assert_eq!(lease.complete(ticket, counter.value()).unwrap_err().reason, Reason::Stale);
}

#[test]
fn clones_of_a_pool_share_its_rings() {
    let pool = RingPool::new();
    let other = pool.clone();
    let lease = pool.lease(1).unwrap();
    let mut batch = lease.open().unwrap();
    let ticket = batch.reserve().unwrap();
    other.complete(ticket, 1).unwrap();
    assert_eq!(batch.try_next().unwrap().outcome, Ok(1));
    assert_eq!(other.complete(ticket, 2).unwrap_err().reason, Reason::Settled);
    // Other tests of the process change the bytes that wait to be freed.
    let views = |pool: &RingPool<_>| (pool.usage().rings, pool.usage().idle_bytes, pool.refusals());
    assert_eq!(views(&pool), views(&other));
    drop(batch);
    drop(lease);
    drop(pool);
    assert_eq!(other.usage().rings, 1, "the ring was freed");
    drop(other.lease(1).unwrap());
    assert_eq!(other.usage().rings, 1);
}

#[test]
fn a_permit_that_is_dropped_leaves_a_gap_and_a_late_permit_is_refused() {
    let pool = RingPool::new();
    let mut batch = pool.lease(4).unwrap().open_owned().unwrap();
    let (kept, lost, late) =
        (batch.permit().unwrap(), batch.permit().unwrap(), batch.permit().unwrap());
    drop(lost);
    kept.complete(1).unwrap();
    assert_eq!(batch.try_next().unwrap().outcome, Ok(1));
    assert_eq!(batch.try_next().unwrap().outcome, Err(Gap::Abandoned));
    drop(batch);
    // The late permit keeps the lease, so that its ring is not leased again.
    let other = pool.lease(4).unwrap();
    assert_eq!(pool.usage().rings, 2);
    assert_eq!(late.complete(2).unwrap_err().reason, Reason::Stale);
    assert!(!all_leased(&pool), "the last permit did not end the lease");
    drop(other);
}

#[test]
fn a_canceller_of_an_earlier_lease_cancels_nothing() {
    let pool = RingPool::new();
    let lease = pool.lease(2).unwrap();
    let mut batch = lease.open_owned().unwrap();
    let canceller = batch.canceller();
    assert!(canceller.cancel());
    assert_eq!(batch.reserve(), Err(ReserveError::Cancelled));
    drop(batch);
    // The canceller still keeps the lease. It does not belong to the next batch on that lease.
    let mut next = lease.open_owned().unwrap();
    assert!(!canceller.cancel());
    let ticket = next.reserve().unwrap();
    pool.complete(ticket, 'b').unwrap();
    assert_eq!(next.try_next().unwrap().outcome, Ok('b'));
}

#[test]
fn a_completion_through_the_pool_wakes_the_waiting_consumer() {
    let pool = RingPool::new();
    let lease = pool.lease(2).unwrap();
    let (mut producer, mut consumer) = lease.open().unwrap().split();
    let (wake_counter, waker) = WakeCounter::new();
    let mut context = std::task::Context::from_waker(&waker);
    for evicted in [false, true] {
        let ticket = producer.reserve().unwrap();
        let before = wake_counter.count();
        assert!(consumer.poll_next(&mut context).is_pending());
        match evicted {
            false => pool.complete(ticket, 7).unwrap(),
            true => pool.evict(ticket).unwrap(),
        }
        assert_eq!(wake_counter.count(), before + 1);
        assert!(consumer.poll_next(&mut context).is_ready());
    }
}

#[test]
fn pool_and_lease_implement_debug_for_any_value() {
    struct Opaque;
    let pool = RingPool::<Opaque>::default();
    let lease = pool.lease(2).unwrap();
    let id = lease.id();
    let expected = format!("Lease(Ring {{ id: {id:?}, capacity: 2, head: 0, tail: 0, .. }})");
    assert_eq!(format!("{lease:?}"), expected);
    assert_eq!(format!("{pool:?}"), "RingPool { rings: 1, idle_bytes: 0, .. }");
}
