//! The sender of a queue as a `Sink`.

mod common;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};

use common::{LiveCounter, block_on, executor, with_timeout};
use futures_util::{Sink, SinkExt, StreamExt, stream};
use reorder_executor::{QueueSender, TrySendError};

type Sender = QueueSender<u32, u32>;

fn poll_ready(sender: &mut Sender, waker: &Waker) -> Poll<bool> {
    let mut cx = Context::from_waker(waker);
    Pin::new(sender).poll_ready(&mut cx).map(|ready| ready.is_ok())
}

fn start_send(sender: &mut Sender, item: u32) -> Result<(), Option<u32>> {
    Pin::new(sender).start_send(item).map_err(|error| error.into_inner())
}

/// Counts its calls.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

#[test]
fn a_stream_is_forwarded_in_order() {
    with_timeout(|| {
        let executor = executor(2);
        let (sender, outcomes) = executor.queue(|n: u32| n * 2).window(3).build().unwrap();
        let sending = std::thread::spawn(move || {
            block_on(stream::iter(0..1000).map(Ok).forward(sender)).expect("the queue is open");
        });
        assert!(outcomes.map(Result::unwrap).eq((0..1000).map(|n| n * 2)));
        sending.join().unwrap();
    });
}

#[test]
fn a_ready_sink_has_room_whatever_other_senders_do() {
    with_timeout(|| {
        let executor = executor(1);
        let (mut sink, mut outcomes) = executor.queue(|n: u32| n).window(2).build().unwrap();
        let other = sink.clone();
        assert_eq!(poll_ready(&mut sink, Waker::noop()), Poll::Ready(true));
        assert_eq!(poll_ready(&mut sink, Waker::noop()), Poll::Ready(true), "a spurious poll");
        other.try_send(1).unwrap();
        assert!(matches!(other.try_send(2), Err(TrySendError::Full(2))));
        start_send(&mut sink, 3).unwrap();
        assert!(poll_ready(&mut sink, Waker::noop()).is_pending());
        assert_eq!(outcomes.next().unwrap().unwrap(), 1);
        assert_eq!(outcomes.next().unwrap().unwrap(), 3);
        drop((sink, other));
        assert!(outcomes.next().is_none());
    });
}

#[test]
fn a_waiting_sink_is_woken_by_its_last_waker_and_by_room_that_is_given_up() {
    with_timeout(|| {
        let executor = executor(1);
        let (mut holder, outcomes) = executor.queue(|n: u32| n).window(1).build().unwrap();
        let mut sink = holder.clone();
        assert_eq!(poll_ready(&mut holder, Waker::noop()), Poll::Ready(true));
        let wakes = [(); 2].map(|()| Arc::new(Wakes::default()));
        for waker in wakes.clone().map(Waker::from) {
            assert!(poll_ready(&mut sink, &waker).is_pending());
        }
        drop(holder);
        assert_eq!(wakes.map(|wakes| wakes.0.load(SeqCst)), [0, 1]);
        assert_eq!(poll_ready(&mut sink, Waker::noop()), Poll::Ready(true));
        start_send(&mut sink, 7).unwrap();
        drop(sink);
        assert!(outcomes.map(Result::unwrap).eq([7]));
    });
}

#[test]
fn a_sink_that_is_dropped_while_it_waits_passes_its_room_on() {
    with_timeout(|| {
        let executor = executor(1);
        let (mut first, mut outcomes) = executor.queue(|n: u32| n).window(1).build().unwrap();
        let mut second = first.clone();
        let sender = first.clone();
        sender.try_send(1).unwrap();
        let wakes = [(); 2].map(|()| Arc::new(Wakes::default()));
        let wakers = wakes.clone().map(Waker::from);
        assert!(poll_ready(&mut first, &wakers[0]).is_pending());
        assert!(poll_ready(&mut second, &wakers[1]).is_pending());
        assert_eq!(outcomes.next().unwrap().unwrap(), 1);
        assert_eq!(wakes[0].0.load(SeqCst), 1);
        // It was woken, and does not use the room.
        drop(first);
        assert_eq!(wakes[1].0.load(SeqCst), 1);
        assert_eq!(poll_ready(&mut second, &wakers[1]), Poll::Ready(true));
    });
}

#[test]
fn a_closed_sink_counts_as_dropped() {
    with_timeout(|| {
        let executor = executor(1);
        let (mut sink, mut outcomes) = executor.queue(|n: u32| n).window(1).build().unwrap();
        assert_eq!(poll_ready(&mut sink, Waker::noop()), Poll::Ready(true));
        block_on(SinkExt::<u32>::close(&mut sink)).unwrap();
        block_on(SinkExt::<u32>::close(&mut sink)).unwrap();
        assert!(outcomes.next().is_none(), "the last sender was closed");
        assert_eq!(poll_ready(&mut sink, Waker::noop()), Poll::Ready(false));
        assert_eq!(start_send(&mut sink, 4), Err(Some(4)));
        assert!(sink.try_send(5).is_err() && sink.send(6).is_err() && sink.try_reserve().is_err());
        let clone = sink.clone();
        assert!(clone.try_send(7).is_err());
    });
}

#[test]
fn an_ended_queue_gives_items_back() {
    with_timeout(|| {
        let executor = executor(1);
        let (mut sink, outcomes) = executor.queue(|n: u32| n).window(1).build().unwrap();
        let mut waiting = sink.clone();
        assert_eq!(poll_ready(&mut sink, Waker::noop()), Poll::Ready(true));
        let wakes = Arc::new(Wakes::default());
        assert!(poll_ready(&mut waiting, &Arc::clone(&wakes).into()).is_pending());
        drop(outcomes);
        assert_eq!(wakes.0.load(SeqCst), 1);
        assert_eq!(poll_ready(&mut waiting, Waker::noop()), Poll::Ready(false));
        assert_eq!(start_send(&mut sink, 4), Err(Some(4)));
    });
}

#[test]
fn items_are_dropped_once() {
    with_timeout(|| {
        let executor = executor(1);
        let live = LiveCounter::default();
        let job = |item: common::Tracked| item.value;
        let (mut sink, outcomes) = executor.queue(job).window(2).build().unwrap();
        for n in 0..2 {
            block_on(sink.feed(live.track(n))).unwrap();
        }
        std::mem::forget(sink.clone());
        drop(outcomes);
        assert!(block_on(sink.feed(live.track(2))).is_err());
        drop((sink, executor));
        assert!(live.alive() <= 2);
    });
}
