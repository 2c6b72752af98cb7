//! The budget of a batch: the bound of the weight of its window, and the wait for room.

use std::pin::pin;
use std::task::{Context, Poll};

use crate::wake_counter::WakeCounter;
use reorder_ring::{Budget, Gap, ReserveError, Ring, SpaceError};

/// Returns a number that looks random, below `below`.
fn draw(state: &mut u64, below: u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state % below
}

#[test]
fn a_heavy_weight_passes_alone_and_weights_do_not_overflow() {
    let mut budget = Budget::new(10);
    assert!(budget.admit(0) && budget.admit(u64::MAX), "what is outstanding has no weight");
    assert!(!budget.admit(1) && budget.fits(u64::MAX) == budget.fits(1));
    budget.release_to(1);
    assert!(!budget.fits(1));
    budget.release_to(2);
    assert!(budget.admit(1) && budget.admit(9));
    assert!(!budget.admit(1) && budget.admit(0));
    assert!(budget.fits(0) && !budget.fits(1) && !budget.fits(u64::MAX));
    (0..3).for_each(|_| budget.add(u64::MAX));
    budget.release_to(8);
    assert!(budget.fits(u64::MAX), "all were released");
    let mut unbounded = Budget::new(u64::MAX);
    assert!(unbounded.admit(u64::MAX) && !unbounded.admit(1) && unbounded.admit(0));
    let mut none = Budget::new(0);
    assert!(none.admit(0) && none.admit(3) && !none.admit(1));
    assert_eq!(format!("{none:?}"), "Budget { limit: 0, total: 3, .. }");
}

#[test]
fn a_changed_weight_counts_until_its_index_is_released() {
    let mut budget = Budget::new(10);
    assert!(budget.admit(8) && budget.admit(2) && !budget.admit(4));
    assert_eq!(budget.set(0, 4), Some(8));
    assert!(budget.admit(4));
    assert_eq!(budget.set(1, u64::MAX), Some(2));
    assert_eq!(budget.set(9, 7), None);
    assert!(!budget.fits(1), "index 9 was not admitted, and has no weight");
    budget.release_to(1);
    assert_eq!(budget.set(0, 5), None);
    budget.release_to(2);
    assert!(budget.fits(6) && !budget.fits(7), "index 0 was released, and index 2 counts");
    budget.release_to(5);
    budget.add(9);
    budget.release_to(5);
    assert!(!budget.fits(2), "the index after the released ones is 5");
    assert_eq!(budget.set(5, 8), Some(9));
    assert!(budget.fits(2));
}

/// A naive model adds up the weights of the window. `space_for` names the first delivery after
/// which it admits a weight.
#[test]
fn the_space_for_a_weight_is_exact() {
    let mut state = 0x9e37_79b9_7f4a_7c15;
    for round in 0..if cfg!(miri) { 5 } else { 300 } {
        let (capacity, limit) = (1 << draw(&mut state, 4), draw(&mut state, 40));
        let ring = Ring::with_capacity(capacity).unwrap();
        // The second batch begins at another position.
        for _ in 0..2 {
            let (mut producer, mut consumer) = ring.open().unwrap().split();
            let mut budget = Budget::new(limit);
            let mut window = std::collections::VecDeque::new();
            for _ in 0..60 {
                let weight = draw(&mut state, 30);
                let space = budget.space_for(&producer, weight);
                assert!((1..=capacity).contains(&space));
                loop {
                    let total: u64 = window.iter().sum();
                    let has_room = total == 0 || total + weight <= limit;
                    let fits = has_room && window.len() < capacity;
                    assert_eq!(producer.space() >= space, fits, "round {round}");
                    match budget.reserve(&mut producer, weight) {
                        Ok(ticket) => {
                            assert!(fits);
                            match draw(&mut state, 4) {
                                0 => ring.evict(ticket).unwrap(),
                                _ => ring.complete(ticket, weight).unwrap(),
                            }
                            window.push_back(weight);
                            break;
                        }
                        Err(error) => assert!(!fits && error == ReserveError::Full),
                    }
                    let delivery = consumer.try_next().unwrap();
                    let weight = window.pop_front().unwrap();
                    assert!([Ok(weight), Err(Gap::Evicted)].contains(&delivery.outcome));
                }
                if draw(&mut state, 8) == 0 && producer.space() > 0 {
                    // A position without the budget has no weight.
                    ring.complete(producer.reserve().unwrap(), 0).unwrap();
                    window.push_back(0);
                }
            }
        }
    }
}

#[test]
fn the_delivery_that_makes_room_wakes_the_producer() {
    let ring = Ring::with_capacity(8).unwrap();
    let (mut producer, mut consumer) = ring.open().unwrap().split();
    let mut budget = Budget::new(10);
    for weight in [1, 2, 3, 4] {
        ring.complete(budget.reserve(&mut producer, weight).unwrap(), weight).unwrap();
    }
    let (wake_counter, waker) = WakeCounter::new();
    let mut context = Context::from_waker(&waker);
    // The weights 1, 2 and 3 have to go for 5.
    let space = budget.space_for(&producer, 5);
    {
        let mut waiting = pin!(producer.wait_for_space_many_async(space));
        for taken in 0..3 {
            assert!(waiting.as_mut().poll(&mut context).is_pending(), "{taken} were taken");
            assert_eq!(wake_counter.count(), 0);
            consumer.try_next().unwrap();
        }
        assert_eq!(wake_counter.count(), 1);
        assert_eq!(waiting.as_mut().poll(&mut context), Poll::Ready(Ok(())));
    }
    assert!(budget.reserve(&mut producer, 5).is_ok());
    assert_eq!(budget.reserve(&mut producer, 2), Err(ReserveError::Full), "4 and 5 count");
    drop(consumer);
    let cancelled = Err(ReserveError::Cancelled);
    assert_eq!(budget.reserve(&mut producer, 2), cancelled, "no wait for a consumer that has gone");
    assert_eq!(budget.reserve(&mut producer, 0), cancelled);
    assert!(!format!("{budget:?}").contains("11"), "a refused weight does not count");
}

#[test]
fn positions_reserved_by_index_have_no_weight() {
    let ring = Ring::<u8>::with_capacity(4).unwrap();
    let (mut producer, mut consumer) = ring.open().unwrap().split();
    let mut budget = Budget::new(10);
    assert!(budget.reserve(&mut producer, 10).is_ok());
    producer.reserve_through(2).unwrap();
    assert_eq!(budget.space_for(&producer, 0), 1);
    // The window has 3 of 4 positions, and only index 0 has a weight.
    assert_eq!(budget.space_for(&producer, 1), 2);
    consumer.evict_head().unwrap();
    consumer.try_next().unwrap();
    assert!(budget.reserve(&mut producer, 10).is_ok());
    assert_eq!(budget.space_for(&producer, 1), 4, "index 3 is the last of the window");
}

/// The consumer runs on another thread, and adds what it takes to what the producer has admitted.
#[cfg(feature = "std")]
#[test]
fn the_weight_of_the_window_stays_within_the_limit_between_two_threads() {
    use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

    const LIMIT: u64 = 100;
    let items = if cfg!(miri) { 200 } else { 20_000 };
    let ring = Ring::with_capacity(16).unwrap();
    let (mut producer, mut consumer) = ring.open().unwrap().split();
    let outstanding = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let consuming = scope.spawn(|| {
            // A delivery makes room before `next` returns it, so this subtracts early.
            let (mut expected, mut state) = (0, 7);
            for _ in 0..items {
                let weight = draw(&mut state, 60);
                while consumer.head_of_line().index == expected
                    && consumer.head_of_line().state != reorder_ring::HeadState::Ready
                {
                    std::thread::yield_now();
                }
                outstanding.fetch_sub(weight, SeqCst);
                assert_eq!(consumer.next().unwrap().unwrap().outcome, Ok(weight));
                expected += 1;
            }
        });
        let (mut budget, mut state) = (Budget::new(LIMIT), 7);
        for _ in 0..items {
            let weight = draw(&mut state, 60);
            let space = budget.space_for(&producer, weight);
            producer.wait_for_space_many(space, None).unwrap();
            let ticket = budget.reserve(&mut producer, weight).unwrap();
            let total = outstanding.fetch_add(weight, SeqCst) + weight;
            assert!(total <= LIMIT, "{total}");
            ring.complete(ticket, weight).unwrap();
        }
        // ThreadSanitizer does not see that a scope waits for its threads.
        consuming.join().unwrap();
    });
}

#[test]
fn a_weight_that_fits_needs_one_position() {
    let ring = Ring::<u8>::with_capacity(8).unwrap();
    let (mut producer, _consumer) = ring.open().unwrap().split();
    let mut budget = Budget::new(10);
    assert_eq!(budget.space_for(&producer, u64::MAX), 1);
    for weight in [4, 0, 3] {
        assert_eq!(budget.space_for(&producer, weight), 1);
        _ = budget.reserve(&mut producer, weight).unwrap();
    }
    assert_eq!(budget.space_for(&producer, 3), 1);
    // The first weight has to go for 7 or 4, and all of them for 8.
    assert_eq!([7, 4, 8].map(|weight| budget.space_for(&producer, weight)), [6, 6, 8]);
}

#[test]
fn weights_that_fit_get_the_last_positions_of_a_ring() {
    // 10 positions are left, for a window of 8.
    let end = (1 << 61) - 8;
    let ring = Ring::starting_at(8, end - 10).unwrap();
    let (mut producer, mut consumer) = ring.open().unwrap().split();
    let mut budget = Budget::new(10);
    let mut context = Context::from_waker(std::task::Waker::noop());
    for n in 0..10 {
        let space = budget.space_for(&producer, 2);
        assert_eq!(producer.poll_space_many(&mut context, space), Poll::Ready(Ok(())), "{n}");
        ring.complete(budget.reserve(&mut producer, 2).unwrap(), n).unwrap();
        if n == 8 {
            // The weight fits after two deliveries. Then 5 positions of the window would be free,
            // but only one is left.
            assert_eq!(budget.space_for(&producer, 3), 5);
            let never = Poll::Ready(Err(SpaceError::Exhausted));
            assert_eq!(producer.poll_space_many(&mut context, 5), never);
        }
        if n > 3 {
            consumer.try_next().unwrap();
        }
    }
    assert_eq!(budget.space_for(&producer, 2), 1);
    let never = Poll::Ready(Err(SpaceError::Exhausted));
    assert_eq!(producer.poll_space_many(&mut context, 1), never);
}

#[test]
fn a_budget_starts_again_with_another_batch() {
    let rings = [8, 8].map(|capacity| Ring::<u8>::with_capacity(capacity).unwrap());
    let mut budget = Budget::new(10);
    // Batches of one ring, a batch of another ring, and a batch with more positions than before.
    for (ring, before) in [(0, 0), (0, 0), (1, 0), (0, 0), (0, 5)] {
        let (mut producer, _consumer) = rings[ring].open().unwrap().split();
        _ = producer.reserve_many(before).unwrap();
        assert_eq!(budget.space_for(&producer, 10), 1);
        for weight in [4, 6] {
            _ = budget.reserve(&mut producer, weight).unwrap();
        }
        assert_eq!(budget.reserve(&mut producer, 1), Err(ReserveError::Full));
    }
}

#[test]
fn weights_without_a_position_do_not_count() {
    let ring = Ring::with_capacity(8).unwrap();
    let (mut producer, mut consumer) = ring.open().unwrap().split();
    let mut budget = Budget::new(10);
    budget.release_to(u64::MAX);
    budget.add(3);
    assert_eq!(budget.set(u64::MAX, 4), Some(3));
    assert!(!budget.fits(7));
    budget.release_to(u64::MAX);
    assert!(!budget.fits(7), "the last index was not released");
    for n in 0..20 {
        let ticket = budget.reserve(&mut producer, 9).unwrap();
        // The weight was added, and its reservation failed.
        budget.add(1);
        assert_eq!(budget.reserve(&mut producer, 2), Err(ReserveError::Full));
        assert_eq!(budget.space_for(&producer, 1), 1);
        ring.complete(ticket, n).unwrap();
        consumer.try_next().unwrap();
    }
}

#[test]
fn weights_that_fit_together_are_told() {
    let mut budget = Budget::new(10);
    assert!(budget.fits_after(0, u64::MAX) && !budget.fits_after(1, 10));
    budget.add(4);
    assert!(budget.fits_after(5, 1) && !budget.fits_after(5, 2));
    assert!(!budget.fits_after(u128::MAX, 0) && !budget.fits_after(u64::MAX.into(), u64::MAX));
}
