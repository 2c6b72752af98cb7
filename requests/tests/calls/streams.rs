//! Requests whose items come from an async stream.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use crate::common::{LiveCounter, block_on, executor, kinds, with_timeout};
use crate::futures::{MS, requests, runtime, spawner};
use futures_util::stream::{self, Stream, StreamExt};
use reorder_executor::{CancellationToken, Executor, Failure, Ordered, Shutdown};
use reorder_requests::{AttemptOutcome, RequestsExt};

/// A channel whose receiver is a stream, and counts its polls.
#[derive(Clone, Default)]
struct Channel(Arc<Shared>);

#[derive(Default)]
struct Shared {
    items: Mutex<(VecDeque<u32>, bool, Option<Waker>)>,
    polls: AtomicUsize,
}

impl Channel {
    fn send(&self, item: u32) {
        let mut items = self.0.items.lock().unwrap();
        items.0.push_back(item);
        items.2.take().into_iter().for_each(Waker::wake);
    }

    fn close(&self) {
        let mut items = self.0.items.lock().unwrap();
        items.1 = true;
        items.2.take().into_iter().for_each(Waker::wake);
    }
}

impl Stream for Channel {
    type Item = u32;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<u32>> {
        self.0.polls.fetch_add(1, SeqCst);
        let mut items = self.0.items.lock().unwrap();
        match items.0.pop_front() {
            Some(item) => Poll::Ready(Some(item)),
            None if items.1 => Poll::Ready(None),
            None => {
                items.2 = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

fn double(n: &u32, _: &reorder_requests::Attempt) -> AttemptOutcome<u32, ()> {
    AttemptOutcome::Done(n * 2)
}

#[test]
fn items_that_come_later_are_pulled_without_a_waiting_thread() {
    with_timeout(|| {
        let executor = executor(1);
        let channel = Channel::default();
        let mut outcomes = requests(&executor, channel.clone()).map_stream(double).unwrap();
        while channel.0.polls.load(SeqCst) == 0 {
            thread::yield_now();
        }
        // The only worker is free, though the source waits.
        assert_eq!(executor.map(0..100, |n| n).len(), 100);
        assert_eq!(executor.stream(0..100, |n| n).count(), 100);
        while !executor.snapshot().workers().is_empty() {
            thread::yield_now();
        }
        for n in 0..100 {
            channel.send(n);
            if n % 10 == 9 {
                for m in n - 9..=n {
                    assert_eq!(outcomes.next().unwrap().unwrap(), m * 2);
                }
            }
        }
        let polls = channel.0.polls.load(SeqCst);
        assert!(polls <= 300, "{polls} polls for 100 items");
        channel.close();
        assert!(outcomes.next().is_none());
    });
}

#[test]
fn futures_of_a_stream_are_retried_within_the_window() {
    with_timeout(|| {
        let (executor, runtime) = (executor(1), runtime());
        let pulled = Arc::new(AtomicUsize::new(0));
        let counting = Arc::clone(&pulled);
        let source = stream::iter(0_usize..).inspect(move |_| _ = counting.fetch_add(1, SeqCst));
        let batch = requests(&executor, source).window(NonZeroUsize::new(8).unwrap());
        let mut outcomes = batch
            .map_stream_async(spawner(&runtime), |n, attempt| async move {
                tokio::time::sleep(MS / 10 * (*n as u32 % 7)).await;
                match attempt.number() {
                    1 if *n % 3 == 0 => AttemptOutcome::Retry { error: (), after: None },
                    _ => AttemptOutcome::Done(*n),
                }
            })
            .unwrap();
        for n in 0..300 {
            assert_eq!(outcomes.next().unwrap().unwrap(), n);
            assert!(pulled.load(SeqCst) <= n + 1 + 8);
        }
    });
}

#[test]
fn a_stream_is_dropped_with_its_handle_and_by_limits() {
    with_timeout(|| {
        let executor = executor(1);
        for by_token in [false, true] {
            let live = LiveCounter::default();
            let tracked = live.track(0);
            let source = stream::pending::<u32>().inspect(move |_| _ = &tracked);
            let token = CancellationToken::new();
            let batch = executor.batch(source).cancelled_by(&token).requests();
            let mut outcomes = batch.map_stream(double).unwrap();
            if by_token {
                token.cancel();
                assert!(matches!(outcomes.next(), Some(Err(Failure::Cancelled(_)))));
                assert!(outcomes.next().is_none());
            }
            drop(outcomes);
            live.wait_until_none_alive();
        }
    });
}

#[test]
fn a_panic_of_the_stream_is_the_last_outcome() {
    with_timeout(|| {
        let executor = executor(1);
        let source = stream::iter(0..5_u32).inspect(|&n| assert!(n < 2, "no more"));
        let outcomes: Vec<_> = requests(&executor, source).map_stream(double).unwrap().collect();
        assert_eq!(kinds(&outcomes[..2]), "..");
        assert!(matches!(outcomes[2..], [Err(Failure::SourcePanicked(_))]), "{outcomes:?}");
    });
}

#[test]
fn a_consumer_that_has_to_run_the_items_is_woken_by_the_stream() {
    with_timeout(|| {
        // The consumer is the only worker.
        let executor = Arc::new(executor(1));
        let inner = Arc::clone(&executor);
        let channel = Channel::default();
        let receiver = channel.clone();
        let counts = executor.batch([receiver]).submit(move |receiver, _| {
            let outcomes = requests(&inner, receiver).map_stream(double).unwrap();
            Ok::<_, ()>(outcomes.map(Result::unwrap).sum::<u32>())
        });
        let counts = counts.unwrap();
        for n in 0..10 {
            thread::sleep(MS);
            channel.send(n);
        }
        channel.close();
        assert_eq!(counts.wait().into_values().unwrap(), [90]);
    });
}

/// Drops the stream of outcomes when it is woken. Then waits until the captures are dropped.
struct DropsTheStream {
    outcomes: Mutex<Option<Ordered<'static, u32, ()>>>,
    live: LiveCounter,
}

impl Wake for DropsTheStream {
    fn wake(self: Arc<Self>) {
        // A wake-up during the poll comes before the stream is here.
        let Some(outcomes) = self.outcomes.lock().unwrap().take() else { return };
        drop(outcomes);
        // Another thread may hold the batch for a moment. The caller of `wake` must not hold it.
        self.live.wait_until_none_alive();
    }
}

#[test]
fn the_waker_of_a_stream_keeps_no_job_alive() {
    with_timeout(|| {
        let executor = Arc::new(executor(1));
        let inner = Arc::clone(&executor);
        let channel = Channel::default();
        // The consumer is the only worker, so it runs the items, and the channel wakes it.
        let handle = executor.batch([channel]).submit(move |channel, _| {
            let live = LiveCounter::default();
            let tracked = live.track(0);
            let outcomes = requests(&inner, channel.clone()).map_stream(move |n, attempt| {
                _ = &tracked;
                double(n, attempt)
            });
            let mut outcomes = outcomes.unwrap();
            let consumer =
                Arc::new(DropsTheStream { outcomes: Mutex::default(), live: live.clone() });
            let waker = Waker::from(Arc::clone(&consumer));
            assert!(outcomes.poll_next(&mut Context::from_waker(&waker)).is_pending());
            assert!(channel.0.polls.load(SeqCst) > 0);
            *consumer.outcomes.lock().unwrap() = Some(outcomes);
            channel.send(1);
            assert!(consumer.outcomes.lock().unwrap().is_none(), "the consumer was not woken");
            Ok::<_, ()>(())
        });
        assert!(handle.unwrap().wait().into_values().is_ok());
    });
}

#[test]
fn a_refused_stream_is_given_back() {
    let executor = Executor::builder().workers(1).build().unwrap();
    _ = executor.shutdown(Shutdown::Drain, None);
    let refused = requests(&executor, stream::iter(0..3_u32)).map_stream(double).unwrap_err();
    assert_eq!(block_on(refused.into_inner().count()), 3);
}
