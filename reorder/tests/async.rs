//! Producer and consumer as tasks that wait for each other, and streams that end in each way.
#![cfg(all(feature = "std", not(miri)))]

use std::sync::Arc;
use std::time::Duration;

use reorder_ring::{NextError, Ring};
use tokio::time::timeout;

const ITEMS: u64 = 100_000;

fn block_on<F: Future>(future: F) -> F::Output {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).enable_time().build().unwrap().block_on(future)
}

#[test]
fn tasks_that_wait_for_each_other_lose_no_wake_up() {
    for capacity in [1, 2, 16] {
        let ring = Arc::new(Ring::with_capacity(capacity).unwrap());
        let (mut producer, mut consumer) = ring.open_owned().unwrap().split();
        block_on(async {
            let producing = tokio::spawn(async move {
                for number in 0..ITEMS {
                    producer.wait_for_space_async().await.unwrap();
                    let permit = producer.permit().unwrap();
                    if number % 3 == 0 {
                        tokio::spawn(async move { permit.complete(number).unwrap() });
                    } else {
                        permit.complete(number).unwrap();
                    }
                }
                producer.finish();
            });
            for expected in 0..ITEMS {
                let delivery = consumer.next_async().await.unwrap().unwrap();
                assert_eq!((delivery.index, delivery.outcome), (expected, Ok(expected)));
            }
            assert_eq!(consumer.next_async().await, Ok(None));
            producing.await.unwrap();
        });
    }
}

/// Each wait first runs into a time-out, which drops its future in the middle.
#[test]
fn waits_that_time_out_lose_nothing() {
    for capacity in [1, 8] {
        let ring = Arc::new(Ring::with_capacity(capacity).unwrap());
        let (mut producer, mut consumer) = ring.open_owned().unwrap().split();
        block_on(async {
            let producing = tokio::spawn(async move {
                for number in 0..ITEMS / 10 {
                    match timeout(Duration::ZERO, producer.wait_for_space_async()).await {
                        Ok(space) => space.unwrap(),
                        Err(_) => producer.wait_for_space_async().await.unwrap(),
                    }
                    let permit = producer.permit().unwrap();
                    tokio::spawn(async move { permit.complete(number).unwrap() });
                }
                producer.finish();
            });
            for expected in 0..ITEMS / 10 {
                let next = match timeout(Duration::ZERO, consumer.next_async()).await {
                    Ok(next) => next,
                    Err(_) => consumer.next_async().await,
                };
                let delivery = next.unwrap().unwrap();
                assert_eq!((delivery.index, delivery.outcome), (expected, Ok(expected)));
            }
            assert_eq!(consumer.next_async().await, Ok(None));
            producing.await.unwrap();
        });
    }
}

#[test]
fn a_task_that_is_aborted_leaves_a_gap() {
    let ring = Arc::new(Ring::<u8>::with_capacity(2).unwrap());
    let (mut producer, mut consumer) = ring.open_owned().unwrap().split();
    block_on(async {
        let permit = producer.permit().unwrap();
        let task = tokio::spawn(async move {
            std::future::pending::<()>().await;
            permit.complete(1).unwrap();
        });
        task.abort();
        let delivery = consumer.next_async().await.unwrap().unwrap();
        assert!(delivery.outcome.is_err());
    });
}

#[test]
fn a_dropped_producer_task_truncates_the_batch() {
    let ring = Arc::new(Ring::<u8>::with_capacity(2).unwrap());
    let (producer, mut consumer) = ring.open_owned().unwrap().split();
    block_on(async {
        tokio::spawn(async move { drop(producer) });
        let end = consumer.next_async().await;
        assert_eq!(end, Err(NextError::Truncated));
    });
}

#[cfg(feature = "stream")]
mod stream {
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    use futures_core::{FusedStream, Stream};
    use reorder_ring::{ConsumerStream, NextError, Ring, RingRef};

    /// Takes all items that are ready.
    fn take_ready<R: RingRef<Value = u64>>(
        stream: &mut ConsumerStream<R>,
    ) -> Vec<Result<u64, NextError>> {
        let mut context = Context::from_waker(Waker::noop());
        let mut items = Vec::new();
        while let Poll::Ready(Some(item)) = Pin::new(&mut *stream).poll_next(&mut context) {
            items.push(item.map(|delivery| delivery.outcome.unwrap()));
        }
        items
    }

    #[test]
    fn a_stream_reports_its_end_once() {
        for finish in [true, false] {
            let ring = Ring::with_capacity(4).unwrap();
            let (mut producer, consumer) = ring.open().unwrap().split();
            ring.complete(producer.reserve().unwrap(), 7).unwrap();
            let mut stream = consumer.into_stream();
            assert_eq!(stream.size_hint(), (0, None));
            if finish {
                producer.finish();
            } else {
                drop(producer);
            }
            let expected: &[_] =
                if finish { &[Ok(7)] } else { &[Ok(7), Err(NextError::Truncated)] };
            assert_eq!(take_ready(&mut stream), expected);
            assert!(stream.is_terminated());
            assert_eq!(stream.size_hint(), (0, Some(0)));
            assert_eq!(take_ready(&mut stream), []);
            assert!(ring.open().is_ok(), "the ended stream keeps its batch open");
        }
    }

    #[test]
    fn a_dropped_stream_cancels_its_batch() {
        let ring = Ring::<u64>::with_capacity(4).unwrap();
        let (mut producer, consumer) = ring.open().unwrap().split();
        let mut stream = consumer.into_stream();
        assert_eq!(take_ready(&mut stream), []);
        assert!(!stream.is_terminated());
        drop(stream);
        assert!(producer.reserve().is_err());
    }
}
