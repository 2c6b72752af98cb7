//! Waits for a completer that stops while it writes.

use core::task::{Context, Poll};
use core::time::Duration;
use std::thread;
use std::time::Instant;

use super::hold;
use super::wake_counter::WakeCounter;
use crate::{Gap, HeadState, NextTimeoutError, Reason, Ring, TryNextError};

#[test]
fn a_consumer_behind_a_stopped_completer_times_out_and_goes_on() {
    let ring = Ring::with_capacity(2).unwrap();
    let mut batch = ring.open().unwrap();
    let held = hold(&ring, batch.reserve().unwrap());
    assert_eq!(batch.head_of_line().state, HeadState::Writing);
    assert_eq!(batch.try_next(), Err(TryNextError::Pending));
    let timeout = batch.next_timeout(Duration::from_millis(30));
    assert_eq!(timeout, Err(NextTimeoutError::Timeout));
    let timeout = batch.next_deadline(Instant::now());
    assert_eq!(timeout, Err(NextTimeoutError::Timeout));
    held.publish(7);
    assert_eq!(batch.next().unwrap().unwrap().outcome, Ok(7));
}

#[test]
fn a_sleeping_consumer_sees_what_a_stopped_completer_publishes_without_a_wake() {
    for gap in [None, Some(Gap::Evicted), Some(Gap::Abandoned)] {
        let ring = Ring::with_capacity(2).unwrap();
        let (mut producer, mut consumer) = ring.open().unwrap().split();
        let held = hold(&ring, producer.reserve().unwrap());
        thread::scope(|scope| {
            let consumer = scope.spawn(move || consumer.next().unwrap().unwrap().outcome);
            // The consumer usually sleeps by then. The test is correct if it does not.
            thread::sleep(Duration::from_millis(20));
            match gap {
                None => held.publish(7),
                Some(gap) => held.publish_gap(gap),
            }
            assert_eq!(consumer.join().unwrap(), gap.map_or(Ok(7), Err));
        });
    }
}

/// An eviction or a drop of a slot that the consumer waits for stops before it publishes the gap.
#[test]
fn a_gap_in_progress_refuses_with_its_own_reason() {
    for (gap, reason) in [(Gap::Evicted, Reason::Evicted), (Gap::Abandoned, Reason::Abandoned)] {
        let ring = Ring::with_capacity(2).unwrap();
        let (mut producer, mut consumer) = ring.open().unwrap().split();
        let ticket = producer.reserve().unwrap();
        let (wake_counter, waker) = WakeCounter::new();
        let mut context = Context::from_waker(&waker);
        assert_eq!(consumer.poll_next(&mut context), Poll::Pending);
        let (slot, generation) = ring.slot(ticket.position());
        let held = slot.hold_gap(generation, gap, &ring.consumer_waker).unwrap();
        assert_eq!(ring.complete(ticket, 7).unwrap_err().reason, reason);
        assert_eq!(ring.evict(ticket), Err(reason));
        assert_eq!(consumer.head_of_line().state, HeadState::Writing);
        assert_eq!(consumer.try_next(), Err(TryNextError::Pending));
        held.publish_gap(gap);
        assert_eq!(wake_counter.count(), 1);
        assert_eq!(consumer.try_next().unwrap().outcome, Err(gap));
    }
}

#[test]
fn a_waker_taken_by_a_stopped_completer_is_called_when_it_publishes() {
    let ring = Ring::with_capacity(2).unwrap();
    let (mut producer, mut consumer) = ring.open().unwrap().split();
    let ticket = producer.reserve().unwrap();
    let (wake_counter, waker) = WakeCounter::new();
    let mut context = Context::from_waker(&waker);
    assert_eq!(consumer.poll_next(&mut context), Poll::Pending);
    let held = hold(&ring, ticket);
    assert_eq!(wake_counter.count(), 0, "claimed, not published");
    held.publish(7);
    assert_eq!(wake_counter.count(), 1);
    assert!(matches!(consumer.poll_next(&mut context), Poll::Ready(Ok(Some(_)))));
}

#[test]
fn a_polled_consumer_wakes_itself_behind_a_stopped_completer() {
    let ring = Ring::with_capacity(2).unwrap();
    let (mut producer, mut consumer) = ring.open().unwrap().split();
    let held = hold(&ring, producer.reserve().unwrap());
    let (wake_counter, waker) = WakeCounter::new();
    let mut context = Context::from_waker(&waker);
    for polls in 1..=3 {
        assert_eq!(consumer.poll_next(&mut context), Poll::Pending);
        assert_eq!(wake_counter.count(), polls, "each poll asks for the next one");
    }
    held.publish(7);
    assert_eq!(wake_counter.count(), 3, "nothing was registered");
    assert!(matches!(consumer.poll_next(&mut context), Poll::Ready(Ok(Some(_)))));
}

#[test]
fn a_cancelled_consumer_does_not_wait_for_a_stopped_completer() {
    let ring = Ring::with_capacity(2).unwrap();
    let (mut producer, mut consumer) = ring.open().unwrap().split();
    let held = hold(&ring, producer.reserve().unwrap());
    assert!(consumer.canceller().cancel());
    assert_eq!(consumer.next(), Err(crate::NextError::Cancelled));
    held.publish(7);
    assert_eq!(consumer.next().unwrap().unwrap().outcome, Ok(7), "what is ready comes first");
}

#[cfg(all(target_os = "linux", not(miri)))]
#[test]
fn a_second_behind_a_stopped_completer_costs_little_processor_time() {
    let ring = Ring::with_capacity(2).unwrap();
    let mut batch = ring.open().unwrap();
    let held = hold(&ring, batch.reserve().unwrap());
    super::cpu_time::assert_idle(|| {
        let timeout = batch.next_timeout(Duration::from_secs(1));
        assert_eq!(timeout, Err(NextTimeoutError::Timeout));
    });
    held.publish(());
}
