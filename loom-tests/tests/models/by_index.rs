//! A completer brings its index while the position is delivered or evicted, or while its batch ends
//! and the next one begins.

use std::sync::Arc;

use loom::thread;
use loom_tests::{PlainFlag, Tokens, explore};
use reorder_ring::{Gap, Reason};

use super::{assert_delivers, open_when_possible, ring};

/// The first batch never reserves the late index. Counted from its base, the index is the first
/// position of the next batch, which must not get the value.
#[test]
fn index_that_the_next_batch_reserves() {
    explore("index_that_the_next_batch_reserves", None, 100, || {
        let (ring, tokens) = (ring(2), Tokens::default());
        let mut batch = ring.open_owned().unwrap();
        batch.reserve_through(0).unwrap();
        let (completer, value) = (batch.completer(), tokens.make("late"));
        let late =
            thread::spawn(move || completer.complete_index(1, value).map_err(|no| no.reason));
        drop(batch);

        let mut next = ring.open_owned().expect("no thread is writing");
        next.reserve_through(0).unwrap();
        next.complete_index(0, tokens.make("own")).expect("no other thread knows the position");
        assert_eq!(next.try_next().unwrap().outcome.unwrap().name, "own");
        let refused = late.join().unwrap();
        assert!(matches!(refused, Err(Reason::Stale | Reason::Unreserved)), "{refused:?}");
        drop((next, ring));
        tokens.assert_all_gone();
    });
}

/// A completion by index races the eviction and the delivery of its position, the end of its batch,
/// and the next batch.
#[test]
fn late_index() {
    explore("late_index", Some(3), 1000, || {
        let (ring, tokens) = (ring(1), Tokens::default());
        let (mut producer, mut consumer) = ring.open_owned().unwrap().split();
        producer.reserve_through(0).unwrap();
        let (completer, value) = (producer.completer(), tokens.make("late"));
        let late =
            thread::spawn(move || completer.complete_index(0, value).map_err(|no| no.reason));
        let evicted = consumer.evict_head();
        let delivered = consumer.try_next().map(|next| next.outcome.map(|value| value.name));
        drop((producer, consumer));

        assert_delivers(open_when_possible(&ring), &ring, &tokens);
        match late.join().unwrap() {
            Ok(()) => {
                assert_eq!(evicted, Err(Reason::Duplicate));
                assert!(matches!(delivered, Ok(Ok("late")) | Err(_)), "{delivered:?}");
            }
            Err(reason) => {
                assert!(matches!(reason, Reason::Evicted | Reason::Settled | Reason::Stale));
                assert_eq!(evicted, Ok(()));
                assert_eq!(delivered, Ok(Err(Gap::Evicted)));
            }
        }
        drop(ring);
        tokens.assert_all_gone();
    });
}

/// A thread whose index is accepted sees what the producer did before the reservation.
#[test]
fn reservation_before_the_index() {
    explore("reservation_before_the_index", None, 3, || {
        let (ring, tokens) = (ring(2), Tokens::default());
        let mut batch = ring.open_owned().unwrap();
        let flag = Arc::new(PlainFlag::default());
        let (completer, seen) = (batch.completer(), Arc::clone(&flag));
        let value = tokens.make("value");
        let completing = thread::spawn(move || match completer.complete_index(1, value) {
            Ok(()) => assert!(seen.is_set()),
            Err(rejected) => assert_eq!(rejected.reason, Reason::Unreserved),
        });
        flag.set();
        batch.reserve_through(1).unwrap();
        completing.join().unwrap();
        drop((batch, ring));
        tokens.assert_all_gone();
    });
}
