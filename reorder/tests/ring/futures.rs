//! The futures of both sides, and futures that are dropped before they are ready.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::wake_counter::WakeCounter;
use reorder_ring::{Delivery, NextError, Ring, SpaceError};

fn poll<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(waker))
}

/// The points at which a future can be dropped, before it is ready.
const DROPPED: [usize; 3] = [0, 1, 2];

/// Polls a future as often as `polls` says, and drops it.
fn drop_after<F: Future + Unpin>(mut future: F, polls: usize, waker: &Waker) {
    for _ in 0..polls {
        assert!(poll(&mut future, waker).is_pending());
    }
}

#[test]
fn dropped_waits_of_a_consumer_take_nothing_and_lose_no_wake_up() {
    for polls in DROPPED {
        let ring = Ring::with_capacity(2).unwrap();
        let (mut producer, mut consumer) = ring.open().unwrap().split();
        for number in 0..4 {
            let (first, second) = (WakeCounter::new(), WakeCounter::new());
            let ticket = producer.reserve().unwrap();
            drop_after(consumer.next_async(), polls, &first.1);
            if number % 2 == 0 {
                // The value comes between two waits, and then waits itself.
                ring.complete(ticket, number).unwrap();
                assert_eq!(first.0.count(), polls.min(1), "the waker of the dropped future");
                drop(consumer.next_async());
            } else {
                // The second wait has another waker.
                drop_after(consumer.next_async(), 1, &second.1);
                ring.complete(ticket, number).unwrap();
                assert_eq!((first.0.count(), second.0.count()), (0, 1));
            }
            let delivery = Delivery { index: number, outcome: Ok(number) };
            let ready = poll(&mut consumer.next_async(), Waker::noop());
            assert_eq!(ready, Poll::Ready(Ok(Some(delivery))));
        }
        producer.finish();
        for _ in 0..2 {
            assert_eq!(poll(&mut consumer.next_async(), Waker::noop()), Poll::Ready(Ok(None)));
        }
    }
}

#[test]
fn dropped_waits_of_a_producer_reserve_nothing_and_lose_no_wake_up() {
    for polls in DROPPED {
        let ring = Ring::with_capacity(2).unwrap();
        let (mut producer, mut consumer) = ring.open().unwrap().split();
        for ticket in producer.reserve_many(2).unwrap() {
            ring.complete(ticket, ()).unwrap();
        }
        let (first, second) = (WakeCounter::new(), WakeCounter::new());
        drop_after(producer.wait_for_space_async(), polls, &first.1);
        drop_after(producer.wait_for_space_many_async(2), polls, &second.1);
        assert_eq!(producer.reserved(), 2);

        consumer.try_next().unwrap();
        assert_eq!((first.0.count(), second.0.count()), (0, 0), "the last request was for two");
        assert_eq!(poll(&mut producer.wait_for_space_async(), &first.1), Poll::Ready(Ok(())));
        drop_after(producer.wait_for_space_many_async(2), polls, &second.1);
        consumer.try_next().unwrap();
        assert_eq!((first.0.count(), second.0.count()), (0, polls.min(1)));
        let mut wait = producer.wait_for_space_many_async(2);
        assert_eq!(poll(&mut wait, &second.1), Poll::Ready(Ok(())));
        drop(wait);
        assert_eq!(producer.reserve_many(2).unwrap().len(), 2);
    }
}

#[test]
fn futures_return_the_errors_of_the_polls() {
    let ring = Arc::new(Ring::<u8>::with_capacity(2).unwrap());
    let (mut producer, mut consumer) = ring.open_owned().unwrap().split();
    let (wakes, waker) = WakeCounter::new();
    let never = SpaceError::TooMany { requested: 3, capacity: 2 };
    let too_many = poll(&mut producer.wait_for_space_many_async(3), &waker);
    assert_eq!(too_many, Poll::Ready(Err(never)));
    _ = producer.reserve_many(2).unwrap();

    drop_after(producer.cancelled(), 2, &waker);
    assert!(consumer.canceller().cancel());
    assert_eq!(wakes.count(), 1);
    assert_eq!(poll(&mut producer.cancelled(), &waker), Poll::Ready(()));
    let space = poll(&mut producer.wait_for_space_async(), &waker);
    assert_eq!(space, Poll::Ready(Err(SpaceError::Cancelled)));
    let next = poll(&mut consumer.next_async(), &waker);
    assert_eq!(next, Poll::Ready(Err(NextError::Cancelled)));

    drop((producer, consumer));
    let (producer, mut consumer) = ring.open_owned().unwrap().split();
    drop(producer);
    let next = poll(&mut consumer.next_async(), &waker);
    assert_eq!(next, Poll::Ready(Err(NextError::Truncated)));
}

/// A task may move to another thread while it waits, if the values can.
#[test]
fn futures_can_be_sent() {
    fn send<T: Send>(_: T) {}
    let ring = Arc::new(Ring::<std::cell::Cell<u8>>::with_capacity(1).unwrap());
    let (mut producer, mut consumer) = ring.open_owned().unwrap().split();
    send(producer.wait_for_space_async());
    send(producer.wait_for_space_many_async(1));
    send(producer.cancelled());
    send(consumer.next_async());
}
