//! Whatever settles or ends what a consumer already waits for wakes it.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread;

use crate::tally::Tally;
use reorder_ring::{Canceller, Consumer, Delivery, Gap, NextError, Permit, Producer, Ring};

type R = Arc<Ring<u8>>;
type Next = Result<Option<Delivery<u8>>, NextError>;

/// What happens to a waiting consumer, and what it gets.
struct Event {
    name: &'static str,
    /// How many positions are reserved before the consumer waits; it waits for the first of them.
    reserved: usize,
    act: fn(&mut Rest),
    next: Next,
}

/// All but the consumer. What an event leaves of it stays to the end of the wait.
struct Rest {
    producer: Option<Producer<R>>,
    permits: Vec<Permit<R>>,
    canceller: Canceller<R>,
}

impl Rest {
    fn producer(&mut self) -> &mut Producer<R> {
        self.producer.as_mut().unwrap()
    }
}

const EVENTS: &[Event] = &[
    Event {
        name: "a completion",
        reserved: 1,
        act: |rest| rest.permits.remove(0).complete(7).unwrap(),
        next: Ok(Some(Delivery { index: 0, outcome: Ok(7) })),
    },
    Event {
        name: "a completion behind which others are complete",
        reserved: 2,
        act: |rest| {
            rest.permits.remove(1).complete(8).unwrap();
            rest.permits.remove(0).complete(7).unwrap();
        },
        next: Ok(Some(Delivery { index: 0, outcome: Ok(7) })),
    },
    Event {
        name: "a completion of what was reserved during the wait",
        reserved: 0,
        act: |rest| rest.producer().permit().unwrap().complete(7).unwrap(),
        next: Ok(Some(Delivery { index: 0, outcome: Ok(7) })),
    },
    Event {
        name: "an eviction",
        reserved: 1,
        act: |rest| {
            // The next position, and the one before: any thread may evict by its bits.
            let after = rest.producer().reserve().unwrap();
            let ring = rest.producer().ring();
            let head = ring.ticket_from_bits(after.to_bits() - 1).unwrap();
            ring.evict(head).unwrap();
        },
        next: Ok(Some(Delivery { index: 0, outcome: Err(Gap::Evicted) })),
    },
    Event {
        name: "a dropped permit",
        reserved: 1,
        act: |rest| rest.permits.clear(),
        next: Ok(Some(Delivery { index: 0, outcome: Err(Gap::Abandoned) })),
    },
    Event {
        name: "a panic with a permit",
        reserved: 1,
        act: |rest| {
            let permit = rest.permits.remove(0);
            let worker = thread::spawn(move || {
                let _permit = permit;
                std::panic::resume_unwind(Box::new("the job failed"));
            });
            worker.join().unwrap_err();
        },
        next: Ok(Some(Delivery { index: 0, outcome: Err(Gap::Abandoned) })),
    },
    Event {
        name: "the end",
        reserved: 0,
        act: |rest| rest.producer.take().unwrap().finish(),
        next: Ok(None),
    },
    Event {
        name: "a truncation",
        reserved: 0,
        act: |rest| rest.producer = None,
        next: Err(NextError::Truncated),
    },
    Event {
        name: "a cancellation with nothing reserved",
        reserved: 0,
        act: |rest| assert!(rest.canceller.cancel()),
        next: Err(NextError::Cancelled),
    },
    Event {
        name: "a cancellation with the head missing",
        reserved: 2,
        act: |rest| assert!(rest.canceller.cancel()),
        next: Err(NextError::Cancelled),
    },
];

/// Another batch on the ring, after `delivered` positions of it were delivered.
fn open(ring: &R, delivered: u64, reserved: usize) -> (Consumer<R>, Rest) {
    let (mut producer, mut consumer) = ring.open_owned().unwrap().split();
    for _ in 0..delivered {
        producer.permit().unwrap().complete(0).unwrap();
        consumer.try_next().unwrap();
    }
    let permits = (0..reserved).map(|_| producer.permit().unwrap()).collect();
    let canceller = consumer.canceller();
    (consumer, Rest { producer: Some(producer), permits, canceller })
}

fn expected(event: &Event, delivered: u64) -> Next {
    event.next.map(|next| {
        next.map(|Delivery { index, outcome }| Delivery { index: index + delivered, outcome })
    })
}

#[test]
fn a_polled_consumer_is_woken_once_by_whatever_it_waits_for() {
    for event in EVENTS {
        for capacity in [2, 4] {
            // One ring for several waits: each meets what the one before left.
            let ring = Arc::new(Ring::with_capacity(capacity).unwrap());
            for delivered in 0..=2 * capacity as u64 {
                let context = format!("{} after {delivered}", event.name);
                let (mut consumer, mut rest) = open(&ring, delivered, event.reserved);
                let (first, first_waker) = Tally::new();
                let (tally, waker) = Tally::new();
                let mut poll = |waker: &Waker| consumer.poll_next(&mut Context::from_waker(waker));
                assert_eq!(poll(&first_waker), Poll::Pending, "{context}");
                assert_eq!(poll(&waker), Poll::Pending, "{context}");
                assert_eq!((first.wakes(), tally.wakes()), (0, 0), "{context}: nothing happened");
                (event.act)(&mut rest);
                assert_eq!(first.wakes(), 0, "{context}: the last waker alone counts");
                assert_eq!(tally.wakes(), 1, "{context}");
                assert_eq!(poll(&waker), Poll::Ready(expected(event, delivered)), "{context}");
                drop((consumer, rest, waker));
                assert_eq!(Arc::strong_count(&tally), 1, "{context}: closing drops the waker");
            }
        }
    }
}

#[cfg(feature = "std")]
#[test]
fn a_blocked_consumer_is_woken_by_whatever_it_waits_for() {
    use std::time::Duration;

    for event in EVENTS {
        let ring = Arc::new(Ring::with_capacity(2).unwrap());
        for (delivered, pause) in [(0, 0), (1, 5), (2, 5)] {
            let (mut consumer, mut rest) = open(&ring, delivered, event.reserved);
            let waiting = thread::spawn(move || consumer.next());
            // Usually long enough that the consumer sleeps; right in any case.
            thread::sleep(Duration::from_millis(pause));
            (event.act)(&mut rest);
            let next = waiting.join().unwrap();
            assert_eq!(next, expected(event, delivered), "{} after {delivered}", event.name);
        }
    }
}

#[cfg(feature = "std")]
#[test]
fn a_consumer_that_waits_sees_the_end_after_few_or_no_items() {
    use std::time::Duration;

    for items in 0..=2 {
        for finish in [true, false] {
            let ring = Ring::<u8>::with_capacity(2).unwrap();
            let (mut producer, mut consumer) = ring.open().unwrap().split();
            thread::scope(|scope| {
                let waiting = scope.spawn(move || {
                    let mut indices = Vec::new();
                    loop {
                        match consumer.next() {
                            Ok(Some(next)) => indices.push(next.index),
                            Ok(None) => return (indices, true),
                            Err(error) => {
                                assert_eq!(error, NextError::Truncated);
                                return (indices, false);
                            }
                        }
                    }
                });
                for _ in 0..items {
                    // As above.
                    thread::sleep(Duration::from_millis(3));
                    producer.permit().unwrap().complete(1).unwrap();
                }
                thread::sleep(Duration::from_millis(3));
                if finish {
                    producer.finish();
                } else {
                    drop(producer);
                }
                let expected: Vec<u64> = (0..items).collect();
                assert_eq!(waiting.join().unwrap(), (expected, finish));
            });
        }
    }
}

#[test]
fn a_canceller_of_an_earlier_batch_wakes_nobody() {
    let ring = Ring::<u8>::with_capacity(2).unwrap();
    let batch = ring.open().unwrap();
    let stale = batch.canceller();
    drop(batch);
    let (mut producer, mut consumer) = ring.open().unwrap().split();
    let ticket = producer.reserve().unwrap();
    let (tally, waker) = Tally::new();
    let mut context = Context::from_waker(&waker);
    assert_eq!(consumer.poll_next(&mut context), Poll::Pending);
    assert!(!stale.cancel());
    assert_eq!(tally.wakes(), 0);
    ring.complete(ticket, 4).unwrap();
    assert_eq!(tally.wakes(), 1);
    assert!(consumer.poll_next(&mut context).is_ready());
}
