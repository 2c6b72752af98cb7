//! What happens before what. The witnesses are plain memory: without the promised order, loom
//! reports a race on them, or on the values in the slots.

use std::sync::{Arc, Mutex};
use std::task::Context;

use loom::thread;
use loom_tests::{Tokens, Wakes, Witness, explore};
use reorder_ring::{Reason, Ticket};

use super::ring;

#[test]
fn completion_before_delivery() {
    explore("completion_before_delivery", None, 6, || {
        let (ring, tokens) = (ring(1), Tokens::default());
        let mut batch = ring.open_owned().unwrap();
        let ticket = batch.reserve().unwrap();
        let witness = Arc::new(Witness::default());
        let (completing, done) = (Arc::clone(&ring), Arc::clone(&witness));
        let value = tokens.make("value");
        let completer = thread::spawn(move || {
            done.testify();
            completing.complete(ticket, value).unwrap();
        });
        if batch.try_next().is_ok() {
            assert!(witness.is_seen());
        }
        completer.join().unwrap();
        drop((batch, ring));
        tokens.assert_all_gone();
    });
}

/// The eviction of a slot that is waited for, or not.
fn eviction_comes_before(waited: bool) {
    let (ring, tokens) = (ring(1), Tokens::default());
    let (mut producer, mut consumer) = ring.open_owned().unwrap().split();
    let ticket = producer.reserve().unwrap();
    if waited {
        let (_, waker) = Wakes::new();
        assert!(consumer.poll_next(&mut Context::from_waker(&waker)).is_pending());
    }
    let witness = Arc::new(Witness::default());
    let (evicting, done) = (Arc::clone(&ring), Arc::clone(&witness));
    let evictor = thread::spawn(move || {
        done.testify();
        evicting.evict(ticket).unwrap();
    });
    if consumer.try_next().is_ok() {
        assert!(witness.is_seen());
    }
    evictor.join().unwrap();
    drop((producer, consumer, ring));
    tokens.assert_all_gone();
}

#[test]
fn eviction_before_delivery() {
    explore("eviction_before_delivery", None, 4, || eviction_comes_before(false));
}

#[test]
fn waited_eviction_before_delivery() {
    explore("waited_eviction_before_delivery", None, 7, || eviction_comes_before(true));
}

#[test]
fn delivery_before_the_reservation_one_lap_later() {
    explore("delivery_before_the_reservation_one_lap_later", None, 4, || {
        let (ring, tokens) = (ring(1), Tokens::default());
        let (mut producer, mut consumer) = ring.open_owned().unwrap().split();
        let ticket = producer.reserve().unwrap();
        ring.complete(ticket, tokens.make("value")).unwrap();
        let witness = Arc::new(Witness::default());
        let done = Arc::clone(&witness);
        let consuming = thread::spawn(move || {
            done.testify();
            assert!(consumer.try_next().is_ok());
            consumer
        });
        if producer.reserve().is_ok() {
            assert!(witness.is_seen());
        }
        drop((consuming.join().unwrap(), producer, ring));
        tokens.assert_all_gone();
    });
}

/// The ticket reaches the completer by a channel that orders nothing. What was taken before must
/// still be out of the slot before the completer writes; that it is reserved need not be known.
#[test]
fn ticket_by_a_relaxed_channel() {
    explore("ticket_by_a_relaxed_channel", None, 20, || {
        let (ring, tokens) = (ring(1), Tokens::default());
        let (mut producer, mut consumer) = ring.open_owned().unwrap().split();
        let ticket = producer.reserve().unwrap();
        ring.complete(ticket, tokens.make("zero")).unwrap();

        // A mutex of std's is invisible to loom: it carries the ticket and no order.
        let channel: Arc<Mutex<Option<Ticket>>> = Arc::default();
        let (completing, receiver) = (Arc::clone(&ring), Arc::clone(&channel));
        let value = tokens.make("one");
        let completer = thread::spawn(move || {
            let ticket = *receiver.lock().unwrap();
            match ticket.map(|ticket| completing.complete(ticket, value)) {
                None | Some(Ok(())) => {}
                Some(Err(rejected)) => assert_eq!(rejected.reason, Reason::Unreserved),
            }
        });
        let consuming = thread::spawn(move || {
            assert_eq!(consumer.try_next().unwrap().outcome.unwrap().name, "zero");
            consumer
        });
        if let Ok(ticket) = producer.reserve() {
            *channel.lock().unwrap() = Some(ticket);
        }
        completer.join().unwrap();
        let mut consumer = consuming.join().unwrap();
        if let Ok(delivery) = consumer.try_next() {
            assert_eq!(delivery.outcome.unwrap().name, "one");
        }
        drop((producer, consumer, ring));
        tokens.assert_all_gone();
    });
}

/// A batch starts from what the last one left, also when another thread opened it.
#[test]
fn close_before_open() {
    explore("close_before_open", None, 10, || {
        let (ring, tokens) = (ring(1), Tokens::default());
        let mut batch = ring.open_owned().unwrap();
        let ticket = batch.reserve().unwrap();
        ring.complete(ticket, tokens.make("dropped")).unwrap();
        let witness = Arc::new(Witness::default());
        let done = Arc::clone(&witness);
        let closing = thread::spawn(move || {
            done.testify();
            drop(batch);
        });
        if let Ok(mut batch) = ring.open() {
            assert!(witness.is_seen());
            let ticket = batch.reserve().unwrap();
            ring.complete(ticket, tokens.make("own")).unwrap();
            assert_eq!(batch.try_next().unwrap().outcome.unwrap().name, "own");
        }
        closing.join().unwrap();
        drop(ring);
        tokens.assert_all_gone();
    });
}
