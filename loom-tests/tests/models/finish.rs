//! The end of a split batch wakes a consumer that waits for a position that is never reserved.

use std::sync::Arc;

use loom::thread;
use loom_tests::{Tokens, explore};
use reorder_ring::NextError;

use super::ring;

/// Reserves and completes `items` positions and ends the producer, while the consumer blocks on
/// another thread.
fn ends(items: usize, finished: bool) {
    let (ring, tokens) = (ring(2), Tokens::default());
    let (mut producer, mut consumer) = ring.open_owned().unwrap().split();
    let consuming = thread::spawn(move || {
        for _ in 0..items {
            assert_eq!(consumer.next().unwrap().unwrap().outcome.unwrap().name, "value");
        }
        let end = consumer.next();
        if finished {
            assert!(end.unwrap().is_none());
        } else {
            assert_eq!(end.unwrap_err(), NextError::Truncated);
        }
    });
    for _ in 0..items {
        let ticket = producer.reserve().unwrap();
        ring.complete(ticket, tokens.make("value")).unwrap();
    }
    if finished {
        producer.finish();
    } else {
        drop(producer);
    }
    consuming.join().unwrap();
    drop(ring);
    tokens.assert_all_gone();
}

#[test]
fn finish_after_none() {
    explore("finish_after_none", None, 250, || ends(0, true));
}

#[test]
fn finish_after_one() {
    explore("finish_after_one", Some(3), 2500, || ends(1, true));
}

#[test]
fn finish_after_two() {
    explore("finish_after_two", Some(2), 5000, || ends(2, true));
}

#[test]
fn truncated_after_none() {
    explore("truncated_after_none", None, 250, || ends(0, false));
}

#[test]
fn truncated_after_one() {
    explore("truncated_after_one", Some(3), 2500, || ends(1, false));
}

/// The end is declared before, during or after a completion by a third thread.
#[test]
fn finish_around_a_completer() {
    explore("finish_around_a_completer", Some(2), 7000, || {
        let (ring, tokens) = (ring(1), Tokens::default());
        let (mut producer, mut consumer) = ring.open_owned().unwrap().split();
        let ticket = producer.reserve().unwrap();
        let (completing, value) = (Arc::clone(&ring), tokens.make("value"));
        let completer = thread::spawn(move || completing.complete(ticket, value).unwrap());
        let finisher = thread::spawn(move || producer.finish());
        assert_eq!(consumer.next().unwrap().unwrap().outcome.unwrap().name, "value");
        assert!(consumer.next().unwrap().is_none());
        completer.join().unwrap();
        finisher.join().unwrap();
        drop((consumer, ring));
        tokens.assert_all_gone();
    });
}
