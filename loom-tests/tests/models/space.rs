//! A producer that waits for space is woken. A lost wake-up is a deadlock, which loom reports.

use std::sync::Arc;
use std::task::Context;
use std::time::Instant;

use loom::thread;
use loom_tests::{PlainFlag, Tokens, WakeCounter, explore};
use reorder_ring::{SpaceError, SpaceTimeoutError};

use super::ring;

/// The producer fills the window and waits. The consumer takes values, and waits, too. If
/// `times_out`, each wait of the producer times out first, and is repeated.
fn producer_waits(capacity: usize, items: usize, times_out: bool) {
    let (ring, tokens) = (ring(capacity), Tokens::default());
    let (mut producer, mut consumer) = ring.open_owned().unwrap().split();
    let consuming = thread::spawn(move || {
        let mut taken = 0;
        while let Some(delivery) = consumer.next().unwrap() {
            assert_eq!(delivery.outcome.unwrap().name, "value");
            taken += 1;
        }
        assert_eq!(taken, items);
    });
    for _ in 0..items {
        if times_out {
            match producer.wait_for_space(Some(Instant::now())) {
                Ok(()) => {}
                Err(SpaceTimeoutError::Timeout) => producer.wait_for_space(None).unwrap(),
                Err(other) => panic!("{other}"),
            }
        } else {
            producer.wait_for_space(None).unwrap();
        }
        let ticket = producer.reserve().expect("there is space");
        ring.complete(ticket, tokens.make("value")).unwrap();
    }
    producer.finish();
    consuming.join().unwrap();
    drop(ring);
    tokens.assert_all_gone();
}

#[test]
fn producer_waits_for_space() {
    explore("producer_waits_for_space", Some(2), 60000, || producer_waits(1, 2, false));
}

#[test]
fn producer_waits_again() {
    explore("producer_waits_again", Some(1), 1000, || producer_waits(1, 2, true));
}

/// The consumer has taken less than half a window when its head is missing. The head is completed
/// only after the producer has been woken.
#[test]
fn consumer_wakes_the_producer_before_it_waits() {
    explore("consumer_wakes_the_producer_before_it_waits", Some(3), 300, || {
        let (ring, tokens) = (ring(4), Tokens::default());
        let (mut producer, mut consumer) = ring.open_owned().unwrap().split();
        let mut tickets = producer.reserve_many(4).unwrap();
        ring.complete(tickets.next().unwrap(), tokens.make("value")).unwrap();
        let consuming = thread::spawn(move || {
            for _ in 0..2 {
                assert!(consumer.next().unwrap().unwrap().outcome.is_ok());
            }
            consumer
        });
        producer.wait_for_space(None).unwrap();
        ring.complete(tickets.next().unwrap(), tokens.make("value")).unwrap();
        let consumer = consuming.join().unwrap();
        drop((producer, consumer, ring));
        tokens.assert_all_gone();
    });
}

/// A poll that was answered `Pending` is followed by a wake before the take returns.
#[test]
fn polling_producer_is_woken() {
    explore("polling_producer_is_woken", None, 40, || {
        let (ring, tokens) = (ring(1), Tokens::default());
        let (mut producer, mut consumer) = ring.open_owned().unwrap().split();
        let ticket = producer.reserve().unwrap();
        ring.complete(ticket, tokens.make("value")).unwrap();
        let consuming = thread::spawn(move || {
            drop(consumer.try_next().unwrap());
            consumer
        });
        let (wakes, waker) = WakeCounter::new();
        let poll = producer.poll_space(&mut Context::from_waker(&waker));
        let consumer = consuming.join().unwrap();
        if poll.is_pending() {
            assert!(wakes.count() > 0, "there is space, and the producer sleeps");
        }
        assert!(producer.reserve().is_ok());
        drop((producer, consumer, ring));
        tokens.assert_all_gone();
    });
}

/// The batch ends while the producer waits for space: by a cancellation, or because the consumer
/// leaves.
fn ends_while_the_producer_waits(cancel: bool) {
    let (ring, tokens) = (ring(1), Tokens::default());
    let (mut producer, consumer) = ring.open_owned().unwrap().split();
    _ = producer.reserve().unwrap();
    let flag = Arc::new(PlainFlag::default());
    let (done, canceller) = (Arc::clone(&flag), consumer.canceller());
    let ending = thread::spawn(move || {
        done.set();
        if cancel {
            assert!(canceller.cancel());
            // The consumer leaves later, so that only the cancellation can wake the producer.
            return Some(consumer);
        }
        drop(consumer);
        None
    });
    assert_eq!(producer.wait_for_space(None), Err(SpaceError::Cancelled.into()));
    assert!(flag.is_set());
    let consumer = ending.join().unwrap();
    drop((producer, consumer, ring));
    tokens.assert_all_gone();
}

#[test]
fn cancel_wakes_a_waiting_producer() {
    explore("cancel_wakes_a_waiting_producer", None, 50, || ends_while_the_producer_waits(true));
}

#[test]
fn leaving_consumer_wakes_a_waiting_producer() {
    explore("leaving_consumer_wakes_a_waiting_producer", None, 200, || {
        ends_while_the_producer_waits(false);
    });
}
