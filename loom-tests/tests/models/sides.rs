//! Producer and consumer leave at once: the last side closes the batch, at its exact last position.

use std::sync::Arc;

use loom::thread;
use loom_tests::{Tokens, explore};
use reorder_ring::ReserveError;

use super::{assert_usable, ring};

/// The consumer leaves while the producer reserves and completes.
#[test]
fn last_of_two_closes() {
    explore("last_of_two_closes", None, 100000, || {
        let (ring, tokens) = (ring(2), Tokens::default());
        let (mut producer, mut consumer) = ring.open_owned().unwrap().split();
        let ticket = producer.reserve().unwrap();
        ring.complete(ticket, tokens.make("taken or not")).unwrap();
        let leaving = thread::spawn(move || {
            let taken = consumer.try_next().is_ok();
            drop(consumer);
            taken
        });
        for _ in 0..2 {
            match producer.reserve() {
                Ok(ticket) => {
                    // The ring refuses it as stale if the leaving consumer has swept the position.
                    _ = ring.complete(ticket, tokens.make("racing"));
                }
                Err(ReserveError::Full | ReserveError::Cancelled) => {}
                Err(other) => panic!("{other}"),
            }
        }
        producer.finish();
        assert!(leaving.join().unwrap());
        assert_usable(&ring, &tokens);
        assert_usable(&ring, &tokens);
        drop(ring);
        tokens.assert_all_gone();
    });
}

/// The same with the completion on a third thread, so that it races the close by either side.
#[test]
fn last_of_two_closes_around_a_writer() {
    explore("last_of_two_closes_around_a_writer", Some(3), 40000, || {
        let (ring, tokens) = (ring(2), Tokens::default());
        let (mut producer, consumer) = ring.open_owned().unwrap().split();
        let ticket = producer.reserve().unwrap();
        let (completing, value) = (Arc::clone(&ring), tokens.make("value"));
        let completer = thread::spawn(move || completing.complete(ticket, value).is_ok());
        let leaving = thread::spawn(move || drop(consumer));
        drop(producer.reserve().map(|ticket| ring.complete(ticket, tokens.make("racing"))));
        drop(producer);
        leaving.join().unwrap();
        completer.join().unwrap();
        assert_usable(&ring, &tokens);
        drop(ring);
        tokens.assert_all_gone();
    });
}
