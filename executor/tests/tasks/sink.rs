//! The sender of a queue as a `Sink`.

use std::convert::Infallible;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Context, Poll, Waker};
use std::thread;

use crate::common::{Latch, LiveCounter, Wakes, block_on, executor, with_timeout};
use crate::full_queue::full_queue;
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

#[test]
fn a_stream_is_forwarded_in_order() {
    with_timeout(|| {
        let executor = executor(2);
        let (sender, outcomes) = executor.queue(|n: u32| n * 2).window(3).build().unwrap();
        let sending = thread::spawn(move || {
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
fn room_for_one_item_wakes_each_waiting_sink() {
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
        // The task of the first sink never polls it again, and the sink lives on.
        assert_eq!(wakes.map(|wakes| wakes.0.load(SeqCst)), [1, 1]);
        assert_eq!(poll_ready(&mut second, &wakers[1]), Poll::Ready(true));
        assert!(poll_ready(&mut first, &wakers[0]).is_pending());
    });
}

#[test]
fn a_sink_that_no_task_polls_any_more_takes_no_wake_up_from_a_sender() {
    with_timeout(|| {
        let executor = executor(1);
        let (mut sink, mut outcomes) = executor.queue(|n: u32| n).window(1).build().unwrap();
        sink.try_send(1).unwrap();
        assert!(poll_ready(&mut sink, Waker::noop()).is_pending());
        let sender = sink.clone();
        let wakes = Arc::new(Wakes::default());
        let waker = Waker::from(Arc::clone(&wakes));
        let mut sending = pin!(sender.send_async(2));
        assert!(sending.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        assert_eq!(outcomes.next().unwrap().unwrap(), 1);
        assert_eq!(wakes.0.load(SeqCst), 1);
        assert!(block_on(sending).is_ok());
        // The same for a thread.
        assert!(poll_ready(&mut sink, Waker::noop()).is_pending());
        thread::scope(|scope| {
            scope.spawn(|| sender.send(3).unwrap());
            assert_eq!(outcomes.next().unwrap().unwrap(), 2);
            assert_eq!(outcomes.next().unwrap().unwrap(), 3);
        });
    });
}

#[test]
fn a_ready_sink_accepts_its_item_after_the_window_became_smaller() {
    with_timeout(|| {
        for has_limits in [false, true] {
            let executor = executor(1);
            let (mut sink, mut outcomes) = if has_limits {
                let queue = executor.batch(()).queue(|n: u32, _| Ok::<_, Infallible>(n));
                queue.window(3).build().unwrap()
            } else {
                executor.queue(|n: u32| n).window(3).build().unwrap()
            };
            let mut others = [sink.clone(), sink.clone()];
            for ready in others.iter_mut().chain([&mut sink]) {
                assert_eq!(poll_ready(ready, Waker::noop()), Poll::Ready(true));
            }
            assert_eq!(outcomes.set_window(NonZeroUsize::MIN), 1);
            for (ready, n) in others.iter_mut().chain([&mut sink]).zip(0..) {
                assert_eq!(poll_ready(ready, Waker::noop()), Poll::Ready(true));
                start_send(ready, n).unwrap();
            }
            for n in 0..3 {
                assert!(sink.try_send(9).is_err(), "the window of one item is full");
                assert_eq!(outcomes.next().unwrap().unwrap(), n);
            }
            assert!(sink.try_send(9).is_ok(), "all room came back");
        }
    });
}

#[test]
fn a_panic_of_the_weight_leaves_its_room_to_the_sink() {
    with_timeout(|| {
        let executor = executor(1);
        let weigh = |&n: &u32| if n == 7 { panic!("seven is no weight") } else { 1 };
        let queue = executor.queue(|n: u32| n).window(1).weight(5, weigh);
        let (mut sink, mut outcomes) = queue.build().unwrap();
        assert_eq!(poll_ready(&mut sink, Waker::noop()), Poll::Ready(true));
        let panicked = catch_unwind(AssertUnwindSafe(|| start_send(&mut sink, 7)));
        assert_eq!(panicked.unwrap_err().downcast_ref(), Some(&"seven is no weight"));
        assert!(sink.clone().try_send(2).is_err(), "the sink holds the room");
        start_send(&mut sink, 1).unwrap();
        assert_eq!(outcomes.next().unwrap().unwrap(), 1);
        // The room is given up if there is no other item.
        assert_eq!(poll_ready(&mut sink, Waker::noop()), Poll::Ready(true));
        assert!(catch_unwind(AssertUnwindSafe(|| start_send(&mut sink, 7))).is_err());
        let sender = sink.clone();
        drop(sink);
        sender.try_send(3).unwrap();
        assert_eq!(outcomes.next().unwrap().unwrap(), 3);
    });
}

#[test]
fn an_item_that_does_not_fit_takes_no_wake_up_from_a_lighter_one() {
    with_timeout(|| {
        let executor = executor(1);
        // The only worker is busy, so nothing but the sink makes room.
        let (started, go_on) = (Latch::default(), Latch::default());
        let (starts, goes_on) = (started.clone(), go_on.clone());
        let busy = executor.batch([()]).submit(move |(), _| {
            starts.open();
            goes_on.wait();
            Ok::<_, ()>(())
        });
        started.wait();
        let queue = executor.queue(|n: u32| n).window(2).weight(2, |&weight| u64::from(weight));
        let (mut sink, mut outcomes) = queue.build().unwrap();
        let sender = sink.clone();
        sender.try_send(1).unwrap();
        assert_eq!(poll_ready(&mut sink, Waker::noop()), Poll::Ready(true));
        let (woken, waiting) =
            (Arc::new(Wakes::default()), &mut Context::from_waker(Waker::noop()));
        let mut heavy = pin!(sender.send_async(2));
        assert!(heavy.as_mut().poll(waiting).is_pending());
        let mut light = pin!(sender.send_async(1));
        let waker = Waker::from(Arc::clone(&woken));
        assert!(light.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        drop(sink);
        let wakes = woken.0.load(SeqCst);
        go_on.open();
        assert_eq!(wakes, 1, "there is room for the light item");
        assert!(heavy.as_mut().poll(waiting).is_pending());
        assert!(block_on(light).is_ok());
        assert_eq!(outcomes.next().unwrap().unwrap(), 1);
        assert_eq!(outcomes.next().unwrap().unwrap(), 1);
        assert!(block_on(heavy).is_ok());
        assert!(busy.unwrap().wait().into_values().is_ok());
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

/// No outcome is taken, and no job ends. So no thread notifies the sink.
#[test]
fn a_deadline_ends_a_sink_that_waits() {
    with_timeout(|| {
        let executor = executor(1);
        let (mut sink, _outcomes, _place) = full_queue(&executor);
        assert!(block_on(sink.feed(1)).is_err());
    });
}

#[test]
fn a_sink_waits_while_the_budget_is_full() {
    with_timeout(|| {
        let executor = executor(1);
        let queue = executor.queue(|n: u32| n).window(3).weight(2, |&weight| u64::from(weight));
        let (sender, mut outcomes) = queue.build().unwrap();
        let mut sink = sender.clone();
        [0, 2].into_iter().for_each(|weight| sender.try_send(weight).unwrap());
        let wakes = Arc::new(Wakes::default());
        assert!(poll_ready(&mut sink, &Arc::clone(&wakes).into()).is_pending());
        // The first outcome makes room in the window alone.
        assert_eq!(outcomes.next().unwrap().unwrap(), 0);
        assert_eq!(wakes.0.load(SeqCst), 0);
        assert_eq!(outcomes.next().unwrap().unwrap(), 2);
        assert_eq!(wakes.0.load(SeqCst), 1);
        assert_eq!(poll_ready(&mut sink, Waker::noop()), Poll::Ready(true));
    });
}

#[test]
fn items_are_dropped_once() {
    with_timeout(|| {
        let executor = executor(1);
        let live = LiveCounter::default();
        let job = |item: crate::common::Tracked| item.value;
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
