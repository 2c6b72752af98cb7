//! Cancellation by another thread: it wakes the waiting consumer, and never affects another batch.

use std::sync::Arc;

use loom::thread;
use loom_tests::{PlainFlag, Tokens, explore};
use reorder_ring::{NextError, ReserveError, TryNextError};

use super::ring;

#[test]
fn cancel_wakes_a_blocked_consumer() {
    explore("cancel_wakes_a_blocked_consumer", None, 50, || {
        let (ring, tokens) = (ring(1), Tokens::default());
        let (mut producer, mut consumer) = ring.open_owned().unwrap().split();
        let canceller = consumer.canceller();
        let flag = Arc::new(PlainFlag::default());
        let done = Arc::clone(&flag);
        let cancelling = thread::spawn(move || {
            done.set();
            assert!(canceller.cancel());
        });
        assert_eq!(consumer.next().unwrap_err(), NextError::Cancelled);
        assert!(flag.is_set());
        assert_eq!(producer.reserve(), Err(ReserveError::Cancelled));
        cancelling.join().unwrap();
        drop((producer, consumer, ring));
        tokens.assert_all_gone();
    });
}

/// A value or an end that comes before the cancellation is reported before it, whenever the
/// consumer takes.
#[test]
fn cancel_after_completion_and_end() {
    explore("cancel_after_completion_and_end", None, 1500, || {
        let (ring, tokens) = (ring(1), Tokens::default());
        let (mut producer, mut consumer) = ring.open_owned().unwrap().split();
        let (canceller, ticket) = (consumer.canceller(), producer.reserve().unwrap());
        let (completing, value) = (Arc::clone(&ring), tokens.make("in time"));
        let ending = thread::spawn(move || {
            completing.complete(ticket, value).unwrap();
            producer.finish();
            canceller.cancel();
        });
        for end in [None, Some(TryNextError::Ended)] {
            match (consumer.try_next(), end) {
                (Ok(delivery), None) => assert_eq!(delivery.outcome.unwrap().name, "in time"),
                (Err(TryNextError::Pending), _) => break,
                (taken, _) => assert_eq!(taken.err(), end),
            }
        }
        ending.join().unwrap();
        drop((consumer, ring));
        tokens.assert_all_gone();
    });
}

/// A canceller cancels its batch while that batch closes. The consumer of the next batch waits.
#[test]
fn stale_canceller() {
    explore("stale_canceller", Some(3), 2000, || {
        let (ring, tokens) = (ring(1), Tokens::default());
        let (mut producer, consumer) = ring.open_owned().unwrap().split();
        let canceller = consumer.canceller();
        let cancelling = thread::spawn(move || canceller.cancel());
        _ = producer.reserve();
        drop((producer, consumer));

        let (mut producer, mut consumer) = ring.open_owned().unwrap().split();
        let ticket = producer.reserve().expect("this batch is not cancelled");
        let (completing, value) = (Arc::clone(&ring), tokens.make("own"));
        let completer = thread::spawn(move || completing.complete(ticket, value).unwrap());
        assert_eq!(consumer.next().unwrap().unwrap().outcome.unwrap().name, "own");
        cancelling.join().unwrap();
        completer.join().unwrap();
        drop((producer, consumer, ring));
        tokens.assert_all_gone();
    });
}

/// Two threads cancel the batch, and exactly one of the calls returns `true`.
#[test]
fn cancel_twice() {
    explore("cancel_twice", None, 800, || {
        let (ring, tokens) = (ring(1), Tokens::default());
        let (producer, consumer) = ring.open_owned().unwrap().split();
        let canceller = consumer.canceller();
        let other = canceller.clone();
        let leaving = thread::spawn(move || drop(producer));
        let cancelling = thread::spawn(move || other.cancel());
        let here = canceller.cancel();
        assert!(here ^ cancelling.join().unwrap());
        leaving.join().unwrap();
        drop((consumer, ring));
        tokens.assert_all_gone();
    });
}
