//! Gaps: any position of a full window may be evicted or abandoned, and the order is kept.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::drop_counter::DropCounter;
use reorder_ring::{Batch, Delivery, Gap, Reason, ReserveError, Ring, Ticket, TryNextError};

pub(crate) const CAPACITIES: [usize; 5] = [1, 2, 4, 8, 16];

/// Opens a batch and reserves a full window.
pub(crate) fn full<T>(ring: &Ring<T>) -> (Batch<&Ring<T>>, Vec<Ticket>) {
    let mut batch = ring.open().unwrap();
    let tickets = batch.reserve_many(ring.capacity()).unwrap().collect();
    (batch, tickets)
}

/// The way of an eviction: by index or by ticket, after all completions or before.
#[derive(Clone, Copy, Debug)]
struct How {
    by_index: bool,
    last: bool,
}

/// Evicts an index, and returns the reason of a refusal.
fn evict<T>(batch: &mut Batch<&Ring<T>>, index: u64) -> Result<(), Reason> {
    batch.evict_index(index).map_err(|error| error.reason)
}

#[test]
fn any_slot_of_a_full_window_can_be_evicted_and_the_order_is_kept() {
    for capacity in CAPACITIES {
        for index in 0..capacity {
            for (by_index, last) in [(false, false), (false, true), (true, false), (true, true)] {
                evict_one(capacity, index, How { by_index, last });
            }
        }
    }
}

fn evict_one(capacity: usize, index: usize, how: How) {
    let context = format!("slot {index} of {capacity}, {how:?}");
    let (ring, counter) = (Ring::with_capacity(capacity).unwrap(), DropCounter::default());
    let (mut batch, tickets) = full(&ring);
    let ticket = tickets[index];
    let mut ids = vec![None; capacity];
    let complete = |ids: &mut [Option<usize>]| {
        for other in (0..capacity).rev().filter(|&other| other != index) {
            let value = counter.value();
            ids[other] = Some(value.id);
            ring.complete(tickets[other], value).unwrap();
        }
    };
    // A late completion returns its value, in each later state of its position.
    let refused = |reason: Reason| {
        let value = counter.value();
        let id = value.id;
        let rejected = ring.complete(ticket, value).unwrap_err();
        assert_eq!((rejected.reason, rejected.into_inner().id), (reason, id), "{context}");
        assert_eq!(ring.evict(ticket), Err(reason), "{context}");
    };

    if how.last {
        complete(&mut ids);
    }
    if how.by_index {
        batch.evict_index(index as u64).unwrap();
    } else {
        ring.evict(ticket).unwrap();
    }
    refused(Reason::Evicted);
    if !how.last {
        complete(&mut ids);
    }
    for (index, id) in ids.into_iter().enumerate() {
        let delivery = batch.try_next().unwrap();
        assert_eq!(delivery.index, index as u64, "{context}");
        assert_eq!(delivery.outcome.map(|value| value.id), id.ok_or(Gap::Evicted), "{context}");
    }
    refused(Reason::Settled);

    // The slot serves its next position, and the old ticket does not reach it.
    let again: Vec<_> = batch.reserve_many(capacity).unwrap().collect();
    refused(Reason::Settled);
    for &ticket in &again {
        ring.complete(ticket, counter.value()).unwrap();
    }
    refused(Reason::Settled);
    assert_eq!(batch.drain_ready().filter(|next| next.outcome.is_ok()).count(), capacity);
    drop(batch);
    refused(Reason::Stale);
    let (batch, _) = full(&ring);
    refused(Reason::Stale);
    drop(batch);
    drop(ring);
    counter.assert_each_dropped_once();
}

#[test]
fn a_window_of_gaps_only_is_delivered_and_makes_space() {
    for capacity in CAPACITIES {
        let ring = Ring::<()>::with_capacity(capacity).unwrap();
        let (mut batch, tickets) = full(&ring);
        for ticket in tickets.into_iter().rev() {
            ring.evict(ticket).unwrap();
        }
        assert_eq!(
            batch.reserve(),
            Err(ReserveError::Full),
            "a gap takes space until it is delivered"
        );
        let gaps: Vec<_> = batch.drain_ready().map(|next| (next.index, next.outcome)).collect();
        let expected: Vec<_> = (0..capacity as u64).map(|i| (i, Err(Gap::Evicted))).collect();
        assert_eq!(gaps, expected);
        assert_eq!(batch.space(), capacity);
    }
}

#[test]
fn an_eviction_by_index_succeeds_for_missing_positions_only() {
    let ring = Ring::with_capacity(4).unwrap();
    drop(full::<&str>(&ring));
    let mut batch = ring.open().unwrap();
    assert_eq!(batch.evict_head(), Err(Reason::Unreserved));
    let error = batch.evict_index(0).unwrap_err();
    assert_eq!((error.index, error.delivered, error.reserved), (0, 0, 0));
    assert!(error.to_string().ends_with("the window is empty at index 0"), "{error}");
    let tickets: Vec<_> = batch.reserve_many(3).unwrap().collect();
    let error = batch.evict_index(5).unwrap_err();
    assert_eq!((error.index, error.delivered, error.reserved), (5, 0, 3));
    let text = "index 5 is not evicted: the position is not reserved, as far as this thread can \
                know; the window has the indices from 0 to below 3";
    assert_eq!(error.to_string(), text);
    for index in [3, 4, 7, u64::MAX] {
        assert_eq!(evict(&mut batch, index), Err(Reason::Unreserved), "index {index}");
    }
    ring.complete(tickets[1], "one").unwrap();
    assert_eq!(evict(&mut batch, 1), Err(Reason::Duplicate), "a value was evicted");
    assert_eq!(evict(&mut batch, 2), Ok(()));
    assert_eq!(evict(&mut batch, 2), Err(Reason::Evicted));
    assert_eq!(batch.evict_head(), Ok(()));
    assert_eq!(batch.evict_head(), Err(Reason::Evicted));
    let outcomes: Vec<_> = batch.drain_ready().map(|next| next.outcome).collect();
    assert_eq!(outcomes, [Err(Gap::Evicted), Ok("one"), Err(Gap::Evicted)]);
    for index in 0..3 {
        assert_eq!(evict(&mut batch, index), Err(Reason::Settled), "index {index}");
    }
    assert_eq!(batch.evict_head(), Err(Reason::Unreserved));
}

#[test]
fn a_dropped_permit_is_a_gap_at_its_index() {
    for capacity in CAPACITIES {
        for dropped in 0..capacity {
            let ring = Ring::with_capacity(capacity).unwrap();
            let mut batch = ring.open().unwrap();
            let permits: Vec<_> = (0..capacity).map(|_| batch.permit().unwrap()).collect();
            for (index, permit) in permits.into_iter().enumerate().rev() {
                assert_eq!(permit.index(), index as u64);
                if index != dropped {
                    permit.complete(index).unwrap();
                }
            }
            assert_eq!(evict(&mut batch, dropped as u64), Err(Reason::Abandoned));
            for index in 0..capacity {
                let outcome = if index == dropped { Err(Gap::Abandoned) } else { Ok(index) };
                assert_eq!(batch.try_next(), Ok(Delivery { index: index as u64, outcome }));
            }
        }
    }
}

#[test]
fn a_permit_that_comes_too_late_changes_nothing() {
    let (ring, counter) = (Ring::with_capacity(4).unwrap(), DropCounter::default());
    let mut batch = ring.open().unwrap();
    let mut permits: Vec<_> = (0..3).map(|_| batch.permit().unwrap()).collect();
    for index in 0..2 {
        batch.evict_index(index).unwrap();
    }
    let rejected = permits.remove(0).complete(counter.value()).unwrap_err();
    assert_eq!(rejected.reason, Reason::Evicted);
    drop(permits.remove(0));
    let gaps: Vec<_> = batch.drain_ready().map(|next| next.outcome.err()).collect();
    assert_eq!(gaps, [Some(Gap::Evicted); 2], "the dropped permit changed the gap");
    drop(batch);

    // The last permit is dropped while the next batch uses its slot.
    let mut batch = ring.open().unwrap();
    let tickets: Vec<_> = batch.reserve_many(4).unwrap().collect();
    drop(permits);
    for ticket in tickets {
        ring.complete(ticket, counter.value()).unwrap();
    }
    assert_eq!(batch.drain_ready().filter(|next| next.outcome.is_ok()).count(), 4);
    drop((batch, rejected));
    drop(ring);
    counter.assert_each_dropped_once();
}

#[test]
fn a_panic_while_a_permit_is_held_is_a_gap() {
    let ring = Ring::<u8>::with_capacity(2).unwrap();
    let mut batch = ring.open().unwrap();
    let permit = batch.permit().unwrap();
    catch_unwind(AssertUnwindSafe(|| {
        let _permit = permit;
        std::panic::resume_unwind(Box::new("the job failed"));
    }))
    .unwrap_err();
    assert_eq!(batch.try_next().unwrap().outcome, Err(Gap::Abandoned));
}

#[test]
fn draining_stops_at_a_missing_position_and_takes_later_completions() {
    let ring = Ring::with_capacity(8).unwrap();
    let (mut batch, tickets) = full(&ring);
    for index in [0, 1, 3] {
        ring.complete(tickets[index], index).unwrap();
    }
    let mut drain = batch.drain_ready();
    assert_eq!(drain.size_hint(), (0, None));
    assert_eq!(drain.next().map(|next| next.outcome), Some(Ok(0)));
    ring.complete(tickets[2], 2).unwrap();
    assert_eq!(drain.by_ref().map(|next| next.index).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(drain.next().is_none());
    ring.complete(tickets[4], 4).unwrap();
    assert_eq!(drain.next().map(|next| next.index), Some(4), "the drain does not continue");
    assert_eq!(batch.delivered(), 5);
    assert_eq!(batch.try_next(), Err(TryNextError::Pending));
}
