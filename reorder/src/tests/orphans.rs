//! Batches that close while a completer is writing.

use std::boxed::Box;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::vec::Vec;

use super::drop_counter::{Counted, DropCounter};
use super::hold;
use crate::ring::slot::paused_write::PausedWrite;
use crate::{Batch, Busy, Gap, Reason, Ring, Ticket};

const CAPACITY: usize = 4;

/// The publication of a stopped completer after its batch was closed.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Value,
    Gap(Gap),
}

const FATES: [Fate; 3] = [Fate::Value, Fate::Gap(Gap::Evicted), Fate::Gap(Gap::Abandoned)];

impl Fate {
    /// Publishes, and returns the number of values in the ring afterwards.
    fn publish(self, held: PausedWrite<'_, Counted>, counter: &DropCounter) -> usize {
        match self {
            Fate::Value => held.publish(counter.value()),
            Fate::Gap(gap) => held.publish_gap(gap),
        }
        counter.alive()
    }
}

/// Returns a batch with a full window. A completer of position `index` is writing, and all others
/// are completed.
fn window<'r>(
    ring: &'r Ring<Counted>,
    index: usize,
    counter: &DropCounter,
) -> (Batch<&'r Ring<Counted>>, Ticket, PausedWrite<'r, Counted>) {
    let mut batch = ring.open().unwrap();
    let tickets: Vec<Ticket> = batch.reserve_many(CAPACITY).unwrap().collect();
    let held = hold(ring, tickets[index]);
    for (_, &ticket) in tickets.iter().enumerate().filter(|&(other, _)| other != index) {
        ring.complete(ticket, counter.value()).map_err(|no| no.reason).unwrap();
    }
    (batch, tickets[index], held)
}

/// Asserts that a batch can use the whole ring.
fn assert_usable(ring: &Ring<Counted>, counter: &DropCounter) {
    let mut batch = ring.open().unwrap();
    for index in 0..2 * CAPACITY as u64 {
        let ticket = batch.reserve().unwrap();
        ring.complete(ticket, counter.value()).map_err(|no| no.reason).unwrap();
        let delivery = batch.try_next().unwrap();
        assert_eq!((delivery.index, delivery.outcome.is_ok()), (index, true));
    }
}

#[test]
fn a_ring_with_an_orphan_opens_again_once_it_is_published() {
    for fate in FATES {
        for index in 0..CAPACITY {
            let (ring, counter) = (Ring::with_capacity(CAPACITY).unwrap(), DropCounter::default());
            // The second orphan is in the ring that the first one left.
            for _ in 0..2 {
                let (batch, ticket, held) = window(&ring, index, &counter);
                drop(batch);
                assert_eq!(counter.alive(), 0, "closing drops what it can reach");
                assert_eq!(ring.open().unwrap_err(), Busy::Orphaned);
                assert_eq!(ring.open().unwrap_err(), Busy::Orphaned, "it can be polled again");

                let inside = fate.publish(held, &counter);
                assert_eq!(inside, usize::from(matches!(fate, Fate::Value)));
                drop(ring.open().unwrap());
                assert_eq!(counter.alive(), 0, "the open that polled it dropped it");

                let late = ring.complete(ticket, counter.value()).unwrap_err();
                assert_eq!(late.reason, Reason::Stale);
                drop(late);
                assert_usable(&ring, &counter);
            }
            drop(ring);
            counter.assert_each_dropped_once();
        }
    }
}

#[test]
fn orphans_are_handed_on_one_by_one_as_they_are_published() {
    let (ring, counter) = (Ring::with_capacity(CAPACITY).unwrap(), DropCounter::default());
    let mut batch = ring.open().unwrap();
    let tickets: Vec<Ticket> = batch.reserve_many(CAPACITY).unwrap().collect();
    let mut held: Vec<_> = tickets.iter().map(|&ticket| Some(hold(&ring, ticket))).collect();
    drop(batch);
    for (index, fate) in [(2, FATES[0]), (0, FATES[1]), (3, FATES[0])] {
        fate.publish(held[index].take().unwrap(), &counter);
        assert_eq!(ring.open().unwrap_err(), Busy::Orphaned);
        assert_eq!(counter.alive(), 0, "a published orphan goes while another is left");
    }
    FATES[0].publish(held[1].take().unwrap(), &counter);
    assert_usable(&ring, &counter);
    drop(ring);
    counter.assert_each_dropped_once();
}

#[test]
fn an_orphan_that_is_published_before_the_last_side_leaves_is_none() {
    for fate in FATES {
        let (ring, counter) = (Ring::with_capacity(CAPACITY).unwrap(), DropCounter::default());
        let (batch, _, held) = window(&ring, 1, &counter);
        let (producer, consumer) = batch.split();
        drop(consumer);
        assert_eq!(counter.alive(), 0);
        fate.publish(held, &counter);
        producer.finish();
        assert_usable(&ring, &counter);
        drop(ring);
        counter.assert_each_dropped_once();
    }
}

#[test]
fn a_published_orphan_goes_with_the_ring() {
    let (ring, counter) = (Ring::with_capacity(CAPACITY).unwrap(), DropCounter::default());
    let (batch, _, held) = window(&ring, 3, &counter);
    drop(batch);
    assert_eq!(FATES[0].publish(held, &counter), 1);
    drop(ring);
    counter.assert_each_dropped_once();
}

#[test]
fn an_orphan_that_is_never_published_keeps_the_ring_busy_and_can_be_dropped_with_it() {
    let (ring, counter) = (Ring::with_capacity(CAPACITY).unwrap(), DropCounter::default());
    let (batch, _, held) = window(&ring, 0, &counter);
    drop(batch);
    drop(held);
    assert_eq!(ring.open().unwrap_err(), Busy::Orphaned);
    drop(ring);
    counter.assert_each_dropped_once();
}

#[test]
fn duplicates_and_evictions_of_an_orphan_are_refused() {
    let (ring, counter) = (Ring::with_capacity(CAPACITY).unwrap(), DropCounter::default());
    let (batch, ticket, held) = window(&ring, 2, &counter);
    drop(batch);
    for _ in 0..2 {
        assert_eq!(ring.evict(ticket), Err(Reason::Duplicate));
        let rejected = ring.complete(ticket, counter.value()).unwrap_err();
        assert_eq!(rejected.reason, Reason::Duplicate);
    }
    FATES[0].publish(held, &counter);
    assert_eq!(ring.evict(ticket), Err(Reason::Duplicate), "it is ready and not taken");
    assert_usable(&ring, &counter);
    assert_eq!(ring.evict(ticket), Err(Reason::Stale));
    drop(ring);
    counter.assert_each_dropped_once();
}

/// A counted value whose drop panics if it is armed.
struct Bomb {
    armed: bool,
    _counted: Counted,
}

impl Drop for Bomb {
    fn drop(&mut self) {
        if self.armed {
            // It is a panic without a message on the terminal.
            resume_unwind(Box::new("armed"));
        }
    }
}

#[test]
fn an_orphan_whose_drop_panics_spares_the_others_and_leaves_the_ring_usable() {
    for armed in 0..CAPACITY {
        let (ring, counter) = (Ring::with_capacity(CAPACITY).unwrap(), DropCounter::default());
        let mut batch = ring.open().unwrap();
        let tickets: Vec<Ticket> = batch.reserve_many(CAPACITY).unwrap().collect();
        let held: Vec<_> = tickets.iter().map(|&ticket| hold(&ring, ticket)).collect();
        drop(batch);
        for (index, held) in held.into_iter().enumerate() {
            held.publish(Bomb { armed: index == armed, _counted: counter.value() });
        }
        let opened = catch_unwind(AssertUnwindSafe(|| drop(ring.open())));
        assert!(opened.is_err(), "orphan {armed}");
        assert_eq!(counter.alive(), 0, "orphan {armed}");
        let mut batch = ring.open().unwrap();
        for ticket in batch.reserve_many(CAPACITY).unwrap() {
            ring.complete(ticket, Bomb { armed: false, _counted: counter.value() }).unwrap();
        }
        assert_eq!(batch.drain_ready().count(), CAPACITY);
        drop(batch);
        drop(ring);
        counter.assert_each_dropped_once();
    }
}
