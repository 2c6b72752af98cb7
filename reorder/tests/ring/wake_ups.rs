//! Each event that a consumer waits for wakes it: completions, gaps, ends and cancellations.

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use crate::wake_counter::WakeCounter;
use reorder_ring::{Canceller, Consumer, Delivery, Gap, NextError, Permit, Producer, Ring};

type R = Arc<Ring<u8>>;
type Next = Result<Option<Delivery<u8>>, NextError>;

/// An event that wakes the consumer, and the result of its wait.
struct Event {
    name: &'static str,
    /// The number of positions that are reserved before the wait. The consumer waits for the first.
    reserved: usize,
    act: fn(&mut OtherHandles),
    next: Next,
}

/// All handles but the consumer. Handles that the event does not use live until the wait has ended.
struct OtherHandles {
    producer: Option<Producer<R>>,
    permits: Vec<Permit<R>>,
    canceller: Canceller<R>,
}

impl OtherHandles {
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
        name: "a completion before a position that is complete",
        reserved: 2,
        act: |rest| {
            rest.permits.remove(1).complete(8).unwrap();
            rest.permits.remove(0).complete(7).unwrap();
        },
        next: Ok(Some(Delivery { index: 0, outcome: Ok(7) })),
    },
    Event {
        name: "a completion of a position that was reserved during the wait",
        reserved: 0,
        act: |rest| rest.producer().permit().unwrap().complete(7).unwrap(),
        next: Ok(Some(Delivery { index: 0, outcome: Ok(7) })),
    },
    Event {
        name: "an eviction",
        reserved: 1,
        act: |rest| {
            // The bits of the head's ticket are one less than the bits of the next ticket.
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

/// Opens a batch on the ring, delivers `delivered` positions, and reserves `reserved` more.
fn open(ring: &R, delivered: u64, reserved: usize) -> (Consumer<R>, OtherHandles) {
    let (mut producer, mut consumer) = ring.open_owned().unwrap().split();
    for _ in 0..delivered {
        producer.permit().unwrap().complete(0).unwrap();
        consumer.try_next().unwrap();
    }
    let permits = (0..reserved).map(|_| producer.permit().unwrap()).collect();
    let canceller = consumer.canceller();
    (consumer, OtherHandles { producer: Some(producer), permits, canceller })
}

fn expected(event: &Event, delivered: u64) -> Next {
    event.next.map(|next| {
        next.map(|Delivery { index, outcome }| Delivery { index: index + delivered, outcome })
    })
}

#[test]
fn each_event_wakes_a_polled_consumer_once() {
    for event in EVENTS {
        for capacity in [2, 4] {
            // All waits use one ring, so that each finds the state that the wait before left.
            let ring = Arc::new(Ring::with_capacity(capacity).unwrap());
            for delivered in 0..=2 * capacity as u64 {
                let context = format!("{} after {delivered}", event.name);
                let (mut consumer, mut rest) = open(&ring, delivered, event.reserved);
                let (first, first_waker) = WakeCounter::new();
                let (wake_counter, waker) = WakeCounter::new();
                let mut poll = |waker: &Waker| consumer.poll_next(&mut Context::from_waker(waker));
                assert_eq!(poll(&first_waker), Poll::Pending, "{context}");
                assert_eq!(poll(&waker), Poll::Pending, "{context}");
                assert_eq!(
                    (first.count(), wake_counter.count()),
                    (0, 0),
                    "{context}: woken before the event"
                );
                (event.act)(&mut rest);
                assert_eq!(first.count(), 0, "{context}: the replaced waker was called");
                assert_eq!(wake_counter.count(), 1, "{context}");
                assert_eq!(poll(&waker), Poll::Ready(expected(event, delivered)), "{context}");
                drop((consumer, rest, waker));
                assert_eq!(
                    Arc::strong_count(&wake_counter),
                    1,
                    "{context}: the closed batch keeps the waker"
                );
            }
        }
    }
}

/// A waker that takes with the consumer that it wakes, at once.
#[derive(Default)]
struct TakesAtOnce {
    consumer: Mutex<Option<Consumer<R>>>,
    taken: Mutex<Vec<Poll<Next>>>,
}

impl Wake for TakesAtOnce {
    fn wake(self: Arc<Self>) {
        let mut consumer = self.consumer.lock().unwrap();
        let next =
            consumer.as_mut().map(|it| it.poll_next(&mut Context::from_waker(Waker::noop())));
        self.taken.lock().unwrap().extend(next);
    }
}

/// The thread that causes the event may be stopped after the wake-up. So the event comes first.
#[test]
fn each_event_is_visible_to_the_waker_that_it_calls() {
    for event in EVENTS {
        let ring = Arc::new(Ring::with_capacity(4).unwrap());
        let (mut consumer, mut rest) = open(&ring, 1, event.reserved);
        let takes = Arc::new(TakesAtOnce::default());
        let waker = Waker::from(Arc::clone(&takes));
        assert!(consumer.poll_next(&mut Context::from_waker(&waker)).is_pending());
        *takes.consumer.lock().unwrap() = Some(consumer);
        (event.act)(&mut rest);
        let taken = std::mem::take(&mut *takes.taken.lock().unwrap());
        assert_eq!(taken, [Poll::Ready(expected(event, 1))], "{}", event.name);
        *takes.consumer.lock().unwrap() = None;
    }
}

#[cfg(feature = "std")]
#[test]
fn each_event_wakes_a_blocked_consumer() {
    use std::time::Duration;

    for event in EVENTS {
        let ring = Arc::new(Ring::with_capacity(2).unwrap());
        for (delivered, pause) in [(0, 0), (1, 5), (2, 5)] {
            let (mut consumer, mut rest) = open(&ring, delivered, event.reserved);
            let waiting = thread::spawn(move || consumer.next());
            // Usually the consumer is asleep after this. The test is correct in any case.
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
                    // Usually the consumer is asleep after this.
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
fn a_canceller_of_an_earlier_batch_wakes_no_consumer() {
    let ring = Ring::<u8>::with_capacity(2).unwrap();
    let batch = ring.open().unwrap();
    let stale = batch.canceller();
    drop(batch);
    let (mut producer, mut consumer) = ring.open().unwrap().split();
    let ticket = producer.reserve().unwrap();
    let (wake_counter, waker) = WakeCounter::new();
    let mut context = Context::from_waker(&waker);
    assert_eq!(consumer.poll_next(&mut context), Poll::Pending);
    assert!(!stale.cancel());
    assert_eq!(wake_counter.count(), 0);
    ring.complete(ticket, 4).unwrap();
    assert_eq!(wake_counter.count(), 1);
    assert!(consumer.poll_next(&mut context).is_ready());
}
