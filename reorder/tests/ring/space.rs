//! A producer that waits for space: its wake-ups, the end of its wait, and two sides that wait for
//! each other.

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use crate::wake_counter::WakeCounter;
use reorder_ring::{Consumer, Producer, ReserveError, Ring, SpaceError};

const FIRST_OF_LAST: u64 = (1 << 61) - 1;

#[test]
fn the_producer_is_woken_by_the_take_that_makes_its_request_fit() {
    for (capacity, count) in [(1, 1), (2, 1), (2, 2), (8, 1), (8, 3), (8, 8)] {
        let ring = Ring::with_capacity(capacity).unwrap();
        let (mut producer, mut consumer) = ring.open().unwrap().split();
        let (wake_counter, waker) = WakeCounter::new();
        let mut context = Context::from_waker(&waker);
        // Twice, with the window at two different positions.
        for _ in 0..2 {
            for ticket in producer.reserve_many(capacity).unwrap() {
                ring.complete(ticket, ()).unwrap();
            }
            let before = wake_counter.count();
            assert_eq!(producer.poll_space_many(&mut context, count), Poll::Pending);
            for taken in 1..=count {
                assert_eq!(wake_counter.count(), before, "{taken} of {count} taken");
                assert_eq!(producer.poll_space_many(&mut context, count), Poll::Pending);
                consumer.try_next().unwrap();
            }
            assert_eq!(wake_counter.count(), before + 1, "{count} of {capacity}");
            assert_eq!(producer.poll_space_many(&mut context, count), Poll::Ready(Ok(())));
            assert_eq!(producer.space(), count);
            assert_eq!(consumer.drain_ready().count(), capacity - count);
            assert_eq!(wake_counter.count(), before + 1, "the producer does not wait any more");
        }
    }
}

/// The producer waits for fewer positions than before, and then for as many as before.
#[test]
fn the_last_request_counts() {
    let ring = Ring::with_capacity(8).unwrap();
    let (mut producer, mut consumer) = ring.open().unwrap().split();
    for ticket in producer.reserve_many(8).unwrap() {
        ring.complete(ticket, ()).unwrap();
    }
    let (wake_counter, waker) = WakeCounter::new();
    let mut context = Context::from_waker(&waker);
    for (count, taken, wakes) in [(4, 1, 0), (2, 1, 1), (4, 1, 1), (5, 1, 1), (4, 0, 1)] {
        let fits = producer.poll_space_many(&mut context, count);
        assert_eq!(fits.is_ready(), producer.space() >= count, "{count}");
        for _ in 0..taken {
            consumer.try_next().unwrap();
        }
        assert_eq!(wake_counter.count(), wakes, "{count}");
    }
}

#[test]
fn a_request_that_never_fits_is_told_apart_from_a_full_window() {
    let ring = Ring::<()>::starting_at(4, FIRST_OF_LAST - 3 - 9).unwrap();
    let (mut producer, mut consumer) = ring.open().unwrap().split();
    let mut context = Context::from_waker(Waker::noop());
    assert_eq!(producer.poll_space_many(&mut context, 0), Poll::Ready(Ok(())));
    for count in [5, usize::MAX] {
        let never = SpaceError::TooMany { requested: count, capacity: 4 };
        assert_eq!(producer.poll_space_many(&mut context, count), Poll::Ready(Err(never)));
        assert_eq!(producer.reserve_many(count), Err(ReserveError::TooMany));
    }
    for batch in [4, 3] {
        for ticket in producer.reserve_many(batch).unwrap() {
            ring.complete(ticket, ()).unwrap();
        }
        assert_eq!(consumer.drain_ready().count(), batch);
    }
    // Two positions are left in the life of the ring.
    assert_eq!(producer.poll_space_many(&mut context, 2), Poll::Ready(Ok(())));
    let exhausted = Poll::Ready(Err(SpaceError::Exhausted));
    assert_eq!(producer.poll_space_many(&mut context, 3), exhausted);
    assert_eq!(producer.reserve_many(3), Err(ReserveError::Exhausted));
    assert_eq!(producer.reserve_many(2).unwrap().len(), 2);
    assert_eq!(producer.poll_space(&mut context), exhausted);
}

#[test]
fn a_wait_for_space_that_never_comes_ends_with_its_reason() {
    let ring = Ring::<u8>::with_capacity(1).unwrap();
    let (wake_counter, waker) = WakeCounter::new();
    let mut context = Context::from_waker(&waker);

    let (mut producer, consumer) = ring.open().unwrap().split();
    _ = producer.reserve().unwrap();
    assert_eq!(producer.poll_space(&mut context), Poll::Pending);
    assert!(consumer.canceller().cancel());
    assert_eq!(wake_counter.count(), 1);
    assert_eq!(producer.poll_space(&mut context), Poll::Ready(Err(SpaceError::Cancelled)));
    drop((producer, consumer));

    let (mut producer, consumer) = ring.open().unwrap().split();
    _ = producer.reserve().unwrap();
    assert_eq!(producer.poll_space(&mut context), Poll::Pending);
    drop(consumer);
    assert_eq!(wake_counter.count(), 2);
    assert_eq!(producer.poll_space(&mut context), Poll::Ready(Err(SpaceError::Cancelled)));
    drop(producer);

    let ring = Ring::starting_at(1, FIRST_OF_LAST - 1).unwrap();
    let (mut producer, mut consumer) = ring.open().unwrap().split();
    ring.complete(producer.reserve().unwrap(), ()).unwrap();
    consumer.try_next().unwrap();
    assert_eq!(producer.poll_space(&mut context), Poll::Ready(Err(SpaceError::Exhausted)));
}

#[test]
fn a_waker_of_a_closed_batch_is_not_used_in_the_next() {
    let ring = Ring::with_capacity(1).unwrap();
    let (wake_counter, waker) = WakeCounter::new();
    let (mut producer, consumer) = ring.open().unwrap().split();
    _ = producer.reserve().unwrap();
    assert_eq!(producer.poll_space(&mut Context::from_waker(&waker)), Poll::Pending);
    drop(producer);
    drop(consumer);
    assert_eq!(wake_counter.count(), 0);
    let (mut producer, mut consumer) = ring.open().unwrap().split();
    ring.complete(producer.reserve().unwrap(), ()).unwrap();
    consumer.try_next().unwrap();
    assert_eq!(wake_counter.count(), 0);
}

#[cfg(feature = "std")]
mod blocking {
    use std::sync::mpsc;
    use std::thread;
    use std::time::{Duration, Instant};

    use reorder_ring::{Ring, SpaceTimeoutError};

    const ITEMS: u64 = if cfg!(miri) { 200 } else { 300_000 };

    /// The side that is slow.
    #[derive(Clone, Copy)]
    enum Slow {
        Producer,
        Consumer,
        Neither,
    }

    fn delay(number: u64) {
        if number % 4096 == 0 {
            thread::sleep(Duration::from_micros(100));
        }
        for _ in 0..20 {
            std::hint::spin_loop();
        }
    }

    #[test]
    fn sides_that_wait_for_each_other_lose_no_wake_up() {
        for slow in [Slow::Producer, Slow::Consumer, Slow::Neither] {
            for capacity in [1, 2, 16] {
                let ring = Ring::with_capacity(capacity).unwrap();
                let (mut producer, mut consumer) = ring.open().unwrap().split();
                let ring = &ring;
                thread::scope(|scope| {
                    let producing = scope.spawn(move || {
                        for number in 0..ITEMS / 3 {
                            if matches!(slow, Slow::Producer) {
                                delay(number);
                            }
                            producer.wait_for_space(None).unwrap();
                            ring.complete(producer.reserve().unwrap(), number).unwrap();
                        }
                        producer.finish();
                    });
                    let mut expected = 0;
                    while let Some(delivery) = consumer.next().unwrap() {
                        assert_eq!(delivery.outcome, Ok(expected));
                        expected += 1;
                        if matches!(slow, Slow::Consumer) {
                            delay(expected);
                        }
                    }
                    producing.join().unwrap();
                    assert_eq!(expected, ITEMS / 3);
                });
            }
        }
    }

    /// The consumer takes as many as the producer asked for, and no more before it has an answer.
    #[test]
    fn a_consumer_that_waits_for_the_producer_itself_does_not_deadlock() {
        const ROUNDS: u64 = if cfg!(miri) { 20 } else { 2000 };
        for (capacity, count) in [(1, 1), (4, 1), (8, 3), (8, 8)] {
            let ring = Ring::with_capacity(capacity).unwrap();
            let (mut producer, mut consumer) = ring.open().unwrap().split();
            let ring = &ring;
            thread::scope(|scope| {
                let (answer, answers) = mpsc::channel();
                let wait_limit = Instant::now() + Duration::from_secs(100);
                for ticket in producer.reserve_many(capacity).unwrap() {
                    ring.complete(ticket, ticket.position()).unwrap();
                }
                scope.spawn(move || {
                    for _ in 0..ROUNDS {
                        producer.wait_for_space_many(count, Some(wait_limit)).unwrap();
                        for ticket in producer.reserve_many(count).unwrap() {
                            ring.complete(ticket, ticket.position()).unwrap();
                        }
                        answer.send(()).unwrap();
                    }
                });
                for round in 0..ROUNDS {
                    // Sometimes the producer is asleep by now.
                    delay(round + 3900);
                    for _ in 0..count {
                        consumer.next().unwrap().unwrap();
                    }
                    answers.recv().expect("the producer waits in vain");
                }
            });
        }
    }

    #[test]
    fn a_wait_that_timed_out_can_be_repeated() {
        let ring = Ring::with_capacity(1).unwrap();
        let (mut producer, mut consumer) = ring.open().unwrap().split();
        ring.complete(producer.reserve().unwrap(), 7).unwrap();
        for deadline in [Instant::now(), Instant::now() + Duration::from_millis(20)] {
            let full = producer.wait_for_space(Some(deadline));
            assert_eq!(full, Err(SpaceTimeoutError::Timeout));
            assert!(deadline <= Instant::now());
        }
        thread::scope(|scope| {
            let waiting = scope.spawn(move || {
                producer.wait_for_space(None).unwrap();
                producer
            });
            // Usually the producer is asleep after this.
            thread::sleep(Duration::from_millis(20));
            consumer.try_next().unwrap();
            assert!(waiting.join().unwrap().reserve().is_ok());
        });
    }

    #[cfg(all(target_os = "linux", not(miri)))]
    #[test]
    fn a_second_without_space_costs_little_processor_time() {
        let ring = Ring::with_capacity(1).unwrap();
        let (mut producer, _consumer) = ring.open().unwrap().split();
        let _never_completed: reorder_ring::Ticket = producer.reserve().unwrap();
        let _: &Ring<()> = producer.ring();
        crate::cpu_time::assert_idle(|| {
            let full = producer.wait_for_space(Some(Instant::now() + Duration::from_secs(1)));
            assert_eq!(full, Err(SpaceTimeoutError::Timeout));
        });
    }
}

type Owned = Arc<Ring<()>>;

/// A waker that polls with the producer that it wakes, at once.
#[derive(Default)]
struct PollsAtOnce {
    producer: Mutex<Option<Producer<Owned>>>,
    found: Mutex<Vec<Poll<Result<(), SpaceError>>>>,
}

impl Wake for PollsAtOnce {
    fn wake(self: Arc<Self>) {
        let mut producer = self.producer.lock().unwrap();
        let poll =
            producer.as_mut().map(|it| it.poll_space(&mut Context::from_waker(Waker::noop())));
        self.found.lock().unwrap().extend(poll);
    }
}

/// The thread that wakes the producer may be stopped after the wake-up. So space, or the end of the
/// wait, comes first.
#[test]
fn each_event_is_visible_to_the_waker_of_the_producer() {
    let cancelled = Poll::Ready(Err(SpaceError::Cancelled));
    type Event = fn(Consumer<Owned>) -> Option<Consumer<Owned>>;
    let events: [(Event, _); 3] = [
        (|mut it| it.try_next().map(|_| it).ok(), Poll::Ready(Ok(()))),
        (|it| it.canceller().cancel().then_some(it), cancelled),
        (|_| None, cancelled),
    ];
    for (number, (act, found)) in events.into_iter().enumerate() {
        let ring = Arc::new(Ring::with_capacity(1).unwrap());
        let (mut producer, consumer) = ring.open_owned().unwrap().split();
        ring.complete(producer.reserve().unwrap(), ()).unwrap();
        let polls = Arc::new(PollsAtOnce::default());
        let waker = Waker::from(Arc::clone(&polls));
        assert!(producer.poll_space(&mut Context::from_waker(&waker)).is_pending());
        *polls.producer.lock().unwrap() = Some(producer);
        let consumer = act(consumer);
        assert_eq!(*polls.found.lock().unwrap(), [found], "event {number}");
        *polls.producer.lock().unwrap() = None;
        drop(consumer);
    }
}
