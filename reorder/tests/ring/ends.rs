//! How a batch ends, told apart by every way to take: pending, ended, truncated, cancelled.

use std::task::{Context, Poll, Waker};

use reorder_ring::{
    Batch, Consumer, Delivery, NextError, Producer, ReserveError, Ring, TryNextError,
};

type Answer = Result<Delivery<u8>, TryNextError>;

/// What every way to take says, which must be the same. To be asked when nothing can be taken.
#[track_caller]
fn ask(consumer: &mut Consumer<&Ring<u8>>) -> TryNextError {
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

/// As a poll says it.
fn poll(answer: TryNextError) -> Poll<Result<Option<Delivery<u8>>, NextError>> {
    match answer {
        TryNextError::Pending => Poll::Pending,
        TryNextError::Ended => Poll::Ready(Ok(None)),
        TryNextError::Truncated => Poll::Ready(Err(NextError::Truncated)),
        TryNextError::Cancelled => Poll::Ready(Err(NextError::Cancelled)),
        error => panic!("{error}"),
    }
}

/// As a wait with a deadline says it.
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

/// As `ask`, of a batch in one hand.
#[track_caller]
fn ask_batch(batch: &mut Batch<&Ring<u8>>) -> TryNextError {
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

/// Ends the batch as declared, or by dropping its producer.
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
fn a_batch_pends_until_its_producer_ends_it_and_all_is_delivered() {
    for (finish, told) in [(true, TryNextError::Ended), (false, TryNextError::Truncated)] {
        for items in 0..=3_u8 {
            let ring = Ring::with_capacity(4).unwrap();
            let (mut producer, mut consumer) = ring.open().unwrap().split();
            assert_eq!(ask(&mut consumer), TryNextError::Pending, "nothing is reserved");
            let tickets = producer.reserve_many(items.into()).unwrap();
            if items > 0 {
                assert_eq!(ask(&mut consumer), TryNextError::Pending, "the head is missing");
            }
            end(producer, finish);
            for (index, ticket) in tickets.enumerate() {
                assert_eq!(ask(&mut consumer), TryNextError::Pending, "{index} of {items}");
                ring.complete(ticket, index as u8).unwrap();
                assert_eq!(value(consumer.try_next()), (index as u64, index as u8));
            }
            for _ in 0..2 {
                assert_eq!(ask(&mut consumer), told, "after {items}");
            }
        }
    }
}

#[test]
fn a_cancelled_batch_delivers_what_is_ready_at_its_head() {
    for ended in [None, Some(false), Some(true)] {
        let ring = Ring::with_capacity(4).unwrap();
        let (mut producer, mut consumer) = ring.open().unwrap().split();
        let tickets: Vec<_> = producer.reserve_many(4).unwrap().collect();
        for index in [0, 1, 3] {
            ring.complete(tickets[index], index as u8).unwrap();
        }
        assert!(consumer.canceller().cancel());
        assert!(!consumer.canceller().cancel(), "once");
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
        assert_eq!(ask(&mut consumer), TryNextError::Cancelled);
        // A completion that comes all the same is as good as before.
        ring.complete(tickets[2], 2).unwrap();
        assert_eq!(value(consumer.try_next()), (2, 2));
        assert_eq!(value(consumer.try_next()), (3, 3));
        let told = match ended {
            None => TryNextError::Cancelled,
            Some(true) => TryNextError::Ended,
            Some(false) => TryNextError::Truncated,
        };
        assert_eq!(ask(&mut consumer), told, "an end that was reached is told as it was declared");
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
        std::panic::resume_unwind(Box::new("no more input"));
    }));
    assert!(panicked.is_err());
    assert_eq!(value(consumer.try_next()), (0, 7));
    assert_eq!(ask(&mut consumer), TryNextError::Truncated);
}

#[test]
fn a_batch_in_one_hand_is_at_its_end_whenever_all_is_delivered() {
    let ring = Ring::with_capacity(2).unwrap();
    let mut batch = ring.open().unwrap();
    for index in 0..3 {
        assert_eq!(ask_batch(&mut batch), TryNextError::Ended);
        let ticket = batch.reserve().unwrap();
        assert_eq!(ask_batch(&mut batch), TryNextError::Pending);
        ring.complete(ticket, 5).unwrap();
        assert_eq!(value(batch.try_next()), (index, 5));
    }
    let ticket = batch.reserve().unwrap();
    assert!(batch.canceller().cancel());
    assert_eq!(ask_batch(&mut batch), TryNextError::Cancelled);
    assert_eq!(batch.reserve(), Err(ReserveError::Cancelled));
    ring.complete(ticket, 6).unwrap();
    assert_eq!(value(batch.try_next()), (3, 6));
    assert_eq!(ask_batch(&mut batch), TryNextError::Ended);
}

#[test]
fn a_consumer_that_goes_first_cancels_its_batch() {
    let ring = Ring::with_capacity(2).unwrap();
    let (mut producer, consumer) = ring.open().unwrap().split();
    let canceller = consumer.canceller();
    let ticket = producer.reserve().unwrap();
    drop(consumer);
    assert!(!canceller.cancel(), "it is cancelled");
    assert_eq!(producer.reserve(), Err(ReserveError::Cancelled));
    assert_eq!(ring.complete(ticket, 1).unwrap_err().reason, reorder_ring::Reason::Stale);
    assert!(ring.open().is_err());
    producer.finish();
    assert!(!canceller.cancel(), "it is over");
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
    assert_eq!(ask(&mut consumer), TryNextError::Pending);
    ring.complete(ticket, 3).unwrap();
    assert_eq!(value(consumer.try_next()), (0, 3));
    assert!(consumer.canceller().cancel(), "its own does");
    assert_eq!(ask(&mut consumer), TryNextError::Cancelled);
}
