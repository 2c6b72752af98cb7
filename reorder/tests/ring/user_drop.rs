//! User code that runs when a batch or a ring is dropped: a `Drop` that panics, or that calls the
//! ring.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::Context;

use crate::drop_counter::DropCounter;
use crate::values::PanicsIfArmed;
use crate::wake_counter::WakeCounter;
use reorder_ring::{Batch, Busy, Reason, Ring, Ticket, TryNextError};

/// The order in which the sides of a batch end.
#[derive(Clone, Copy, Debug)]
enum End {
    Whole,
    ConsumerFirst,
    ProducerFirst,
    FinishedFirst,
    FinishedLast,
}

const ENDS: [End; 5] =
    [End::Whole, End::ConsumerFirst, End::ProducerFirst, End::FinishedFirst, End::FinishedLast];

/// Ends the batch, and returns the number of drops that panicked. No value outlives the consumer.
fn end(batch: Batch<&Ring<PanicsIfArmed>>, end: End, counter: &DropCounter) -> usize {
    if let End::Whole = end {
        return panics(|| drop(batch));
    }
    let (producer, consumer) = batch.split();
    let close_consumer = || {
        let panics = panics(|| drop(consumer));
        assert_eq!(counter.alive(), 0, "{end:?}");
        panics
    };
    match end {
        End::ConsumerFirst => close_consumer() + panics(|| drop(producer)),
        End::FinishedLast => close_consumer() + panics(|| producer.finish()),
        End::ProducerFirst => panics(|| drop(producer)) + close_consumer(),
        _ => panics(|| producer.finish()) + close_consumer(),
    }
}

fn panics(f: impl FnOnce()) -> usize {
    usize::from(catch_unwind(AssertUnwindSafe(f)).is_err())
}

/// Opens a batch, of which `taken` values are delivered and a full window is ready. The value at
/// `armed` of the window panics when it is dropped.
fn window<'r>(
    ring: &'r Ring<PanicsIfArmed>,
    taken: usize,
    armed: usize,
    counter: &DropCounter,
) -> (Batch<&'r Ring<PanicsIfArmed>>, Vec<Ticket>) {
    let mut batch = ring.open().unwrap();
    let make = |armed| PanicsIfArmed::new(armed, counter);
    for _ in 0..taken {
        ring.complete(batch.reserve().unwrap(), make(false)).unwrap();
        batch.try_next().ok().unwrap();
    }
    let tickets: Vec<_> = batch.reserve_many(ring.capacity()).unwrap().collect();
    for (index, &ticket) in tickets.iter().enumerate() {
        ring.complete(ticket, make(index == armed)).unwrap();
    }
    (batch, tickets)
}

#[test]
fn a_drop_that_panics_while_a_batch_closes_leaks_no_other_value() {
    for capacity in [1, 2, 4, 8] {
        for (way, taken, armed) in ways(capacity) {
            let (ring, counter) = (Ring::with_capacity(capacity).unwrap(), DropCounter::default());
            // The second batch uses the ring after the panic in the first.
            for _ in 0..2 {
                let (batch, tickets) = window(&ring, taken, armed, &counter);
                let context = format!("{way:?}, slot {armed} of {capacity}");
                assert_eq!(end(batch, way, &counter), 1, "{context}");
                assert_eq!(counter.alive(), 0, "{context}");
                for ticket in tickets {
                    let late = PanicsIfArmed::new(false, &counter);
                    let rejected = ring.complete(ticket, late).unwrap_err();
                    assert_eq!(rejected.reason, Reason::Stale, "{context}");
                }
            }
            let (mut batch, _) = window(&ring, 1, usize::MAX, &counter);
            let indices: Vec<_> = batch.drain_ready().map(|next| next.index).collect();
            assert_eq!(indices, (1..=capacity as u64).collect::<Vec<_>>());
            drop(batch);
            counter.assert_each_dropped_once();
        }
    }
}

fn ways(capacity: usize) -> impl Iterator<Item = (End, usize, usize)> {
    let armed = (0..capacity).flat_map(|armed| [(0, armed), (1, armed)]);
    ENDS.into_iter()
        .flat_map(move |end| armed.clone().map(move |(taken, armed)| (end, taken, armed)))
}

#[test]
fn a_drop_that_panics_while_a_ring_is_dropped_leaks_no_other_value() {
    for capacity in [1, 2, 4, 8] {
        for armed in 0..capacity {
            let (ring, counter) = (Ring::with_capacity(capacity).unwrap(), DropCounter::default());
            std::mem::forget(window(&ring, 1, armed, &counter).0);
            assert_eq!(counter.alive(), capacity);
            assert_eq!(panics(|| drop(ring)), 1);
            counter.assert_each_dropped_once();
        }
    }
}

#[test]
fn a_delivered_value_may_panic_in_its_drop() {
    let (ring, counter) = (Ring::with_capacity(2).unwrap(), DropCounter::default());
    let (mut batch, _) = window(&ring, 0, 0, &counter);
    assert_eq!(panics(|| drop(batch.try_next())), 1);
    assert_eq!(batch.delivered(), 1, "the value counts as delivered");
    assert!(counter.is_dropped(0) && !counter.is_dropped(1));
    assert_eq!(panics(|| batch.drain_ready().for_each(drop)), 0);
    assert_eq!(batch.try_next().err(), Some(TryNextError::Ended));
    drop(batch);
    counter.assert_each_dropped_once();
}

/// Calls its own ring when it is dropped.
struct Caller {
    ring: Weak<Ring<Caller>>,
    ticket: Ticket,
    /// The reason with which the ring refuses the value's own ticket during the drop.
    reason: Reason,
    calls: Arc<AtomicUsize>,
}

impl Drop for Caller {
    fn drop(&mut self) {
        let Some(ring) = self.ring.upgrade() else { return };
        self.calls.fetch_add(1, Ordering::Relaxed);
        assert_eq!(ring.open().unwrap_err(), Busy::Leased, "a batch is open, or being closed");
        assert_eq!(ring.evict(self.ticket), Err(self.reason));
        // This value has no ring to call, so that the recursion ends.
        let silent = Caller { ring: Weak::new(), calls: Arc::clone(&self.calls), ..*self };
        assert_eq!(ring.complete(self.ticket, silent).unwrap_err().reason, self.reason);
    }
}

#[test]
fn a_drop_may_call_its_ring() {
    let ring = Arc::new(Ring::with_capacity(4).unwrap());
    let calls = Arc::new(AtomicUsize::new(0));
    let value = |ticket, reason| Caller {
        ring: Arc::downgrade(&ring),
        ticket,
        reason,
        calls: Arc::clone(&calls),
    };
    for way in 0..3 {
        let mut batch = ring.open().unwrap();
        let delivered = batch.reserve().unwrap();
        ring.complete(delivered, value(delivered, Reason::Settled)).unwrap();
        for ticket in batch.reserve_many(3).unwrap() {
            ring.complete(ticket, value(ticket, Reason::Stale)).unwrap();
        }
        drop(batch.try_next());
        let (producer, consumer) = batch.split();
        match way {
            0 => drop((producer, consumer)),
            1 => drop((consumer, producer)),
            _ => {
                drop(consumer);
                producer.finish();
            }
        }
    }
    assert_eq!(calls.load(Ordering::Relaxed), 3 * 4);
    assert!(ring.open().is_ok());
}

/// Counts the batches that its drop can open, or panics.
struct Opener {
    ring: Weak<Ring<Opener>>,
    panics: bool,
    drops: Arc<AtomicUsize>,
    opened: Arc<AtomicUsize>,
}

impl Drop for Opener {
    fn drop(&mut self) {
        self.drops.fetch_add(1, Ordering::Relaxed);
        if self.panics {
            resume_unwind(Box::new("it panics"));
        }
        let ring = self.ring.upgrade().expect("the test has the ring");
        self.opened.fetch_add(usize::from(ring.open().is_ok()), Ordering::Relaxed);
    }
}

#[test]
fn a_ring_is_free_after_the_last_drop_even_if_an_earlier_one_panics() {
    let ring = Arc::new(Ring::with_capacity(4).unwrap());
    let (drops, opened) = (Arc::default(), Arc::default());
    let mut batch = ring.open().unwrap();
    for (index, ticket) in batch.reserve_many(4).unwrap().enumerate() {
        let (drops, opened) = (Arc::clone(&drops), Arc::clone(&opened));
        let value = Opener { ring: Arc::downgrade(&ring), panics: index == 1, drops, opened };
        ring.complete(ticket, value).ok().unwrap();
    }
    assert_eq!(panics(|| drop(batch)), 1);
    let [drops, opened] = [drops, opened].map(|count: Arc<AtomicUsize>| Arc::into_inner(count));
    assert_eq!((drops.unwrap().into_inner(), opened.unwrap().into_inner()), (4, 0));
    assert!(ring.open().is_ok());
}

#[test]
fn a_drop_that_panics_does_not_keep_the_producer_asleep() {
    let (ring, counter) = (Ring::with_capacity(2).unwrap(), DropCounter::default());
    let (mut producer, consumer) = window(&ring, 0, 0, &counter).0.split();
    let (wakes, waker) = WakeCounter::new();
    assert!(producer.poll_space(&mut Context::from_waker(&waker)).is_pending());
    assert_eq!(panics(|| drop(consumer)), 1);
    assert_eq!(wakes.count(), 1);
}
