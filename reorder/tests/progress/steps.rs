//! The number of steps of each operation.

use std::cell::Cell;
use std::ptr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc;
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};
use std::thread;

use reorder_ring::{NextError, Ring, Ticket, TryNextError, hook};

use crate::bounds::{
    Bound, CANCEL, COMPLETE, COMPLETE_INDEX, EVICT, FROM_BITS, POLL_NEXT, POLL_SPACE, RESERVE,
    TRY_NEXT,
};
use crate::world::World;

const BATCHES: u32 = 50;
const ITEMS: u32 = 400;

/// Runs a call that must take exactly as many steps as its bound allows.
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
    let (polled, steps) = POLL_SPACE.check(|| producer.poll_space(&mut context));
    assert!(polled.is_pending());
    assert_eq!(steps, POLL_SPACE.most - 1, "a request that does not fit is not withdrawn");
    world.complete(0);
    assert!(world.consumer.as_mut().unwrap().try_next().is_ok());
    let third = reach(&RESERVE, || producer.reserve()).unwrap();
    _ = reach(&FROM_BITS, || world.ring.ticket_from_bits(third.to_bits())).unwrap();

    world.wait();
    reach(&COMPLETE, || world.ring.complete(world.tickets[1], world.counter.value())).unwrap();
    assert!(world.consumer.as_mut().unwrap().try_next().is_ok());
    world.wait();
    reach(&EVICT, || world.ring.evict(third)).unwrap();
    assert!(world.consumer.as_mut().unwrap().try_next().unwrap().outcome.is_err());

    _ = producer.reserve();
    drop(producer);
    world.canceller.cancel();
    let (missing, steps) = TRY_NEXT.check(|| world.consumer.as_mut().unwrap().try_next());
    // The other steps of the bound notify a producer.
    assert_eq!(steps, TRY_NEXT.most - 6);
    assert_eq!(missing.map(|delivery| delivery.index), Err(TryNextError::Cancelled));
    world.finish();
}

/// However far the index is, and whatever the reason of a refusal is.
#[test]
fn operations_by_index_reach_their_bounds() {
    let mut world = World::new(2, 0);
    let mut producer = world.producer.take().unwrap();
    let completer = producer.completer();
    for index in [5, u64::MAX] {
        assert!(RESERVE.check(|| producer.reserve_through(index)).0.is_err());
    }
    assert!(RESERVE.check(|| producer.reserve_through(1)).0.is_ok());
    assert_eq!(RESERVE.check(|| producer.reserve_through(0)), (Ok(()), 0));
    let value = || world.counter.value();
    world.consumer.as_mut().unwrap().evict_head().unwrap();
    assert!(world.consumer.as_mut().unwrap().try_next().is_ok());
    assert!(reach(&RESERVE, || producer.reserve_through(2)).is_ok());

    let mut context = Context::from_waker(Waker::noop());
    assert!(world.consumer.as_mut().unwrap().poll_next(&mut context).is_pending());
    assert!(reach(&COMPLETE_INDEX, || completer.complete_index(1, value())).is_ok());
    for index in [0, 1, 3, u64::MAX] {
        assert!(COMPLETE_INDEX.check(|| completer.complete_index(index, value())).0.is_err());
        assert!(COMPLETE.check(|| producer.complete_index(index, value())).0.is_err());
    }
    world.producer = Some(producer);
    world.finish();
}

/// A ring that was resumed compares each ticket with its tail, and takes no other step more.
#[test]
fn a_resumed_ring_takes_one_load_more() {
    let made = Ring::<u32>::with_capacity(4).unwrap();
    let resumed = Ring::<u32>::resume(made.id(), 4, 0).unwrap();
    let steps = [&made, &resumed].map(|ring| {
        let mut batch = ring.open().unwrap();
        let tickets: Vec<_> = batch.reserve_many(4).unwrap().collect();
        let count = |ticket| hook::count(|| _ = ring.complete(ticket, 1)).1;
        let accepted = count(tickets[1]);
        let duplicate = count(tickets[1]);
        let evicted = hook::count(|| ring.evict(tickets[2]).unwrap()).1;
        let (_producer, mut consumer) = batch.split();
        let mut context = Context::from_waker(Waker::noop());
        assert!(consumer.poll_next(&mut context).is_pending());
        [accepted, duplicate, evicted, count(tickets[0])]
    });
    assert_eq!(steps[0][3], COMPLETE.most);
    assert_eq!(steps[1], steps[0].map(|steps| steps + 1));
}

/// A consumer waited for a position that was never reserved. Its slot is `Vacant` again in the next
/// batch, so that the completion there takes no extra step.
#[test]
fn close_resets_the_waited_state_after_the_last_position() {
    let mut world = World::new(1, 0);
    world.wait();
    drop((world.producer.take(), world.consumer.take()));
    let mut batch = world.ring.open().unwrap();
    let ticket = batch.reserve().unwrap();
    let (completed, steps) = hook::count(|| world.ring.complete(ticket, world.counter.value()));
    completed.unwrap();
    assert_eq!(steps, COMPLETE.most - 1, "not just a claim and a publication");
}

/// The longest poll: a cancellation comes after the consumer has announced its wait, and before its
/// last check for the end.
#[test]
fn poll_that_a_cancellation_overtakes_late_reaches_its_bound() {
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
    // The other steps of the bound notify a producer, which has left here.
    assert_eq!(steps.get(), POLL_NEXT.most - 6);
    drop(consumer);
    world.finish();
}

/// The clones of a waker that does nothing.
static CLONES: AtomicUsize = AtomicUsize::new(0);

static COUNTS_CLONES: RawWakerVTable = RawWakerVTable::new(
    |_| {
        CLONES.fetch_add(1, Relaxed);
        RawWaker::new(ptr::null(), &COUNTS_CLONES)
    },
    |_| {},
    |_| {},
    |_| {},
);

/// The steps in which a poll finds a completion before it registers its waker.
const LOOKS: usize = 5;

/// The consumer keeps a waker that it has registered, at whatever step the completion comes.
/// Otherwise the cell would drop the last reference, in the middle of a change, when the next waker
/// comes.
#[test]
fn poll_that_a_completion_overtakes_keeps_its_waker() {
    for step in 1..=POLL_NEXT.most {
        let mut world = World::new(2, 1);
        let mut consumer = world.consumer.take().unwrap();
        let (ring, ticket) = (Arc::clone(&world.ring), world.tickets[0]);
        let (mut steps, mut value) = (0, Some(world.counter.value()));
        let overtake = move || {
            steps += 1;
            if steps == step {
                assert!(ring.complete(ticket, value.take().unwrap()).is_ok());
            }
        };
        // SAFETY: the functions of the table do nothing with the pointer.
        let waker = unsafe { Waker::new(ptr::null(), &COUNTS_CLONES) };
        let mut context = Context::from_waker(&waker);
        let before = CLONES.load(Relaxed);
        _ = hook::with(overtake, || consumer.poll_next(&mut context).is_ready());
        while consumer.poll_next(&mut context).is_ready() {}
        let clones = CLONES.load(Relaxed) - before;
        assert!(clones == 1 || step <= LOOKS, "{clones} clones after a completion at step {step}");
        drop(consumer);
        world.finish();
    }
}

/// The longest try: a completion comes after the first check, and the take meets the request of a
/// producer that has left. It takes one step less than the bound. That step withdraws a request
/// that an earlier take has not seen, although it was there.
#[test]
fn try_that_a_completion_overtakes_reaches_its_bound() {
    let mut world = World::new(8, 8);
    let (mut consumer, mut producer) =
        (world.consumer.take().unwrap(), world.producer.take().unwrap());
    world.complete(0);
    consumer.try_next().unwrap();
    assert!(producer.reserve().is_ok());
    assert!(producer.poll_space(&mut Context::from_waker(Waker::noop())).is_pending());
    drop(producer);
    world.canceller.cancel();
    let (ring, ticket) = (Arc::clone(&world.ring), world.tickets[1]);
    let (steps, mut value) = (Rc::new(Cell::new(0)), Some(world.counter.value()));
    let counting = Rc::clone(&steps);
    let overtake = move || {
        counting.set(counting.get() + 1);
        if counting.get() == 5 {
            assert!(ring.complete(ticket, value.take().unwrap()).is_ok());
        }
    };
    let taken = hook::with(overtake, || consumer.try_next());
    assert_eq!(taken.unwrap().index, 1);
    assert_eq!(steps.get(), TRY_NEXT.most - 1);
    drop(consumer);
    world.finish();
}

/// The longest cancellation: the producer leaves before the first compare-and-swap, and another
/// canceller cancels before the second.
#[test]
fn cancellation_that_is_overtaken_twice_reaches_its_bound() {
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
    assert!(!cancelled, "the other canceller came first");
    assert_eq!(steps.get(), CANCEL.most);
    world.finish();
}

/// Runs batches with all roles on threads of their own. Each call stays within its bound.
#[test]
fn bounds_hold_under_stress() {
    let ring = Ring::with_capacity(2).unwrap();
    for _ in 0..BATCHES {
        batch(&ring);
    }
}

/// Ends the batch if its thread panics, so that the other threads do not wait for ever.
struct EndOnPanic<'a>(&'a AtomicBool);

impl Drop for EndOnPanic<'_> {
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
            let _end = EndOnPanic(over);
            for ticket in completer {
                let rebuilt = FROM_BITS.check(|| ring.ticket_from_bits(ticket.to_bits())).0;
                _ = COMPLETE.check(|| ring.complete(rebuilt.unwrap(), 1));
            }
        });
        scope.spawn(move || {
            let _end = EndOnPanic(over);
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
        let _end = EndOnPanic(over);
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
