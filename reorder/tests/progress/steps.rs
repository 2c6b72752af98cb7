//! How many steps each operation takes.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};
use std::thread;

use reorder_ring::{NextError, Ring, Ticket, TryNextError, hook};

use crate::bounds::{
    Bound, CANCEL, COMPLETE, EVICT, FROM_BITS, POLL_NEXT, POLL_SPACE, RESERVE, TRY_NEXT,
};
use crate::everybody::World;

const BATCHES: u32 = 50;
const ITEMS: u32 = 400;

/// The bound is one that is met, not just one that holds.
#[track_caller]
fn reach<R>(bound: &Bound, call: impl FnOnce() -> R) -> R {
    let (result, steps) = bound.check(call);
    assert_eq!(steps, bound.most, "{} needs fewer steps than its bound", bound.operation);
    result
}

#[test]
fn bounds_are_reached() {
    let mut context = Context::from_waker(Waker::noop());
    let mut world = World::new(2, 2);
    let mut producer = world.producer.take().unwrap();
    assert!(reach(&POLL_SPACE, || producer.poll_space(&mut context)).is_pending());
    world.complete(0);
    assert!(world.consumer.as_mut().unwrap().try_next().is_ok());
    let third = reach(&RESERVE, || producer.reserve()).unwrap();
    reach(&FROM_BITS, || world.ring.ticket_from_bits(third.to_bits())).unwrap();

    world.wait();
    reach(&COMPLETE, || world.ring.complete(world.tickets[1], world.ledger.value())).unwrap();
    assert!(world.consumer.as_mut().unwrap().try_next().is_ok());
    world.wait();
    reach(&EVICT, || world.ring.evict(third)).unwrap();
    assert!(world.consumer.as_mut().unwrap().try_next().unwrap().outcome.is_err());

    _ = producer.reserve();
    drop(producer);
    world.canceller.cancel();
    let missing = reach(&TRY_NEXT, || world.consumer.as_mut().unwrap().try_next());
    assert_eq!(missing.map(|delivery| delivery.index), Err(TryNextError::Cancelled));
    world.finish();
}

/// The wish that a wait has left on the position after the last costs the next batch nothing.
#[test]
fn wish_of_an_ended_batch_is_forgotten() {
    let mut world = World::new(1, 0);
    world.wait();
    drop((world.producer.take(), world.consumer.take()));
    let mut batch = world.ring.open().unwrap();
    let ticket = batch.reserve().unwrap();
    let (completed, steps) = hook::count(|| world.ring.complete(ticket, world.ledger.value()));
    completed.unwrap();
    assert_eq!(steps, COMPLETE.most - 1, "a claim and a publication");
}

/// A cancellation comes between the announcement of a wait and the last look before it.
#[test]
fn poll_is_overtaken_as_late_as_it_can_be() {
    let mut world = World::new(2, 1);
    drop(world.producer.take());
    let (steps, canceller) = (Rc::new(Cell::new(0)), world.canceller.clone());
    let counting = Rc::clone(&steps);
    let overtake = move || {
        counting.set(counting.get() + 1);
        if counting.get() == 11 {
            assert!(canceller.cancel());
        }
    };
    let mut consumer = world.consumer.take().unwrap();
    let mut context = Context::from_waker(Waker::noop());
    let polled = hook::with(overtake, || consumer.poll_next(&mut context));
    assert_eq!(polled.map(|taken| taken.map(|_| ())), Poll::Ready(Err(NextError::Cancelled)));
    assert_eq!(steps.get(), POLL_NEXT.most);
    drop(consumer);
    world.finish();
}

/// A side leaves, and another canceller comes first, each just before an attempt.
#[test]
fn cancellation_is_overtaken_as_often_as_it_can_be() {
    let mut world = World::new(2, 0);
    let (canceller, other) = (world.canceller.clone(), world.canceller.clone());
    let (steps, mut producer) = (Rc::new(Cell::new(0)), world.producer.take());
    let counting = Rc::clone(&steps);
    let overtake = move || {
        match counting.get() {
            1 => drop(producer.take()),
            2 => assert!(other.cancel()),
            _ => {}
        }
        counting.set(counting.get() + 1);
    };
    let cancelled = hook::with(overtake, || canceller.cancel());
    assert!(!cancelled, "the other one was faster");
    assert_eq!(steps.get(), CANCEL.most);
    world.finish();
}

/// Batches with all roles at once, each call within its bound.
#[test]
fn bounds_hold_under_stress() {
    let ring = Ring::with_capacity(2).unwrap();
    for _ in 0..BATCHES {
        batch(&ring);
    }
}

/// Ends a batch of which a thread has failed, so that the others do not wait for it.
struct EndsAll<'a>(&'a AtomicBool);

impl Drop for EndsAll<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.store(true, Relaxed);
        }
    }
}

fn batch(ring: &Ring<u32>) {
    let (mut producer, mut consumer) = ring.open().unwrap().split();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let (tickets, completer) = mpsc::channel::<Ticket>();
        let (doubles, evictor) = mpsc::channel::<Ticket>();
        let over = &over;
        scope.spawn(move || {
            let _end = EndsAll(over);
            for ticket in completer {
                let rebuilt = FROM_BITS.check(|| ring.ticket_from_bits(ticket.to_bits())).0;
                _ = COMPLETE.check(|| ring.complete(rebuilt.unwrap(), 1));
            }
        });
        scope.spawn(move || {
            let _end = EndsAll(over);
            for ticket in evictor {
                if ticket.position() % 3 == 0 {
                    _ = EVICT.check(|| ring.evict(ticket));
                } else {
                    _ = COMPLETE.check(|| ring.complete(ticket, 2));
                }
            }
        });
        scope.spawn(move || {
            let mut context = Context::from_waker(Waker::noop());
            let mut reserved = 0;
            while reserved < ITEMS && !over.load(Relaxed) {
                _ = POLL_SPACE.check(|| producer.poll_space(&mut context));
                if let Ok(ticket) = RESERVE.check(|| producer.reserve()).0 {
                    reserved += 1;
                    _ = tickets.send(ticket);
                    _ = doubles.send(ticket);
                } else {
                    thread::yield_now();
                }
            }
            producer.finish();
        });
        let _end = EndsAll(over);
        let mut context = Context::from_waker(Waker::noop());
        while !over.load(Relaxed) {
            let next = TRY_NEXT.check(|| consumer.try_next()).0;
            match next {
                Ok(delivery) if delivery.index == u64::from(ITEMS) - 2 => {
                    CANCEL.check(|| consumer.canceller().cancel());
                }
                Ok(_) => {}
                Err(TryNextError::Pending) => {
                    _ = POLL_NEXT.check(|| consumer.poll_next(&mut context));
                    thread::yield_now();
                }
                Err(_) => break,
            }
        }
        over.store(true, Relaxed);
    });
}
