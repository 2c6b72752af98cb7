//! Happens-before relations. The flags are plain memory: without the promised order, loom reports a
//! race on a flag, or on a value in a slot.

use std::sync::{Arc, Mutex};
use std::task::Context;

use loom::thread::{self, JoinHandle};
use loom_tests::{PlainFlag, Token, Tokens, WakeCounter, explore};
use reorder_ring::{Consumer, Gap, Producer, Reason, ReserveError, Ring, Ticket, TryNextError};

use super::ring;

type Sides = (Producer<Arc<Ring<Token>>>, Consumer<Arc<Ring<Token>>>);

#[test]
fn completion_before_delivery() {
    explore("completion_before_delivery", None, 6, || {
        let (ring, tokens) = (ring(1), Tokens::default());
        let mut batch = ring.open_owned().unwrap();
        let ticket = batch.reserve().unwrap();
        let flag = Arc::new(PlainFlag::default());
        let (completing, done) = (Arc::clone(&ring), Arc::clone(&flag));
        let value = tokens.make("value");
        let completer = thread::spawn(move || {
            done.set();
            completing.complete(ticket, value).unwrap();
        });
        let early = batch.try_next().is_ok();
        assert!(!early || flag.is_set());
        completer.join().unwrap();
        assert!(early || batch.try_next().unwrap().outcome.unwrap().name == "value");
        drop((batch, ring));
        tokens.assert_all_gone();
    });
}

/// An eviction happens before its delivery. If `waited`, the consumer has announced its wait
/// before.
fn eviction_comes_before(waited: bool) {
    let (ring, tokens) = (ring(1), Tokens::default());
    let (mut producer, mut consumer) = ring.open_owned().unwrap().split();
    let ticket = producer.reserve().unwrap();
    if waited {
        let (_, waker) = WakeCounter::new();
        assert!(consumer.poll_next(&mut Context::from_waker(&waker)).is_pending());
    }
    let flag = Arc::new(PlainFlag::default());
    let (evicting, done) = (Arc::clone(&ring), Arc::clone(&flag));
    let evictor = thread::spawn(move || {
        done.set();
        evicting.evict(ticket).unwrap();
    });
    let early = consumer.try_next().is_ok();
    assert!(!early || flag.is_set());
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
fn delivery_before_the_next_reservation_of_its_slot() {
    explore("delivery_before_the_next_reservation_of_its_slot", None, 4, || {
        let (ring, tokens) = (ring(1), Tokens::default());
        let (mut producer, mut consumer) = ring.open_owned().unwrap().split();
        let ticket = producer.reserve().unwrap();
        ring.complete(ticket, tokens.make("value")).unwrap();
        let flag = Arc::new(PlainFlag::default());
        let done = Arc::clone(&flag);
        let consuming = thread::spawn(move || {
            done.set();
            assert!(consumer.try_next().is_ok());
            consumer
        });
        if producer.reserve().is_ok() {
            assert!(flag.is_set());
        }
        drop((consuming.join().unwrap(), producer, ring));
        tokens.assert_all_gone();
    });
}

/// A channel that orders nothing: loom does not see a mutex from std.
type Channel = Arc<Mutex<Option<Ticket>>>;

/// Starts a thread that completes the ticket in `channel`, if there is one yet.
fn complete_ticket_from(
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

/// The ticket reaches the completer through a channel that orders nothing. The take of the earlier
/// value must still happen before the completer writes. The completer need not see the reservation.
#[test]
fn ticket_by_a_relaxed_channel() {
    explore("ticket_by_a_relaxed_channel", None, 20, || {
        let (ring, tokens) = (ring(1), Tokens::default());
        let (mut producer, mut consumer) = ring.open_owned().unwrap().split();
        let ticket = producer.reserve().unwrap();
        ring.complete(ticket, tokens.make("zero")).unwrap();

        let channel = Channel::default();
        let completer = complete_ticket_from(&ring, &channel, tokens.make("one"));
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

/// The close of a batch happens before the next open, also on another thread.
#[test]
fn close_before_open() {
    explore("close_before_open", None, 10, || {
        let (ring, tokens) = (ring(1), Tokens::default());
        let mut batch = ring.open_owned().unwrap();
        let ticket = batch.reserve().unwrap();
        ring.complete(ticket, tokens.make("dropped")).unwrap();
        let flag = Arc::new(PlainFlag::default());
        let done = Arc::clone(&flag);
        let closing = thread::spawn(move || {
            done.set();
            drop(batch);
        });
        if let Ok(mut batch) = ring.open() {
            assert!(flag.is_set());
            let ticket = batch.reserve().unwrap();
            ring.complete(ticket, tokens.make("own")).unwrap();
            assert_eq!(batch.try_next().unwrap().outcome.unwrap().name, "own");
        }
        closing.join().unwrap();
        drop(ring);
        tokens.assert_all_gone();
    });
}

/// A side that is refused because the batch is cancelled sees the canceller's writes before the
/// cancellation. The main thread cancels: otherwise loom would not find the other executions.
fn cancellation_comes_before(
    is_refused: impl Fn(&mut Sides) -> bool + Copy + Sync + Send + 'static,
) {
    let ring = ring(1);
    let mut sides = ring.open_owned().unwrap().split();
    let flag = Arc::new(PlainFlag::default());
    let (before, canceller) = (Arc::clone(&flag), sides.1.canceller());
    let refused = thread::spawn(move || {
        if is_refused(&mut sides) {
            assert!(before.is_set());
        }
        sides
    });
    flag.set();
    assert!(canceller.cancel());
    drop((refused.join().unwrap(), ring));
}

#[test]
fn cancellation_before_a_refused_reservation() {
    explore("cancellation_before_a_refused_reservation", None, 2, || {
        cancellation_comes_before(|(producer, _)| {
            producer.reserve() == Err(ReserveError::Cancelled)
        });
    });
}

#[test]
fn cancellation_before_a_refused_take() {
    explore("cancellation_before_a_refused_take", None, 2, || {
        cancellation_comes_before(|(_, consumer)| {
            matches!(consumer.try_next(), Err(TryNextError::Cancelled))
        });
    });
}

/// A thread that rebuilds a ticket from bits sees the producer's writes before the reservation.
#[test]
fn reservation_before_the_rebuilt_ticket() {
    explore("reservation_before_the_rebuilt_ticket", None, 3, || {
        let (ring, tokens) = (ring(2), Tokens::default());
        let mut batch = ring.open_owned().unwrap();
        let next = batch.reserve().unwrap().to_bits() + 1;
        let flag = Arc::new(PlainFlag::default());
        let (completing, seen) = (Arc::clone(&ring), Arc::clone(&flag));
        let value = tokens.make("value");
        let completer = thread::spawn(move || {
            if let Ok(ticket) = completing.ticket_from_bits(next) {
                assert!(seen.is_set());
                completing.complete(ticket, value).expect("the reservation is visible");
            }
        });
        flag.set();
        _ = batch.reserve().unwrap();
        completer.join().unwrap();
        drop((batch, ring));
        tokens.assert_all_gone();
    });
}

/// A consumer that sees the end of a batch sees the producer's writes before the end.
fn writes_before_the_end_are_visible(finished: bool) {
    let (ring, tokens) = (ring(1), Tokens::default());
    let (producer, mut consumer) = ring.open_owned().unwrap().split();
    let flag = Arc::new(PlainFlag::default());
    let done = Arc::clone(&flag);
    let producing = thread::spawn(move || {
        done.set();
        if finished {
            producer.finish();
        } else {
            drop(producer);
        }
    });
    let end = consumer.try_next().unwrap_err();
    if end != TryNextError::Pending {
        assert_eq!(end == TryNextError::Ended, finished);
        assert!(flag.is_set());
    }
    producing.join().unwrap();
    drop((consumer, ring));
    tokens.assert_all_gone();
}

#[test]
fn finish_before_the_end() {
    explore("finish_before_the_end", None, 15, || writes_before_the_end_are_visible(true));
}

#[test]
fn truncation_before_the_end() {
    explore("truncation_before_the_end", None, 15, || writes_before_the_end_are_visible(false));
}

/// A completion or an eviction that comes after the close is refused with the true reason.
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

/// A consumer takes a value, and announces a wait for the next position. The close clears that
/// wait. The take must still happen before the next claim of the slot, whose ticket travels through
/// a channel that orders nothing.
#[test]
fn take_before_a_cleared_wait() {
    explore("take_before_a_cleared_wait", None, 2000, || {
        let (ring, tokens) = (ring(1), Tokens::default());
        let (mut producer, mut consumer) = ring.open_owned().unwrap().split();
        let ticket = producer.reserve().unwrap();
        ring.complete(ticket, tokens.make("zero")).unwrap();
        let channel = Channel::default();
        let completer = complete_ticket_from(&ring, &channel, tokens.make("one"));
        let consuming = thread::spawn(move || {
            assert_eq!(consumer.try_next().unwrap().outcome.unwrap().name, "zero");
            let (_, waker) = WakeCounter::new();
            // Leaves the slot `Waited`, unless the batch has ended already.
            _ = consumer.poll_next(&mut Context::from_waker(&waker));
        });
        drop(producer);
        // The open fails if the consumer closes the batch, and has not done so yet.
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
