//! A consumer that sleeps is woken. A lost wake-up is a deadlock, which loom reports.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use loom::thread;
use loom_tests::{Tokens, WakeCounter, explore};
use reorder_ring::NextTimeoutError;

use super::ring;

#[test]
fn two_completers_wake_a_blocked_consumer() {
    explore("two_completers_wake_a_blocked_consumer", Some(3), 1000, || {
        let (ring, tokens) = (ring(2), Tokens::default());
        let (mut producer, mut consumer) = ring.open_owned().unwrap().split();
        let completers = ["zero", "one"].map(|name| {
            let ticket = producer.reserve().unwrap();
            let (ring, value) = (Arc::clone(&ring), tokens.make(name));
            thread::spawn(move || ring.complete(ticket, value).unwrap())
        });
        for name in ["zero", "one"] {
            assert_eq!(consumer.next().unwrap().unwrap().outcome.unwrap().name, name);
        }
        for completer in completers {
            completer.join().unwrap();
        }
        drop((producer, consumer, ring));
        tokens.assert_all_gone();
    });
}

/// A wait that timed out leaves its slot `Waited`. The next wait has its own waker.
#[test]
fn time_out_and_wait_again() {
    explore("time_out_and_wait_again", None, 15000, || {
        let (ring, tokens) = (ring(1), Tokens::default());
        let (mut producer, mut consumer) = ring.open_owned().unwrap().split();
        let ticket = producer.reserve().unwrap();
        let (completing, value) = (Arc::clone(&ring), tokens.make("value"));
        let completer = thread::spawn(move || completing.complete(ticket, value).unwrap());
        let delivery = match consumer.next_timeout(Duration::ZERO) {
            Err(NextTimeoutError::Timeout) => consumer.next().unwrap(),
            other => other.unwrap(),
        };
        assert_eq!(delivery.unwrap().outcome.unwrap().name, "value");
        completer.join().unwrap();
        drop((producer, consumer, ring));
        tokens.assert_all_gone();
    });
}

/// An eviction wakes as a completion does.
#[test]
fn evictor_wakes_a_blocked_consumer() {
    explore("evictor_wakes_a_blocked_consumer", None, 50, || {
        let (ring, tokens) = (ring(1), Tokens::default());
        let (mut producer, mut consumer) = ring.open_owned().unwrap().split();
        let ticket = producer.reserve().unwrap();
        let evicting = Arc::clone(&ring);
        let evictor = thread::spawn(move || evicting.evict(ticket).unwrap());
        assert!(consumer.next().unwrap().unwrap().outcome.is_err());
        evictor.join().unwrap();
        drop((producer, consumer, ring));
        tokens.assert_all_gone();
    });
}

/// The thread that completes or evicts a waited position has called the waker when it returns. A
/// thread that is stopped after it completed an earlier position must not delay this wake-up.
fn waker_is_not_held(first: Operation) {
    let (ring, tokens) = (ring(2), Tokens::default());
    let (mut producer, mut consumer) = ring.open_owned().unwrap().split();
    let tickets = [producer.reserve().unwrap(), producer.reserve().unwrap()];
    let (_, first_waker) = WakeCounter::new();
    assert!(consumer.poll_next(&mut Context::from_waker(&first_waker)).is_pending());

    let [first, second] =
        [(first, tickets[0]), (Operation::Complete, tickets[1])].map(|(operation, ticket)| {
            let (ring, value) = (Arc::clone(&ring), tokens.make("value"));
            thread::spawn(move || match operation {
                Operation::Complete => ring.complete(ticket, value).unwrap(),
                Operation::Evict => ring.evict(ticket).unwrap(),
            })
        });
    while consumer.try_next().is_err() {
        thread::yield_now();
    }
    let (wakes, waker) = WakeCounter::new();
    let poll = consumer.poll_next(&mut Context::from_waker(&waker));
    second.join().unwrap();
    match poll {
        Poll::Ready(Ok(Some(delivery))) => drop(delivery),
        Poll::Pending => {
            assert!(wakes.count() > 0, "the position is complete, and the consumer sleeps");
            assert!(consumer.try_next().is_ok());
        }
        other => panic!("{other:?}"),
    }
    first.join().unwrap();
    drop((producer, consumer, ring));
    tokens.assert_all_gone();
}

#[derive(Clone, Copy)]
enum Operation {
    Complete,
    Evict,
}

#[test]
fn waker_before_publish() {
    explore("waker_before_publish", Some(4), 2000, || waker_is_not_held(Operation::Complete));
}

#[test]
fn waker_before_gap() {
    explore("waker_before_gap", Some(4), 2000, || waker_is_not_held(Operation::Evict));
}

/// A task polls with a second waker. Only the last waker has to be called.
#[test]
fn waker_replaced() {
    explore("waker_replaced", None, 3000, || {
        let (ring, tokens) = (ring(1), Tokens::default());
        let (mut producer, mut consumer) = ring.open_owned().unwrap().split();
        let ticket = producer.reserve().unwrap();
        let (completing, value) = (Arc::clone(&ring), tokens.make("value"));
        let completer = thread::spawn(move || completing.complete(ticket, value).unwrap());
        let (_, first) = WakeCounter::new();
        let (wakes, last) = WakeCounter::new();
        let mut poll = consumer.poll_next(&mut Context::from_waker(&first));
        if poll.is_pending() {
            poll = consumer.poll_next(&mut Context::from_waker(&last));
        }
        completer.join().unwrap();
        let delivery = match poll {
            Poll::Ready(next) => next.unwrap().unwrap(),
            Poll::Pending => {
                assert!(wakes.count() > 0, "the position is complete, and the task sleeps");
                consumer.try_next().unwrap()
            }
        };
        assert_eq!(delivery.outcome.unwrap().name, "value");
        drop((producer, consumer, ring));
        tokens.assert_all_gone();
    });
}
