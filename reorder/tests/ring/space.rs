//! A producer that waits for space: its wake-ups, the end of its wait, and two sides that wait for
//! each other.

use std::task::{Context, Poll};

use crate::wake_counter::WakeCounter;
use reorder_ring::{Ring, SpaceError};

const FIRST_OF_LAST: u64 = (1 << 61) - 1;

#[test]
fn the_producer_is_woken_once_per_half_window() {
    for (capacity, wakes_after) in [(1, 1), (2, 1), (4, 2), (8, 4), (16, 8)] {
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
            assert_eq!(producer.poll_space(&mut context), Poll::Pending);
            for taken in 1..=wakes_after {
                assert_eq!(wake_counter.count(), before, "capacity {capacity}, {taken} taken");
                consumer.try_next().unwrap();
            }
            assert_eq!(wake_counter.count(), before + 1, "capacity {capacity}");
            assert_eq!(producer.poll_space(&mut context), Poll::Ready(Ok(())));
            assert_eq!(producer.space(), wakes_after);
            assert_eq!(consumer.drain_ready().count(), capacity - wakes_after);
            assert_eq!(wake_counter.count(), before + 1, "the producer does not wait any more");
        }
    }
}

#[test]
fn the_producer_is_woken_when_nothing_is_left_to_take() {
    let ring = Ring::with_capacity(8).unwrap();
    let (mut producer, mut consumer) = ring.open().unwrap().split();
    let mut tickets = producer.reserve_many(8).unwrap();
    let (wake_counter, waker) = WakeCounter::new();
    assert_eq!(producer.poll_space(&mut Context::from_waker(&waker)), Poll::Pending);
    assert!(consumer.try_next().is_err());
    assert_eq!(wake_counter.count(), 0, "there is no space yet");
    ring.complete(tickets.next().unwrap(), ()).unwrap();
    consumer.try_next().unwrap();
    assert_eq!(wake_counter.count(), 0, "there is space for less than half a window");
    assert!(consumer.try_next().is_err());
    assert_eq!(wake_counter.count(), 1);
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
        let before = crate::cpu_time::of_this_thread();
        let full = producer.wait_for_space(Some(Instant::now() + Duration::from_secs(1)));
        let spent = crate::cpu_time::of_this_thread() - before;
        assert_eq!(full, Err(SpaceTimeoutError::Timeout));
        assert!(spent < Duration::from_millis(5), "{spent:?} of processor time");
    }
}
