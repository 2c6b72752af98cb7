//! The end states of a batch: pending, ended, truncated, cancelled. Every way to take reports the
//! same state.

use std::task::{Context, Poll, Waker};

use reorder_ring::{
    Batch, Consumer, Delivery, NextError, Producer, ReserveError, Ring, TryNextError,
};

type Answer = Result<Delivery<u8>, TryNextError>;

/// Asserts that every way to take reports the same state, and returns it. Nothing may be ready.
#[track_caller]
fn end_state(consumer: &mut Consumer<&Ring<u8>>) -> TryNextError {
    let answer = consumer.try_next().unwrap_err();
    assert!(consumer.drain_ready().next().is_none());
    let polled = consumer.poll_next(&mut Context::from_waker(Waker::noop()));
    assert_eq!(polled, poll(answer));
    #[cfg(feature = "std")]
    {
        use std::time::{Duration, Instant};
        if answer != TryNextError::Pending {
            assert_eq!(Poll::Ready(consumer.next()), poll(answer));
        }
        assert_eq!(consumer.next_timeout(Duration::ZERO), timed(answer));
        assert_eq!(consumer.next_timeout(Duration::from_millis(1)), timed(answer));
        assert_eq!(consumer.next_deadline(Instant::now()), timed(answer));
    }
    answer
}

/// Returns the same state as `poll_next` reports it.
fn poll(answer: TryNextError) -> Poll<Result<Option<Delivery<u8>>, NextError>> {
    match answer {
        TryNextError::Pending => Poll::Pending,
        TryNextError::Ended => Poll::Ready(Ok(None)),
        TryNextError::Truncated => Poll::Ready(Err(NextError::Truncated)),
        TryNextError::Cancelled => Poll::Ready(Err(NextError::Cancelled)),
        error => panic!("{error}"),
    }
}

/// Returns the same state as a wait with a deadline reports it.
#[cfg(feature = "std")]
fn timed(answer: TryNextError) -> Result<Option<Delivery<u8>>, reorder_ring::NextTimeoutError> {
    use reorder_ring::NextTimeoutError;
    match answer {
        TryNextError::Pending => Err(NextTimeoutError::Timeout),
        TryNextError::Ended => Ok(None),
        TryNextError::Truncated => Err(NextTimeoutError::Truncated),
        TryNextError::Cancelled => Err(NextTimeoutError::Cancelled),
        error => panic!("{error}"),
    }
}

/// As `end_state`, for a batch that is not split.
#[track_caller]
fn end_state_of_batch(batch: &mut Batch<&Ring<u8>>) -> TryNextError {
    let answer = batch.try_next().unwrap_err();
    assert!(batch.drain_ready().next().is_none());
    #[cfg(feature = "std")]
    {
        use std::time::{Duration, Instant};
        if answer != TryNextError::Pending {
            assert_eq!(Poll::Ready(batch.next()), poll(answer));
        }
        assert_eq!(batch.next_timeout(Duration::ZERO), timed(answer));
        assert_eq!(batch.next_deadline(Instant::now()), timed(answer));
    }
    answer
}

/// Ends the batch by `finish`, or else by dropping its producer.
fn end(producer: Producer<&Ring<u8>>, finish: bool) {
    if finish {
        producer.finish();
    }
}

fn value(answer: Answer) -> (u64, u8) {
    let delivery = answer.unwrap();
    (delivery.index, delivery.outcome.unwrap())
}

#[test]
fn a_batch_is_pending_until_its_producer_has_ended_and_all_is_delivered() {
    for (finish, state) in [(true, TryNextError::Ended), (false, TryNextError::Truncated)] {
        for items in 0..=3_u8 {
            let ring = Ring::with_capacity(4).unwrap();
            let (mut producer, mut consumer) = ring.open().unwrap().split();
            assert_eq!(end_state(&mut consumer), TryNextError::Pending, "nothing is reserved");
            let tickets = producer.reserve_many(items.into()).unwrap();
            if items > 0 {
                assert_eq!(end_state(&mut consumer), TryNextError::Pending, "the head is missing");
            }
            end(producer, finish);
            for (index, ticket) in tickets.enumerate() {
                assert_eq!(end_state(&mut consumer), TryNextError::Pending, "{index} of {items}");
                ring.complete(ticket, index as u8).unwrap();
                assert_eq!(value(consumer.try_next()), (index as u64, index as u8));
            }
            for _ in 0..2 {
                assert_eq!(end_state(&mut consumer), state, "after {items} items");
            }
        }
    }
}

#[test]
fn a_cancelled_batch_delivers_the_ready_positions_at_its_head() {
    for ended in [None, Some(false), Some(true)] {
        let ring = Ring::with_capacity(4).unwrap();
        let (mut producer, mut consumer) = ring.open().unwrap().split();
        let tickets: Vec<_> = producer.reserve_many(4).unwrap().collect();
        for index in [0, 1, 3] {
            ring.complete(tickets[index], index as u8).unwrap();
        }
        assert!(consumer.canceller().cancel());
        assert!(!consumer.canceller().cancel(), "the second cancellation reports success");
        assert_eq!(producer.reserve(), Err(ReserveError::Cancelled));
        assert_eq!(producer.reserve_many(0), Err(ReserveError::Cancelled));
        assert_eq!(producer.permit().err(), Some(ReserveError::Cancelled));
        let producer = match ended {
            None => Some(producer),
            Some(finished) => {
                end(producer, finished);
                None
            }
        };
        assert_eq!(value(consumer.try_next()), (0, 0));
        assert_eq!(value(consumer.try_next()), (1, 1));
        assert_eq!(end_state(&mut consumer), TryNextError::Cancelled);
        // A completion after the cancellation is accepted and delivered.
        ring.complete(tickets[2], 2).unwrap();
        assert_eq!(value(consumer.try_next()), (2, 2));
        assert_eq!(value(consumer.try_next()), (3, 3));
        let state = match ended {
            None => TryNextError::Cancelled,
            Some(true) => TryNextError::Ended,
            Some(false) => TryNextError::Truncated,
        };
        assert_eq!(end_state(&mut consumer), state, "a reached end takes precedence");
        drop(producer);
    }
}

#[test]
fn a_producer_that_panics_truncates_its_batch() {
    let ring = Ring::<u8>::with_capacity(4).unwrap();
    let (producer, mut consumer) = ring.open().unwrap().split();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let mut producer = producer;
        let ticket = producer.reserve().unwrap();
        ring.complete(ticket, 7).unwrap();
        std::panic::resume_unwind(Box::new("the producer panics"));
    }));
    assert!(panicked.is_err());
    assert_eq!(value(consumer.try_next()), (0, 7));
    assert_eq!(end_state(&mut consumer), TryNextError::Truncated);
}

#[test]
fn a_batch_that_is_not_split_has_ended_whenever_all_is_delivered_unless_cancelled() {
    let ring = Ring::with_capacity(2).unwrap();
    let mut batch = ring.open().unwrap();
    for index in 0..3 {
        assert_eq!(end_state_of_batch(&mut batch), TryNextError::Ended);
        let ticket = batch.reserve().unwrap();
        assert_eq!(end_state_of_batch(&mut batch), TryNextError::Pending);
        ring.complete(ticket, 5).unwrap();
        assert_eq!(value(batch.try_next()), (index, 5));
    }
    let ticket = batch.reserve().unwrap();
    assert!(batch.canceller().cancel());
    assert_eq!(end_state_of_batch(&mut batch), TryNextError::Cancelled);
    assert_eq!(batch.reserve(), Err(ReserveError::Cancelled));
    ring.complete(ticket, 6).unwrap();
    assert_eq!(value(batch.try_next()), (3, 6));
    assert_eq!(end_state_of_batch(&mut batch), TryNextError::Cancelled);
}

#[test]
fn a_consumer_that_leaves_first_cancels_its_batch() {
    let ring = Ring::with_capacity(2).unwrap();
    let (mut producer, consumer) = ring.open().unwrap().split();
    let canceller = consumer.canceller();
    let ticket = producer.reserve().unwrap();
    drop(consumer);
    assert!(!canceller.cancel(), "the batch is already cancelled");
    assert_eq!(producer.reserve(), Err(ReserveError::Cancelled));
    assert_eq!(ring.complete(ticket, 1).unwrap_err().reason, reorder_ring::Reason::Stale);
    assert!(ring.open().is_err());
    producer.finish();
    assert!(!canceller.cancel(), "the batch is closed");
    assert!(ring.open().is_ok());
}

#[test]
fn a_canceller_of_an_earlier_batch_does_nothing() {
    let ring = Ring::with_capacity(2).unwrap();
    let batch = ring.open().unwrap();
    let stale = [batch.canceller(), batch.canceller().clone()];
    drop(batch);
    assert!(!stale[0].cancel(), "between batches");
    let (mut producer, mut consumer) = ring.open().unwrap().split();
    assert!(stale.iter().all(|canceller| !canceller.cancel()));
    let ticket = producer.reserve().unwrap();
    assert_eq!(end_state(&mut consumer), TryNextError::Pending);
    ring.complete(ticket, 3).unwrap();
    assert_eq!(value(consumer.try_next()), (0, 3));
    assert!(consumer.canceller().cancel(), "a canceller of this batch cancels it");
    assert_eq!(end_state(&mut consumer), TryNextError::Cancelled);
}
