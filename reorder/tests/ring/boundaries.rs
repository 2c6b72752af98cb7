//! The smallest and the largest rings, and the last positions.

use std::sync::Arc;

use crate::drop_counter::DropCounter;
use reorder_ring::{
    Batch, Busy, CapacityError, Reason, ReserveError, Ring, RingRef, Ticket, TicketError,
    TryNextError,
};

/// The first position that does not exist, on a ring without slots. A ring ends one position
/// earlier for each of its slots.
const POSITIONS: u64 = 1 << 61;

#[test]
fn a_capacity_is_rounded_up_to_a_power_of_two() {
    for (asked, got) in [(1, 1), (2, 2), (3, 4), (4, 4), (5, 8), (1000, 1024)] {
        let ring = Ring::<u8>::with_capacity(asked).unwrap();
        assert_eq!(ring.capacity(), got);
        let mut batch = ring.open().unwrap();
        assert_eq!(batch.space(), got, "the window is smaller than the capacity");
        assert_eq!(batch.reserve_many(got).unwrap().len(), got);
        assert_eq!(batch.reserve(), Err(ReserveError::Full));
    }
}

#[test]
fn a_capacity_of_zero_is_refused() {
    for first in [0, 1, POSITIONS, u64::MAX] {
        let error = Ring::<u8>::starting_at(0, first).unwrap_err();
        assert_eq!(error, CapacityError::Zero);
        let text = error.to_string();
        assert!(text.contains("at least 1 slot") && text.contains("not 0"), "{text}");
    }
}

fn assert_too_large<T>(slot: usize) {
    // The largest power of two of slots that an allocation may have.
    let largest = 1 << (isize::MAX as usize / slot).ilog2();
    for requested in [largest + 1, usize::MAX / 2 + 2, usize::MAX] {
        for first in [0, 1] {
            let error = Ring::<T>::starting_at(requested, first).unwrap_err();
            assert_eq!(error, CapacityError::TooLarge { requested, largest });
            let text = error.to_string();
            assert!(text.contains(&requested.to_string()), "{text}");
            assert!(text.contains(&largest.to_string()), "{text}");
        }
    }
}

#[test]
fn a_capacity_beyond_the_address_space_is_refused() {
    assert_too_large::<()>(8);
    assert_too_large::<u64>(16);
    assert_too_large::<[u8; 4096]>(4104);
}

/// The ring would take a quarter of the address space, which no allocator provides.
#[cfg(all(target_pointer_width = "64", not(miri)))]
#[test]
fn a_capacity_beyond_the_memory_is_refused() {
    // The allocator of a sanitizer aborts the process instead, unless its options say otherwise.
    if ["ASAN_OPTIONS", "TSAN_OPTIONS"].into_iter().any(aborts_without_memory) {
        eprintln!("skipped: the sanitizer needs the option allocator_may_return_null=1");
        return;
    }
    for first in [0, 1] {
        let error = Ring::<()>::starting_at(1 << 59, first).unwrap_err();
        let (capacity, bytes) = (1 << 59, 1 << 62);
        assert_eq!(error, CapacityError::OutOfMemory { capacity, bytes }, "first {first}");
        assert!(error.to_string().contains(&capacity.to_string()), "{error}");
        assert!(error.to_string().contains(&(1_u64 << 62).to_string()), "{error}");
    }
}

#[cfg(all(target_pointer_width = "64", not(miri)))]
fn aborts_without_memory(variable: &str) -> bool {
    std::env::var(variable).is_ok_and(|options| !options.contains("allocator_may_return_null=1"))
}

#[test]
fn a_first_position_beyond_the_end_is_refused() {
    for (asked, capacity) in [(1_usize, 1), (2, 2), (3, 4)] {
        let largest = POSITIONS - capacity;
        for requested in [largest + 1, POSITIONS, u64::MAX] {
            let error = Ring::<u8>::starting_at(asked, requested).unwrap_err();
            assert_eq!(error, CapacityError::FirstPosition { requested, largest });
            let text = error.to_string();
            assert!(text.contains(&requested.to_string()), "{text}");
            assert!(text.contains(&largest.to_string()), "{text}");
        }
        Ring::<u8>::starting_at(asked, largest).unwrap();
    }
}

/// Reserves `count` positions at once, completes them in reverse order, and takes them.
fn use_positions<R: RingRef<Value = u64>>(batch: &mut Batch<R>, count: usize) -> Vec<Ticket> {
    let first = batch.reserved();
    let tickets: Vec<_> = batch.reserve_many(count).unwrap().collect();
    for &ticket in tickets.iter().rev() {
        batch.ring().complete(ticket, ticket.position()).unwrap();
    }
    for (&ticket, index) in tickets.iter().zip(first..) {
        let next = batch.try_next().unwrap();
        assert_eq!((next.index, next.outcome), (index, Ok(ticket.position())));
    }
    tickets
}

#[test]
fn after_the_last_position_reserve_is_exhausted_and_all_values_are_delivered() {
    for capacity in [1, 2, 4, 8] {
        let end = POSITIONS - capacity as u64;
        for distance in 0..=3 * capacity as u64 {
            let ring = Ring::starting_at(capacity, end - distance).unwrap();
            let mut batch = ring.open().unwrap();
            let mut left = distance as usize;
            let mut last = None;
            while left > 0 {
                // A request for one position too many is refused, and reserves none.
                if left < capacity {
                    assert_eq!(batch.reserve_many(left + 1), Err(ReserveError::Exhausted));
                }
                let count = left.min(capacity);
                last = use_positions(&mut batch, count).pop();
                left -= count;
            }
            for count in [1, capacity] {
                assert_eq!(batch.reserve_many(count), Err(ReserveError::Exhausted));
            }
            assert_eq!(batch.reserve(), Err(ReserveError::Exhausted));
            assert_eq!(batch.permit().err(), Some(ReserveError::Exhausted));
            assert_eq!((batch.reserved(), batch.space()), (distance, 0));
            assert_eq!(batch.reserve_many(0).map(|run| run.len()), Ok(0));
            assert_eq!(batch.try_next(), Err(TryNextError::Ended));
            if let Some(last) = last {
                assert_eq!(last.position(), end - 1);
                assert_eq!(ring.complete(last, 0).unwrap_err().reason, Reason::Settled);
                assert_eq!(ring.ticket_from_bits(last.to_bits()), Ok(last));
                let bits = last.to_bits() + 1;
                let error =
                    TicketError::Unreserved { position: end, first: end - distance, tail: end };
                assert_eq!(ring.ticket_from_bits(bits), Err(error));
            }
        }
    }
}

#[test]
fn a_full_window_at_the_end_is_exhausted_rather_than_full() {
    for capacity in [1, 2, 4] {
        let ring = Ring::starting_at(capacity, POSITIONS - 2 * capacity as u64).unwrap();
        let mut batch = ring.open().unwrap();
        assert_eq!(batch.reserve_many(capacity + 1), Err(ReserveError::TooMany), "not `Full`");
        let tickets = batch.reserve_many(capacity).unwrap();
        assert_eq!(batch.reserve(), Err(ReserveError::Exhausted), "space never appears again");
        tickets.for_each(|ticket| ring.complete(ticket, ticket.position()).unwrap());
        assert_eq!(batch.drain_ready().count(), capacity);
        assert_eq!(batch.reserve(), Err(ReserveError::Exhausted));
    }
}

#[test]
fn a_ring_at_its_end_opens_for_empty_batches() {
    let (ring, counter) = (Ring::starting_at(2, POSITIONS - 4).unwrap(), DropCounter::default());
    let mut late = Vec::new();
    for left in [2, 1] {
        let mut batch = ring.open().unwrap();
        assert_eq!(batch.space(), left);
        let ticket = batch.reserve().unwrap();
        ring.complete(ticket, counter.value()).unwrap();
        late.push(ticket);
    }
    for _ in 0..3 {
        let (mut producer, mut consumer) = ring.open().unwrap().split();
        assert_eq!(producer.reserve(), Err(ReserveError::Exhausted));
        assert_eq!(producer.space(), 0);
        assert_eq!(consumer.try_next().err(), Some(TryNextError::Pending));
        producer.finish();
        assert_eq!(consumer.try_next().err(), Some(TryNextError::Ended));
    }
    for ticket in late {
        let rejected = ring.complete(ticket, counter.value()).unwrap_err();
        assert_eq!(rejected.reason, Reason::Stale);
    }
    counter.assert_each_dropped_once();
}

#[test]
fn empty_batches_follow_each_other() {
    let ring = Arc::new(Ring::with_capacity(1).unwrap());
    for round in 0..100 {
        drop(ring.open().unwrap());
        drop(ring.open_owned().unwrap());
        let (producer, mut consumer) = ring.open().unwrap().split();
        assert_eq!(ring.open().unwrap_err(), Busy::Leased);
        producer.finish();
        assert_eq!(ring.open().unwrap_err(), Busy::Leased, "the consumer is left");
        assert_eq!(consumer.try_next(), Err(TryNextError::Ended));
        drop(consumer);
        if round % 10 == 0 {
            let mut batch = ring.open().unwrap();
            let tickets = use_positions(&mut batch, 1);
            assert_eq!(tickets[0].position(), round / 10, "an empty batch used a position");
        }
    }
}
