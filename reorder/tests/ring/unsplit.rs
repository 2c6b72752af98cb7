//! A batch that is not split: its takes do not store the head, so everything that loads the head
//! stores it first.

use reorder_ring::{Batch, ReserveError, ReserveThroughError, Ring};

const CAPACITY: usize = 4;

type Reserve = fn(&mut Batch<&Ring<u64>>) -> bool;

/// Fills the window, and takes `taken` values.
fn take_of_a_full_window(batch: &mut Batch<&Ring<u64>>, taken: usize) {
    let first = batch.reserved();
    for ticket in batch.reserve_many(CAPACITY - (first - batch.delivered()) as usize).unwrap() {
        batch.ring().complete(ticket, ticket.position()).unwrap();
    }
    for _ in 0..taken {
        batch.try_next().unwrap();
    }
}

#[test]
fn each_reservation_finds_the_space_of_the_last_take() {
    let reservations: [Reserve; 5] = [
        |batch| batch.reserve().is_ok(),
        |batch| batch.reserve_many(1).is_ok(),
        |batch| batch.permit().is_ok(),
        |batch| batch.reserve_through(batch.reserved()).is_ok(),
        |batch| batch.space() == 1,
    ];
    for (number, reserve) in reservations.into_iter().enumerate() {
        let ring = Ring::starting_at(CAPACITY, 3).unwrap();
        let mut batch = ring.open().unwrap();
        for taken in 1..=2 * CAPACITY as u64 {
            take_of_a_full_window(&mut batch, 1);
            assert!(reserve(&mut batch), "way {number}: the space of take {taken} is not found");
            // The window is full again, whichever way it was.
            if batch.reserved() - batch.delivered() == CAPACITY as u64 {
                assert_eq!(batch.reserve(), Err(ReserveError::Full));
                _ = batch.evict_index(batch.reserved() - 1);
            }
        }
    }
}

#[test]
fn reservations_of_several_find_the_space_of_all_takes() {
    for taken in 0..=CAPACITY {
        let ring = Ring::with_capacity(CAPACITY).unwrap();
        let mut batch = ring.open().unwrap();
        take_of_a_full_window(&mut batch, taken);
        let end = (CAPACITY + taken) as u64;
        assert_eq!(
            batch.reserve_many(taken + 1).err(),
            Some(if taken == CAPACITY { ReserveError::TooMany } else { ReserveError::Full })
        );
        let full = ReserveThroughError::Full { index: end, end };
        assert_eq!(batch.reserve_through(end), Err(full));
        assert_eq!(batch.reserve_many(taken).unwrap().len(), taken);
        assert_eq!(batch.reserve(), Err(ReserveError::Full));
    }
}

/// One position more would fit without the takes, and two positions fit with them only.
#[test]
fn a_reservation_of_two_finds_the_space_of_the_takes() {
    let reservations: [Reserve; 2] = [
        |batch| batch.reserve_many(2).is_ok(),
        |batch| batch.reserve_through(batch.reserved() + 1).is_ok(),
    ];
    for (number, reserve) in reservations.into_iter().enumerate() {
        let ring = Ring::with_capacity(CAPACITY).unwrap();
        let mut batch = ring.open().unwrap();
        for ticket in batch.reserve_many(CAPACITY - 1).unwrap() {
            ring.complete(ticket, 7).unwrap();
        }
        assert_eq!(batch.drain_ready().count(), CAPACITY - 1);
        assert!(reserve(&mut batch), "way {number}");
    }
}

#[test]
fn deliveries_stay_in_order_through_many_windows() {
    for capacity in [1, 2, CAPACITY] {
        let ring = Ring::starting_at(capacity, 1).unwrap();
        let mut batch = ring.open().unwrap();
        for index in 0..100 {
            let ticket = batch.reserve().unwrap();
            // A gap takes the cold path, which stores the head.
            if index % 5 == 0 {
                ring.evict(ticket).unwrap();
            } else {
                ring.complete(ticket, index).unwrap();
            }
            let delivery = match index % 3 {
                0 => batch.drain_ready().next().unwrap(),
                _ => batch.try_next().unwrap(),
            };
            assert_eq!((delivery.index, delivery.outcome.is_err()), (index, index % 5 == 0));
            assert_eq!(delivery.outcome.unwrap_or(index), index);
        }
        drop(batch);
        assert_eq!(ring.open().unwrap().space(), capacity);
    }
}

#[test]
fn a_split_tells_the_producer_of_all_takes() {
    let ring = Ring::with_capacity(CAPACITY).unwrap();
    let mut batch = ring.open().unwrap();
    take_of_a_full_window(&mut batch, 3);
    let (mut producer, mut consumer) = batch.split();
    assert_eq!(producer.reserve_many(3).unwrap().len(), 3);
    assert_eq!(producer.reserve(), Err(ReserveError::Full));
    assert_eq!(consumer.try_next().unwrap().outcome, Ok(3));
    assert_eq!(producer.space(), 1);
}
