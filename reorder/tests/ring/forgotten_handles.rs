//! Handles that are forgotten, that outlive the other owners of their ring, or that are dropped in
//! any order.

use std::mem::forget;
use std::sync::Arc;
use std::thread;

use crate::drop_counter::{Counted, DropCounter};
use reorder_ring::{Batch, Busy, Gap, HeadState, Reason, ReserveError, Ring, TryNextError};

const CAPACITY: usize = 4;

fn ring() -> (Ring<Counted>, DropCounter) {
    (Ring::with_capacity(CAPACITY).unwrap(), DropCounter::default())
}

/// Opens a batch with one delivered position, two ready positions and one missing position.
fn partly_taken_batch<'r>(
    ring: &'r Ring<Counted>,
    counter: &DropCounter,
) -> Batch<&'r Ring<Counted>> {
    let mut batch = ring.open().unwrap();
    let tickets = batch.reserve_many(CAPACITY).unwrap();
    for ticket in tickets.take(CAPACITY - 1) {
        ring.complete(ticket, counter.value()).unwrap();
    }
    drop(batch.try_next());
    assert_eq!(counter.alive(), 2);
    batch
}

#[test]
fn a_forgotten_batch_keeps_its_ring_leased_and_the_ring_drops_its_values() {
    let (ring, counter) = ring();
    let mut batch = partly_taken_batch(&ring, &counter);
    let ticket = batch.reserve().unwrap();
    forget(batch);
    for _ in 0..2 {
        assert_eq!(ring.open().unwrap_err(), Busy::Leased);
    }
    // The tickets are still valid, also after the ring has moved. Only the batch borrowed the ring.
    let ring = Box::new(ring);
    ring.complete(ticket, counter.value()).unwrap();
    assert_eq!(ring.complete(ticket, counter.value()).unwrap_err().reason, Reason::Duplicate);
    assert_eq!(counter.alive(), 3);
    drop(ring);
    counter.assert_each_dropped_once();
}

#[test]
fn a_forgotten_producer_leaves_the_consumer_pending_and_the_ring_leased() {
    let (ring, counter) = ring();
    let (producer, mut consumer) = partly_taken_batch(&ring, &counter).split();
    forget(producer);
    assert_eq!(consumer.drain_ready().filter(|next| next.outcome.is_ok()).count(), 2);
    assert_eq!(consumer.try_next().err(), Some(TryNextError::Pending));
    consumer.evict_head().unwrap();
    assert_eq!(consumer.try_next().ok().map(|next| next.outcome.err()), Some(Some(Gap::Evicted)));
    assert_eq!(
        consumer.try_next().err(),
        Some(TryNextError::Pending),
        "the producer declared no end"
    );
    assert!(consumer.canceller().cancel());
    assert_eq!(
        consumer.try_next().err(),
        Some(TryNextError::Cancelled),
        "a cancellation ends the wait"
    );
    drop(consumer);
    assert_eq!(ring.open().unwrap_err(), Busy::Leased);
    drop(ring);
    counter.assert_each_dropped_once();
}

#[test]
fn the_consumer_drops_the_values_behind_a_forgotten_producer() {
    let (ring, counter) = ring();
    let (producer, consumer) = partly_taken_batch(&ring, &counter).split();
    forget(producer);
    drop(consumer);
    assert_eq!(counter.alive(), 0);
    assert_eq!(ring.open().unwrap_err(), Busy::Leased);
}

#[test]
fn a_forgotten_consumer_leaves_the_window_full_and_the_ring_leased() {
    let (ring, counter) = ring();
    let (mut producer, consumer) = partly_taken_batch(&ring, &counter).split();
    forget(consumer);
    let ticket = producer.reserve().unwrap();
    ring.complete(ticket, counter.value()).unwrap();
    assert_eq!(producer.reserve(), Err(ReserveError::Full));
    producer.finish();
    assert_eq!(ring.open().unwrap_err(), Busy::Leased);
    assert_eq!(counter.alive(), 3);
    drop(ring);
    counter.assert_each_dropped_once();
}

#[test]
fn a_forgotten_permit_stalls_its_batch_until_it_is_evicted() {
    let (ring, counter) = ring();
    let mut batch = ring.open().unwrap();
    forget(batch.permit().unwrap());
    let ticket = batch.reserve().unwrap();
    ring.complete(ticket, counter.value()).unwrap();
    assert_eq!(batch.try_next().err(), Some(TryNextError::Pending));
    assert_eq!(batch.head_of_line().state, HeadState::Missing, "the head of line is not reported");
    batch.evict_head().unwrap();
    let outcomes: Vec<_> = batch.drain_ready().map(|next| next.outcome.map(drop)).collect();
    assert_eq!(outcomes, [Err(Gap::Evicted), Ok(())]);
    // A forgotten permit does not keep the ring leased.
    forget(batch.permit().unwrap());
    drop(batch);
    drop(ring.open().unwrap());
    counter.assert_each_dropped_once();
}

#[test]
#[expect(clippy::forget_non_drop, reason = "the test is that they need no drop")]
fn forgotten_tickets_cancellers_and_drains_change_nothing() {
    let (ring, counter) = ring();
    let mut batch = partly_taken_batch(&ring, &counter);
    forget(batch.canceller());
    let mut drain = batch.drain_ready();
    assert!(drain.next().is_some());
    forget(drain);
    assert_eq!(batch.try_next().ok().map(|next| next.index), Some(2));
    forget(batch.reserve_many(3).unwrap());
    for index in 3..7 {
        batch.evict_index(index).unwrap();
    }
    assert_eq!(batch.drain_ready().count(), 4);
    drop(batch);
    assert!(ring.open().is_ok());
    counter.assert_each_dropped_once();
}

/// Calls `visit` with every order of `items`.
fn permutations(items: &mut [usize], fixed: usize, visit: &mut impl FnMut(&[usize])) {
    if fixed == items.len() {
        return visit(items);
    }
    for swap in fixed..items.len() {
        items.swap(fixed, swap);
        permutations(items, fixed + 1, visit);
        items.swap(fixed, swap);
    }
}

#[test]
fn owned_handles_may_be_dropped_in_any_order() {
    let mut orders = 0;
    permutations(&mut [0, 1, 2, 3, 4, 5], 0, &mut |order| {
        orders += 1;
        let counter = DropCounter::default();
        let ring = Arc::new(Ring::with_capacity(CAPACITY).unwrap());
        let weak = Arc::downgrade(&ring);
        let mut batch = ring.open_owned().unwrap();
        let ticket = batch.reserve().unwrap();
        let (kept, dropped) = (batch.permit().unwrap(), batch.permit().unwrap());
        ring.complete(ticket, counter.value()).unwrap();
        let canceller = batch.canceller();
        let (producer, consumer) = batch.split();
        let value = counter.value();
        let mut handles: [Option<Box<dyn FnOnce()>>; 6] = [
            Some(Box::new(move || drop(ring))),
            Some(Box::new(move || drop(producer))),
            Some(Box::new(move || drop(consumer))),
            // The order decides whether the value is accepted. It is dropped once in both cases.
            Some(Box::new(move || drop(kept.complete(value)))),
            Some(Box::new(move || drop(dropped))),
            Some(Box::new(move || drop(canceller))),
        ];
        for (dropped, &handle) in order.iter().enumerate() {
            assert_eq!(weak.strong_count(), 6 - dropped, "each handle counts once");
            handles[handle].take().expect("an order has each handle once")();
        }
        assert_eq!(weak.strong_count(), 0);
        counter.assert_each_dropped_once();
    });
    assert_eq!(orders, 720);
}

#[test]
fn owned_handles_work_on_other_threads_without_another_owner() {
    let counter = DropCounter::default();
    let ring = Arc::new(Ring::with_capacity(CAPACITY).unwrap());
    let (mut producer, mut consumer) = ring.open_owned().unwrap().split();
    let weak = Arc::downgrade(&ring);
    drop(ring);
    let producer = thread::spawn({
        let counter = counter.clone();
        move || {
            let permits: Vec<_> = (0..CAPACITY).map(|_| producer.permit().unwrap()).collect();
            producer.finish();
            permits.into_iter().rev().for_each(|p| p.complete(counter.value()).unwrap());
        }
    });
    let consumer = thread::spawn(move || {
        let mut delivered = Vec::new();
        loop {
            match consumer.try_next() {
                Ok(next) => delivered.push((next.index, next.outcome.is_ok())),
                Err(TryNextError::Pending) => thread::yield_now(),
                Err(error) => return (delivered, error),
            }
        }
    });
    producer.join().unwrap();
    let (delivered, error) = consumer.join().unwrap();
    assert_eq!(delivered, (0..CAPACITY as u64).map(|index| (index, true)).collect::<Vec<_>>());
    assert_eq!((error, weak.strong_count()), (TryNextError::Ended, 0));
    counter.assert_each_dropped_once();
}

#[test]
fn a_batch_can_be_the_value_of_another_ring() {
    let counter = DropCounter::default();
    let outer = Ring::with_capacity(2).unwrap();
    let inner: Vec<_> = (0..4).map(|_| Arc::new(Ring::with_capacity(CAPACITY).unwrap())).collect();
    let mut batches = outer.open().unwrap();
    for pair in inner.chunks(2) {
        let tickets = batches.reserve_many(2).unwrap().collect::<Vec<_>>().into_iter();
        for (ticket, ring) in tickets.zip(pair).rev() {
            let mut batch = ring.open_owned().unwrap();
            ring.complete(batch.reserve().unwrap(), counter.value()).unwrap();
            outer.complete(ticket, batch).map_err(|rejected| rejected.reason).unwrap();
            assert_eq!(ring.open().unwrap_err(), Busy::Leased);
        }
        // Of each pair, one inner batch is delivered. The outer batch closes the other one.
        let mut first = batches.try_next().ok().unwrap().outcome.ok().unwrap();
        assert!(std::ptr::eq(first.ring(), &*pair[0]));
        assert!(first.try_next().is_ok());
        drop((first, batches));
        assert!(pair.iter().all(|ring| ring.open().is_ok()));
        batches = outer.open().unwrap();
    }
    counter.assert_each_dropped_once();
}
