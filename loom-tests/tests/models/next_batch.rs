//! The next batch opens while the last one closes. The sides of the last batch have polled and left
//! their wakers, a request for space, a mark of a wait and an end. The next batch finds none of
//! these, and loses nothing of its own.

use std::sync::Arc;
use std::task::Context;

use loom::thread;
use loom_tests::{Token, Tokens, WakeCounter, explore};
use reorder_ring::{Consumer, Producer, Ring, TryNextError};

use super::ring;

type Sides = (Producer<Arc<Ring<Token>>>, Consumer<Arc<Ring<Token>>>);

/// Opens a batch, fills the ring if it should, and lets both sides poll. In an empty ring, the
/// consumer marks the slot at the end of the batch.
fn polled_sides(ring: &Arc<Ring<Token>>, is_full: bool) -> Sides {
    let (mut producer, mut consumer) = ring.open_owned().unwrap().split();
    let (_, waker) = WakeCounter::new();
    let mut context = Context::from_waker(&waker);
    if is_full {
        _ = producer.reserve().unwrap();
        assert!(producer.poll_space(&mut context).is_pending());
    }
    assert!(consumer.poll_next(&mut context).is_pending());
    (producer, consumer)
}

/// Delivers a value in a batch whose two sides poll before each event, and returns its sides. Each
/// event wakes the side that waits for it.
fn deliver_one(
    ring: &Arc<Ring<Token>>,
    (mut producer, mut consumer): Sides,
    tokens: &Tokens,
) -> Sides {
    let ((of_producer, space), (of_consumer, head)) = (WakeCounter::new(), WakeCounter::new());
    let ticket = producer.reserve().expect("the ring is empty");
    assert!(producer.poll_space(&mut Context::from_waker(&space)).is_pending());
    assert!(consumer.poll_next(&mut Context::from_waker(&head)).is_pending());
    ring.complete(ticket, tokens.make("own")).unwrap();
    assert!(of_consumer.count() > 0, "the value is there, and the consumer sleeps");
    let delivery = consumer.try_next().unwrap();
    assert_eq!((delivery.index, delivery.outcome.unwrap().name), (0, "own"));
    assert!(of_producer.count() > 0, "there is space, and the producer sleeps");
    assert_eq!(producer.space(), 1);
    (producer, consumer)
}

/// The way in which the next batch ends.
#[derive(Clone, Copy)]
enum End {
    Finished,
    Cancelled,
}

/// Opens the next batch if it can, delivers a value, waits again, and ends the batch.
fn next_batch(ring: &Arc<Ring<Token>>, tokens: &Tokens, end: End) {
    let Ok(next) = ring.open_owned() else { return };
    let (producer, mut consumer) = deliver_one(ring, next.split(), tokens);
    let (wakes, waker) = WakeCounter::new();
    assert!(consumer.poll_next(&mut Context::from_waker(&waker)).is_pending());
    let expected = match end {
        End::Finished => {
            producer.finish();
            TryNextError::Ended
        }
        End::Cancelled => {
            assert!(consumer.canceller().cancel());
            assert!(producer.is_cancelled());
            TryNextError::Cancelled
        }
    };
    assert!(wakes.count() > 0, "the batch has ended, and the consumer sleeps");
    assert_eq!(consumer.try_next().err(), Some(expected));
}

/// Another thread opens the next batch while this thread closes the last one. Loom runs the main
/// thread first, and finds the other executions from there.
fn opened_during_a_close(name: &str, floor: usize, is_full: bool, end: End) {
    explore(name, None, floor, move || {
        let (ring, tokens) = (ring(1), Tokens::default());
        let (producer, consumer) = polled_sides(&ring, is_full);
        let opening = {
            let (ring, tokens) = (Arc::clone(&ring), tokens.clone());
            thread::spawn(move || next_batch(&ring, &tokens, end))
        };
        drop(consumer);
        drop(producer);
        opening.join().unwrap();
        drop(ring);
        tokens.assert_all_gone();
    });
}

#[test]
fn finished_while_the_last_one_closes() {
    opened_during_a_close("finished_while_the_last_one_closes", 80, true, End::Finished);
}

#[test]
fn cancelled_while_the_last_one_closes() {
    opened_during_a_close("cancelled_while_the_last_one_closes", 80, true, End::Cancelled);
}

#[test]
fn waits_while_the_last_mark_is_cleared() {
    opened_during_a_close("waits_while_the_last_mark_is_cleared", 80, false, End::Finished);
}
