//! Several threads complete or evict one position: exactly one succeeds, and decides the delivery.

use std::sync::Arc;
use std::task::{Context, Poll};

use loom::thread;
use loom_tests::{Tokens, WakeCounter, explore};
use reorder_ring::{Gap, Reason};

use super::ring;

/// A completion races an eviction. If `waited`, the consumer has announced its wait before.
fn complete_or_evict(waited: bool) {
    let (ring, tokens) = (ring(1), Tokens::default());
    let (mut producer, mut consumer) = ring.open_owned().unwrap().split();
    let ticket = producer.reserve().unwrap();
    let (wakes, waker) = WakeCounter::new();
    if waited {
        assert!(consumer.poll_next(&mut Context::from_waker(&waker)).is_pending());
    }

    let (completing, value) = (Arc::clone(&ring), tokens.make("value"));
    let completer =
        thread::spawn(move || completing.complete(ticket, value).map_err(|no| no.reason));
    let evicting = Arc::clone(&ring);
    let evictor = thread::spawn(move || evicting.evict(ticket));
    let completed = completer.join().unwrap();
    let evicted = evictor.join().unwrap();

    assert_eq!(wakes.count(), usize::from(waited), "not one wake-up per announced wait");
    let outcome = consumer.try_next().unwrap().outcome;
    match completed {
        Ok(()) => {
            assert_eq!(outcome.unwrap().name, "value");
            assert_eq!(evicted, Err(Reason::Duplicate));
        }
        Err(reason) => {
            assert_eq!(outcome.err(), Some(Gap::Evicted));
            assert_eq!(evicted, Ok(()));
            assert_eq!(reason, Reason::Evicted);
        }
    }
    drop((producer, consumer, ring));
    tokens.assert_all_gone();
}

#[test]
fn claim_or_evict() {
    explore("claim_or_evict", None, 10, || complete_or_evict(false));
}

#[test]
fn claim_or_evict_waited() {
    explore("claim_or_evict_waited", None, 40, || complete_or_evict(true));
}

/// Two completions of one position, while the consumer blocks.
#[test]
fn claim_twice() {
    explore("claim_twice", Some(3), 2000, || {
        let (ring, tokens) = (ring(1), Tokens::default());
        let (mut producer, mut consumer) = ring.open_owned().unwrap().split();
        let ticket = producer.reserve().unwrap();
        let completers = ["first", "second"].map(|name| {
            let (ring, value) = (Arc::clone(&ring), tokens.make(name));
            thread::spawn(move || ring.complete(ticket, value).is_ok().then_some(name))
        });
        let delivered = consumer.next().unwrap().unwrap().outcome.unwrap().name;
        let winners = completers.map(|completer| completer.join().unwrap());
        assert_eq!(winners.iter().flatten().collect::<Vec<_>>(), [&delivered]);
        drop((producer, consumer, ring));
        tokens.assert_all_gone();
    });
}

/// A permit is dropped while its position is evicted. If `waited`, the consumer has announced its
/// wait before.
fn drop_or_evict(waited: bool) {
    let (ring, tokens) = (ring(1), Tokens::default());
    let (mut producer, mut consumer) = ring.open_owned().unwrap().split();
    let permit = producer.permit().unwrap();
    let (wakes, waker) = WakeCounter::new();
    if waited {
        assert!(consumer.poll_next(&mut Context::from_waker(&waker)).is_pending());
    }
    let holder = thread::spawn(move || drop(permit));
    let evicted = consumer.evict_head();
    holder.join().unwrap();
    assert_eq!(wakes.count(), usize::from(waited), "not one wake-up per announced wait");
    let gap = if evicted.is_ok() { Gap::Evicted } else { Gap::Abandoned };
    match consumer.poll_next(&mut Context::from_waker(&waker)) {
        Poll::Ready(Ok(Some(delivery))) => assert_eq!(delivery.outcome.err(), Some(gap)),
        other => panic!("{other:?}"),
    }
    drop((producer, consumer, ring));
    tokens.assert_all_gone();
}

#[test]
fn permit_drop_or_evict() {
    explore("permit_drop_or_evict", None, 4, || drop_or_evict(false));
}

#[test]
fn permit_drop_or_evict_waited() {
    explore("permit_drop_or_evict_waited", None, 20, || drop_or_evict(true));
}

/// A permit is completed while its position is evicted.
#[test]
fn permit_complete_or_evict() {
    explore("permit_complete_or_evict", None, 4, || {
        let (ring, tokens) = (ring(1), Tokens::default());
        let (mut producer, mut consumer) = ring.open_owned().unwrap().split();
        let permit = producer.permit().unwrap();
        let value = tokens.make("value");
        let holder = thread::spawn(move || permit.complete(value).is_ok());
        let evicted = consumer.evict_head();
        let completed = holder.join().unwrap();
        assert_ne!(completed, evicted.is_ok());
        assert_eq!(consumer.try_next().unwrap().outcome.is_ok(), completed);
        drop((producer, consumer, ring));
        tokens.assert_all_gone();
    });
}
