//! Reservation up to an index, and completion by index.

use std::sync::Arc;
use std::thread;

use crate::drop_counter::DropCounter;
use crate::gaps::CAPACITIES;
use reorder_ring::{
    Completer, Gap, Reason, ReserveThroughError, Ring, RingRef, Ticket, TryNextError,
};

/// The first position that does not exist, on a ring without slots.
const POSITIONS: u64 = 1 << 61;

fn full(index: u64, end: u64) -> Result<(), ReserveThroughError> {
    Err(ReserveThroughError::Full { index, end })
}

/// Completes an index and asserts that the value comes back, with the reason.
#[track_caller]
fn refused<R>(completer: &Completer<R>, index: u64) -> Reason
where
    R: RingRef<Value = usize>,
{
    let rejected = completer.complete_index(index, 17).unwrap_err();
    assert_eq!(rejected.value, 17);
    rejected.reason
}

#[test]
fn reserve_through_reserves_up_to_the_index_or_nothing() {
    for capacity in CAPACITIES {
        let ring = Ring::<()>::with_capacity(capacity).unwrap();
        let end = capacity as u64;
        // The indices of the second batch begin at 0, too.
        for _ in 0..2 {
            let mut batch = ring.open().unwrap();
            for index in [end, end + 1, 2 * end, u64::from(u32::MAX)] {
                assert_eq!(batch.reserve_through(index), full(index, end));
                assert_eq!(batch.reserved(), 0);
            }
            let mut reserved = 0;
            for index in [0, end / 2, 0, end - 1, end / 2, end - 1] {
                assert_eq!(batch.reserve_through(index), Ok(()));
                reserved = reserved.max(index + 1);
                assert_eq!(batch.reserved(), reserved);
            }
            assert_eq!(batch.reserve_through(end), full(end, end));

            // The window moves on with each delivery, and not with an eviction.
            batch.evict_head().unwrap();
            assert_eq!(batch.reserve_through(end), full(end, end));
            batch.try_next().unwrap();
            assert_eq!(batch.reserve_through(end + 1), full(end + 1, end + 1));
            assert_eq!(batch.reserve_through(end), Ok(()));
            assert_eq!(batch.reserve_through(0), Ok(()), "it was delivered, so it was reserved");
        }
    }
}

#[test]
fn an_index_without_a_position_is_told_from_a_full_window() {
    for capacity in CAPACITIES {
        let size = capacity as u64;
        let ring = Ring::<()>::starting_at(capacity, POSITIONS - size - 1).unwrap();
        let mut batch = ring.open().unwrap();
        for index in [1, 2, size, u64::MAX] {
            let error = ReserveThroughError::Exhausted { index, end: 1 };
            assert_eq!(batch.reserve_through(index), Err(error));
        }
        assert_eq!(batch.reserve_through(0), Ok(()));
        assert_eq!(batch.ticket(0).map(Ticket::position), Ok(POSITIONS - size - 1));
        assert_eq!(batch.complete_index(0, ()), Ok(()));
        for index in [1, u64::MAX] {
            assert_eq!(batch.ticket(index), Err(Reason::Unreserved));
            assert_eq!(batch.completer().ticket(index), Err(Reason::Unreserved));
        }
    }
    // An absurd number in a young ring.
    let ring = Ring::<()>::with_capacity(2).unwrap();
    let mut batch = ring.open().unwrap();
    let error = batch.reserve_through(u64::MAX).unwrap_err();
    assert_eq!(error, ReserveThroughError::Exhausted { index: u64::MAX, end: POSITIONS - 2 });
    assert!(error.to_string().contains(&format!("index {}", u64::MAX)), "{error}");
    let last = POSITIONS - 3;
    assert_eq!(batch.reserve_through(last), full(last, 2));
}

#[test]
fn a_cancelled_batch_reserves_no_further_index() {
    let ring = Ring::<u8>::with_capacity(4).unwrap();
    let (mut producer, consumer) = ring.open().unwrap().split();
    producer.reserve_through(1).unwrap();
    drop(consumer);
    for index in [2, 9, u64::MAX] {
        assert_eq!(producer.reserve_through(index), Err(ReserveThroughError::Cancelled));
    }
    assert_eq!(producer.reserve_through(1), Ok(()));
    assert!(producer.complete_index(1, 1).is_err(), "the batch has no consumer");
}

#[test]
fn the_ticket_of_an_index_is_the_ticket_of_its_reservation() {
    for first in [0, 5, POSITIONS - 12] {
        let ring = Ring::<()>::starting_at(4, first).unwrap();
        for _ in 0..2 {
            let mut batch = ring.open().unwrap();
            let completer = batch.completer();
            assert_eq!(batch.ticket(0), Err(Reason::Unreserved));
            assert_eq!(completer.ticket(0), Err(Reason::Unreserved));
            for (index, ticket) in batch.reserve_many(3).unwrap().enumerate() {
                assert_eq!(batch.ticket(index as u64), Ok(ticket));
                assert_eq!(completer.ticket(index as u64), Ok(ticket));
            }
            for index in [3, u64::MAX] {
                assert_eq!(batch.ticket(index), Err(Reason::Unreserved));
                assert_eq!(completer.ticket(index), Err(Reason::Unreserved));
            }
        }
        assert_eq!(ring.refusals(), Default::default(), "no value was refused");
    }
}

#[test]
fn each_refusal_by_index_has_its_reason_and_returns_the_value() {
    let ring = Ring::with_capacity(4).unwrap();
    let (mut producer, mut consumer) = ring.open().unwrap().split();
    producer.reserve_through(2).unwrap();
    let completer = producer.completer();
    completer.complete_index(1, 1).unwrap();
    producer.complete_index(0, 0).unwrap();
    consumer.evict_index(2).unwrap();
    assert_eq!(consumer.try_next().unwrap().outcome, Ok(0));

    let expected = [Reason::Settled, Reason::Duplicate, Reason::Evicted, Reason::Unreserved];
    for (index, reason) in (0..).zip(expected) {
        assert_eq!(refused(&completer, index), reason);
        let rejected = producer.complete_index(index, 18).unwrap_err();
        assert_eq!((rejected.reason, rejected.value), (reason, 18));
    }
    assert_eq!(refused(&completer, u64::MAX), Reason::Unreserved);
    let counted = ring.refusals();
    assert_eq!((counted.settled, counted.duplicate, counted.evicted), (2, 2, 2));
    assert_eq!((counted.unreserved, counted.stale), (3, 0));

    // Without its producer, the batch is not over.
    producer.finish();
    assert_eq!(refused(&completer, 3), Reason::Unreserved);
    assert_eq!(consumer.try_next().unwrap().outcome, Ok(1));
    assert_eq!(consumer.try_next().unwrap().outcome, Err(Gap::Evicted));
    assert_eq!(consumer.try_next(), Err(TryNextError::Ended));
    drop(consumer);
    for index in [0, 3, u64::MAX] {
        assert_eq!(refused(&completer, index), Reason::Stale);
        assert_eq!(completer.ticket(index), Err(Reason::Stale));
    }
}

/// The indices from 2 on of the first batch would be positions of the second one.
#[test]
fn a_completer_of_an_earlier_batch_completes_nothing() {
    for capacity in CAPACITIES {
        let ring = Arc::new(Ring::<usize>::with_capacity(capacity).unwrap());
        let mut batch = ring.open_owned().unwrap();
        batch.reserve_through(0).unwrap();
        let late = batch.completer();
        drop(batch);

        let mut next = ring.open_owned().unwrap();
        next.reserve_through(capacity as u64 - 1).unwrap();
        for index in 0..3 * capacity as u64 {
            assert_eq!(refused(&late.clone(), index), Reason::Stale);
        }
        assert_eq!(next.try_next().err(), Some(TryNextError::Pending));
        let own = next.completer();
        for index in (0..capacity).rev() {
            own.complete_index(index as u64, index).unwrap();
        }
        assert!(next.drain_ready().map(|next| next.outcome).eq((0..capacity).map(Ok)));
    }
}

/// Two threads bring each number, the second copy of some is late, and some numbers never come.
#[test]
fn completers_on_several_threads_deliver_each_index_once() {
    const NUMBERS: u64 = if cfg!(miri) { 40 } else { 4000 };
    let (ring, counter) = (Ring::with_capacity(16).unwrap(), DropCounter::default());
    let (producer, consumer) = ring.open().unwrap().split();
    let completer = producer.completer();
    let is_lost = |number: u64| number % 7 == 3;
    let bring = |number| {
        let mut value = counter.value();
        while let Err(rejected) = completer.complete_index(number, value) {
            if rejected.reason != Reason::Unreserved {
                return;
            }
            value = rejected.value;
            thread::yield_now();
        }
    };
    thread::scope(|scope| {
        // Each thread brings the numbers in blocks of four, in an order of its own.
        for order in [[2, 0, 3, 1], [1, 3, 2, 0]] {
            scope.spawn(move || {
                let blocks = (0..NUMBERS / 4).flat_map(|block| order.map(|at| 4 * block + at));
                blocks.filter(|&number| !is_lost(number)).for_each(bring);
            });
        }
        // They are dropped here, also by a panic. Then the completers end.
        let (mut producer, mut consumer) = (producer, consumer);
        let mut delivered = 0;
        while delivered < NUMBERS {
            let last = (delivered + 15).min(NUMBERS - 1);
            producer.reserve_through(last).unwrap();
            if is_lost(delivered) {
                consumer.evict_head().unwrap();
            }
            match consumer.try_next() {
                Ok(delivery) => {
                    assert_eq!(delivery.index, delivered);
                    assert_eq!(delivery.outcome.is_err(), is_lost(delivered));
                    delivered += 1;
                }
                Err(error) => {
                    assert_eq!(error, TryNextError::Pending);
                    thread::yield_now();
                }
            }
        }
    });
    let counted = ring.refusals();
    let arrived = (0..NUMBERS).filter(|&number| !is_lost(number)).count() as u64;
    // The slower thread may bring its last copies after the end of the batch.
    let refused = counted.duplicate + counted.settled + counted.stale;
    assert_eq!(refused, arrived, "each second copy is refused");
    counter.assert_each_dropped_once();
}
