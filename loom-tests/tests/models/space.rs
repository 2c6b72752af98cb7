//! A producer that waits for space is woken.
//!
//! A thread that waits also wakes by itself, and a sleep with a limit ends at once under loom. So
//! the models that must notice a lost wake-up poll, and count the calls of the waker.

use std::sync::Arc;
use std::task::Context;
use std::time::Instant;

use loom::sync::atomic::AtomicBool;
use loom::sync::atomic::Ordering::{Acquire, Release};
use loom::sync::{Condvar, Mutex};
use loom::thread;
use loom_tests::{PlainFlag, Tokens, WakeCounter, explore};
use reorder_ring::{SpaceError, SpaceTimeoutError, TryNextError};

use super::ring;

/// The producer fills the window and waits. The consumer takes values, and waits, too. If
/// `times_out`, each wait of the producer times out first, and is repeated.
fn producer_waits(capacity: usize, items: usize, times_out: bool) {
    let (ring, tokens) = (ring(capacity), Tokens::default());
    let (mut producer, mut consumer) = ring.open_owned().unwrap().split();
    let consuming = thread::spawn(move || {
        let mut taken = 0;
        while let Some(delivery) = consumer.next().unwrap() {
            assert_eq!(delivery.outcome.unwrap().name, "value");
            taken += 1;
        }
        assert_eq!(taken, items);
    });
    for _ in 0..items {
        if times_out {
            match producer.wait_for_space(Some(Instant::now())) {
                Ok(()) => {}
                Err(SpaceTimeoutError::Timeout) => producer.wait_for_space(None).unwrap(),
                Err(other) => panic!("{other}"),
            }
        } else {
            producer.wait_for_space(None).unwrap();
        }
        let ticket = producer.reserve().expect("there is space");
        ring.complete(ticket, tokens.make("value")).unwrap();
    }
    producer.finish();
    consuming.join().unwrap();
    drop(ring);
    tokens.assert_all_gone();
}

#[test]
fn producer_waits_for_space() {
    explore("producer_waits_for_space", Some(2), 60000, || producer_waits(1, 2, false));
}

#[test]
fn producer_waits_again() {
    explore("producer_waits_again", Some(1), 1000, || producer_waits(1, 2, true));
}

/// The consumer takes one value of four, less than half a window, and then waits for the producer's
/// answer. It does not look for the producer meanwhile.
#[test]
fn consumer_waits_for_an_answer() {
    explore("consumer_waits_for_an_answer", Some(2), 100, || {
        let (ring, tokens) = (ring(4), Tokens::default());
        let (mut producer, mut consumer) = ring.open_owned().unwrap().split();
        for ticket in producer.reserve_many(4).unwrap() {
            ring.complete(ticket, tokens.make("value")).unwrap();
        }
        let answer = Arc::new((Mutex::new(false), Condvar::new()));
        let answered = Arc::clone(&answer);
        let consuming = thread::spawn(move || {
            drop(consumer.try_next().unwrap());
            let mut is_answered = answered.0.lock().unwrap();
            while !*is_answered {
                is_answered = answered.1.wait(is_answered).unwrap();
            }
            consumer
        });
        producer.wait_for_space(None).unwrap();
        assert!(producer.reserve().is_ok());
        *answer.0.lock().unwrap() = true;
        answer.1.notify_one();
        let consumer = consuming.join().unwrap();
        drop((producer, consumer, ring));
        tokens.assert_all_gone();
    });
}

/// The consumer learns that the producer waits for two positions, and takes two of four. The second
/// take wakes the producer.
#[test]
fn waiting_producer_is_told_of_space() {
    explore("waiting_producer_is_told_of_space", None, 3, || {
        let (ring, tokens) = (ring(8), Tokens::default());
        let (mut producer, mut consumer) = ring.open_owned().unwrap().split();
        for ticket in producer.reserve_many(8).unwrap() {
            ring.complete(ticket, tokens.make("value")).unwrap();
        }
        let waits = Arc::new(AtomicBool::new(false));
        let is_told = Arc::clone(&waits);
        let (wakes, waker) = WakeCounter::new();
        let woken = Arc::clone(&wakes);
        let consuming = thread::spawn(move || {
            if is_told.load(Acquire) {
                for wakes in 0..2 {
                    drop(consumer.try_next().unwrap());
                    assert_eq!(woken.count(), wakes, "it is woken by the second take");
                }
            }
            consumer
        });
        assert!(producer.poll_space_many(&mut Context::from_waker(&waker), 2).is_pending());
        waits.store(true, Release);
        let consumer = consuming.join().unwrap();
        drop((producer, consumer, ring));
        tokens.assert_all_gone();
    });
}

/// The consumer has taken less than half a window when its head is missing. It wakes the producer
/// then, even if it missed the request at the take.
#[test]
fn consumer_wakes_the_producer_before_it_waits() {
    explore("consumer_wakes_the_producer_before_it_waits", None, 100, || {
        let (ring, tokens) = (ring(4), Tokens::default());
        let (mut producer, mut consumer) = ring.open_owned().unwrap().split();
        let mut tickets = producer.reserve_many(4).unwrap();
        ring.complete(tickets.next().unwrap(), tokens.make("value")).unwrap();
        let consuming = thread::spawn(move || {
            drop(consumer.try_next().unwrap());
            assert_eq!(consumer.try_next().err(), Some(TryNextError::Pending));
            consumer
        });
        let (wakes, waker) = WakeCounter::new();
        let poll = producer.poll_space(&mut Context::from_waker(&waker));
        let consumer = consuming.join().unwrap();
        assert!(poll.is_ready() || wakes.count() > 0, "there is space, and the producer sleeps");
        drop((producer, consumer, ring));
        tokens.assert_all_gone();
    });
}

/// A poll that was answered `Pending` is followed by a wake before the take returns. The take is at
/// the end of half a window.
fn take_wakes_a_polling_producer(capacity: usize) {
    let (ring, tokens) = (ring(capacity), Tokens::default());
    let (mut producer, mut consumer) = ring.open_owned().unwrap().split();
    for ticket in producer.reserve_many(capacity).unwrap() {
        ring.complete(ticket, tokens.make("value")).unwrap();
    }
    let consuming = thread::spawn(move || {
        drop(consumer.try_next().unwrap());
        consumer
    });
    let (wakes, waker) = WakeCounter::new();
    let poll = producer.poll_space(&mut Context::from_waker(&waker));
    let consumer = consuming.join().unwrap();
    if poll.is_pending() {
        assert!(wakes.count() > 0, "there is space, and the producer sleeps");
    }
    assert!(producer.reserve().is_ok());
    drop((producer, consumer, ring));
    tokens.assert_all_gone();
}

#[test]
fn polling_producer_is_woken() {
    explore("polling_producer_is_woken", None, 40, || take_wakes_a_polling_producer(1));
}

/// The consumer takes the first of two slots.
#[test]
fn half_a_window_wakes_a_polling_producer() {
    explore("half_a_window_wakes_a_polling_producer", None, 40, || {
        take_wakes_a_polling_producer(2);
    });
}

/// A second wait registers and announces again.
#[test]
fn producer_polls_again() {
    explore("producer_polls_again", None, 40, || {
        let (ring, tokens) = (ring(1), Tokens::default());
        let (mut producer, mut consumer) = ring.open_owned().unwrap().split();
        let (wakes, waker) = WakeCounter::new();
        let mut context = Context::from_waker(&waker);
        ring.complete(producer.reserve().unwrap(), tokens.make("value")).unwrap();
        assert!(producer.poll_space(&mut context).is_pending());
        drop(consumer.try_next().unwrap());
        assert_eq!(wakes.count(), 1);
        ring.complete(producer.reserve().unwrap(), tokens.make("value")).unwrap();
        let consuming = thread::spawn(move || {
            drop(consumer.try_next().unwrap());
            consumer
        });
        let poll = producer.poll_space(&mut context);
        let consumer = consuming.join().unwrap();
        assert!(poll.is_ready() || wakes.count() > 1, "there is space, and the producer sleeps");
        drop((producer, consumer, ring));
        tokens.assert_all_gone();
    });
}

/// The producer first waits for one position, and then for two. The consumer, which may see either
/// request, wakes the last one.
#[test]
fn request_that_changes() {
    explore("request_that_changes", None, 180_000, || {
        let (ring, tokens) = (ring(2), Tokens::default());
        let (mut producer, mut consumer) = ring.open_owned().unwrap().split();
        for ticket in producer.reserve_many(2).unwrap() {
            ring.complete(ticket, tokens.make("value")).unwrap();
        }
        let consuming = thread::spawn(move || {
            (0..2).for_each(|_| drop(consumer.try_next().unwrap()));
            consumer
        });
        let ((_, first), (wakes, last)) = (WakeCounter::new(), WakeCounter::new());
        _ = producer.poll_space_many(&mut Context::from_waker(&first), 1);
        let poll = producer.poll_space_many(&mut Context::from_waker(&last), 2);
        let consumer = consuming.join().unwrap();
        assert!(poll.is_ready() || wakes.count() > 0, "there is space, and the producer sleeps");
        drop((producer, consumer, ring));
        tokens.assert_all_gone();
    });
}

/// The batch ends while the producer polls, for space or for the end itself: by a cancellation, or
/// because the consumer leaves.
fn ends_while_the_producer_polls(cancel: bool, for_space: bool) {
    let (ring, tokens) = (ring(1), Tokens::default());
    let (mut producer, consumer) = ring.open_owned().unwrap().split();
    _ = producer.reserve().unwrap();
    let canceller = consumer.canceller();
    let ending = thread::spawn(move || {
        if cancel {
            assert!(canceller.cancel());
            // The consumer leaves later, so that only the cancellation can wake the producer.
            return Some(consumer);
        }
        drop(consumer);
        None
    });
    let (wakes, waker) = WakeCounter::new();
    let mut context = Context::from_waker(&waker);
    let is_ready = match for_space {
        true => producer.poll_space(&mut context).is_ready(),
        false => producer.poll_cancelled(&mut context).is_ready(),
    };
    let consumer = ending.join().unwrap();
    assert!(is_ready || wakes.count() > 0, "the batch has ended, and the producer sleeps");
    drop((producer, consumer, ring));
    tokens.assert_all_gone();
}

#[test]
fn cancel_wakes_a_polling_producer() {
    explore("cancel_wakes_a_polling_producer", None, 40, || {
        ends_while_the_producer_polls(true, true);
    });
}

#[test]
fn leaving_consumer_wakes_a_polling_producer() {
    explore("leaving_consumer_wakes_a_polling_producer", None, 190, || {
        ends_while_the_producer_polls(false, true);
    });
}

#[test]
fn cancel_wakes_a_producer_that_polls_for_it() {
    explore("cancel_wakes_a_producer_that_polls_for_it", None, 20, || {
        ends_while_the_producer_polls(true, false);
    });
}

#[test]
fn leaving_consumer_wakes_a_producer_that_polls_for_it() {
    explore("leaving_consumer_wakes_a_producer_that_polls_for_it", None, 20, || {
        ends_while_the_producer_polls(false, false);
    });
}

/// The batch ends while the producer waits for space: by a cancellation, or because the consumer
/// leaves.
fn ends_while_the_producer_waits(cancel: bool) {
    let (ring, tokens) = (ring(1), Tokens::default());
    let (mut producer, consumer) = ring.open_owned().unwrap().split();
    _ = producer.reserve().unwrap();
    let flag = Arc::new(PlainFlag::default());
    let (done, canceller) = (Arc::clone(&flag), consumer.canceller());
    let ending = thread::spawn(move || {
        done.set();
        if cancel {
            assert!(canceller.cancel());
            // The consumer leaves later, so that only the cancellation can wake the producer.
            return Some(consumer);
        }
        drop(consumer);
        None
    });
    assert_eq!(producer.wait_for_space(None), Err(SpaceError::Cancelled.into()));
    assert!(flag.is_set());
    let consumer = ending.join().unwrap();
    drop((producer, consumer, ring));
    tokens.assert_all_gone();
}

#[test]
fn cancel_wakes_a_waiting_producer() {
    explore("cancel_wakes_a_waiting_producer", None, 50, || ends_while_the_producer_waits(true));
}

#[test]
fn leaving_consumer_wakes_a_waiting_producer() {
    explore("leaving_consumer_wakes_a_waiting_producer", None, 200, || {
        ends_while_the_producer_waits(false);
    });
}
