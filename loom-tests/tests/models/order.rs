//! What happens before what. The witnesses are plain memory: without the promised order, loom
//! reports a race on them, or on the values in the slots.

use std::sync::{Arc, Mutex};
use std::task::Context;

use loom::thread::{self, JoinHandle};
use loom_tests::{Token, Tokens, Wakes, Witness, explore};
use reorder_ring::{Gap, Reason, Ring, Ticket, TryNextError};

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
        let early = batch.try_next().is_ok();
        assert!(!early || witness.is_seen());
        completer.join().unwrap();
        assert!(early || batch.try_next().unwrap().outcome.unwrap().name == "value");
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
    let early = consumer.try_next().is_ok();
    assert!(!early || witness.is_seen());
    evictor.join().unwrap();
    assert!(early || matches!(consumer.try_next().unwrap().outcome, Err(Gap::Evicted)));
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

/// A mutex of std's is invisible to loom: it carries a ticket and no order.
type Channel = Arc<Mutex<Option<Ticket>>>;

/// A thread that completes the ticket in `channel`, if there is one yet.
fn complete_what_arrives(
    ring: &Arc<Ring<Token>>,
    channel: &Channel,
    value: Token,
) -> JoinHandle<()> {
    let (ring, channel) = (Arc::clone(ring), Arc::clone(channel));
    thread::spawn(move || {
        let ticket = *channel.lock().unwrap();
        match ticket.map(|ticket| ring.complete(ticket, value)) {
            None | Some(Ok(())) => {}
            Some(Err(rejected)) => assert_eq!(rejected.reason, Reason::Unreserved),
        }
    })
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

        let channel = Channel::default();
        let completer = complete_what_arrives(&ring, &channel, tokens.make("one"));
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

/// Whoever rebuilds a ticket from bits knows what the producer did before it reserved.
#[test]
fn reservation_before_the_rebuilt_ticket() {
    explore("reservation_before_the_rebuilt_ticket", None, 3, || {
        let (ring, tokens) = (ring(2), Tokens::default());
        let mut batch = ring.open_owned().unwrap();
        let next = batch.reserve().unwrap().to_bits() + 1;
        let witness = Arc::new(Witness::default());
        let (completing, seen) = (Arc::clone(&ring), Arc::clone(&witness));
        let value = tokens.make("value");
        let completer = thread::spawn(move || {
            if let Ok(ticket) = completing.ticket_from_bits(next) {
                assert!(seen.is_seen());
                completing.complete(ticket, value).expect("it is known to be reserved");
            }
        });
        witness.testify();
        batch.reserve().unwrap();
        completer.join().unwrap();
        drop((batch, ring));
        tokens.assert_all_gone();
    });
}

/// Whoever sees the end of a batch knows what the producer did before it declared it.
fn known_at_the_end(finished: bool) {
    let (ring, tokens) = (ring(1), Tokens::default());
    let (producer, mut consumer) = ring.open_owned().unwrap().split();
    let witness = Arc::new(Witness::default());
    let done = Arc::clone(&witness);
    let producing = thread::spawn(move || {
        done.testify();
        if finished {
            producer.finish();
        } else {
            drop(producer);
        }
    });
    let end = consumer.try_next().unwrap_err();
    if end != TryNextError::Pending {
        assert_eq!(end == TryNextError::Ended, finished);
        assert!(witness.is_seen());
    }
    producing.join().unwrap();
    drop((consumer, ring));
    tokens.assert_all_gone();
}

#[test]
fn finish_before_the_end() {
    explore("finish_before_the_end", None, 15, || known_at_the_end(true));
}

#[test]
fn truncation_before_the_end() {
    explore("truncation_before_the_end", None, 15, || known_at_the_end(false));
}

/// A completion or an eviction that a close refuses learns the true reason.
fn refused_by_a_close(evict: bool) {
    let (ring, tokens) = (ring(1), Tokens::default());
    let mut batch = ring.open_owned().unwrap();
    let ticket = batch.reserve().unwrap();
    let (late, value) = (Arc::clone(&ring), tokens.make("late"));
    let late = thread::spawn(move || {
        let refused = if evict {
            late.evict(ticket).err()
        } else {
            late.complete(ticket, value).err().map(|rejected| rejected.reason)
        };
        assert!(matches!(refused, None | Some(Reason::Stale)), "{refused:?}");
    });
    drop(batch);
    late.join().unwrap();
    drop(ring);
    tokens.assert_all_gone();
}

#[test]
fn close_before_a_refused_completion() {
    explore("close_before_a_refused_completion", None, 100, || refused_by_a_close(false));
}

#[test]
fn close_before_a_refused_eviction() {
    explore("close_before_a_refused_eviction", None, 20, || refused_by_a_close(true));
}

/// A wish that the close clears stands between a take and the next claim of the slot, whose ticket
/// travels by a channel that orders nothing.
#[test]
fn take_before_a_forgotten_wish() {
    explore("take_before_a_forgotten_wish", None, 3000, || {
        let (ring, tokens) = (ring(1), Tokens::default());
        let (mut producer, mut consumer) = ring.open_owned().unwrap().split();
        let ticket = producer.reserve().unwrap();
        ring.complete(ticket, tokens.make("zero")).unwrap();
        let channel = Channel::default();
        let completer = complete_what_arrives(&ring, &channel, tokens.make("one"));
        let consuming = thread::spawn(move || {
            assert_eq!(consumer.try_next().unwrap().outcome.unwrap().name, "zero");
            let (_, waker) = Wakes::new();
            // Leaves the wish, unless the batch has ended already.
            _ = consumer.poll_next(&mut Context::from_waker(&waker));
        });
        drop(producer);
        // Busy if the consumer is the one who closes, and has not done it yet.
        let batch = ring.open_owned().ok().map(|mut batch| {
            *channel.lock().unwrap() = Some(batch.reserve().unwrap());
            batch
        });
        consuming.join().unwrap();
        completer.join().unwrap();
        if let Some(Ok(delivery)) = batch.map(|mut batch| batch.try_next()) {
            assert_eq!(delivery.outcome.unwrap().name, "one");
        }
        drop(ring);
        tokens.assert_all_gone();
    });
}
