//! Queues: a sender that waits for room is told of it.

use std::future::poll_fn;
use std::num::NonZeroUsize;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use futures_sink::Sink;
use loom::sync::{Condvar, Mutex};
use loom::thread;
use loom_tests::explore;
use reorder_executor::model::{
    FullWindow, open_queue, open_weighted_queue, open_weighted_queue_with, send_as_worker,
};

use super::spawned::block_on;

/// A sender waits while the consumer takes an outcome. Otherwise it would wait for good.
#[test]
fn a_waiting_sender_is_told_of_room() {
    explore("a_waiting_sender_is_told_of_room", None, 10, || {
        let window = Arc::new(FullWindow::default());
        let sender = {
            let window = Arc::clone(&window);
            thread::spawn(move || window.wait_for_room(1))
        };
        window.take();
        sender.join().unwrap();
    });
}

/// A sender waits while another one gives up the room that it holds as a sink.
#[test]
fn room_that_is_given_up_is_noticed() {
    explore("room_that_is_given_up_is_noticed", None, 10, || {
        let (mut holder, outcomes) = open_queue(1);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(matches!(Pin::new(&mut holder).poll_ready(&mut cx), Poll::Ready(Ok(()))));
        let sender = holder.clone();
        let waiting = thread::spawn(move || sender.send(()).expect("the queue is open"));
        drop(holder);
        waiting.join().unwrap();
        drop(outcomes);
    });
}

/// A sink waits for room while the only sender with room gives it up.
#[test]
fn a_waiting_sink_is_told_of_room() {
    explore("a_waiting_sink_is_told_of_room", None, 10, || {
        let (mut holder, outcomes) = open_queue(1);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(matches!(Pin::new(&mut holder).poll_ready(&mut cx), Poll::Ready(Ok(()))));
        let mut sink = holder.clone();
        let waiting = thread::spawn(move || {
            let ready = poll_fn(|cx| Pin::new(&mut sink).poll_ready(cx));
            block_on(ready).expect("the queue is open");
        });
        drop(holder);
        waiting.join().unwrap();
        drop(outcomes);
    });
}

/// A sink was told to wait, and its task never polls it again. A sender waits behind it for the
/// room that another sink gives up.
#[test]
fn an_abandoned_sink_takes_no_wake_up() {
    explore("an_abandoned_sink_takes_no_wake_up", None, 10, || {
        let (mut holder, outcomes) = open_queue(1);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(matches!(Pin::new(&mut holder).poll_ready(&mut cx), Poll::Ready(Ok(()))));
        let mut abandoned = holder.clone();
        assert!(Pin::new(&mut abandoned).poll_ready(&mut cx).is_pending());
        let sender = holder.clone();
        let waiting = thread::spawn(move || sender.send(()).expect("the queue is open"));
        drop(holder);
        waiting.join().unwrap();
        drop((abandoned, outcomes));
    });
}

/// A larger window wakes a sender. Before it looks, another sender takes some of the room. Then
/// only a lighter item fits, whose sender waits.
#[test]
fn a_sender_passes_on_room_that_is_too_small_for_it() {
    explore("a_sender_passes_on_room_that_is_too_small_for_it", Some(3), 500, || {
        let (sender, outcomes) = open_weighted_queue(3, 5);
        outcomes.set_window(NonZeroUsize::MIN);
        sender.try_send(1).expect("the queue is empty");
        let (heavy, light) = (sender.clone(), sender.clone());
        let mut cx = Context::from_waker(Waker::noop());
        let mut heavy = pin!(heavy.send_async(3));
        assert!(heavy.as_mut().poll(&mut cx).is_pending());
        let light = thread::spawn(move || light.send(2).expect("the queue is open"));
        outcomes.set_window(NonZeroUsize::new(3).unwrap());
        sender.try_send(2).expect("it fits beside the light item");
        assert!(heavy.as_mut().poll(&mut cx).is_pending());
        light.join().unwrap();
        drop(outcomes);
    });
}

/// As before, but the woken sender is a worker. It runs the item that has taken some of the room,
/// whose job waits for the lighter item.
#[test]
fn a_worker_passes_on_room_before_it_runs_an_item() {
    explore("a_worker_passes_on_room_before_it_runs_an_item", Some(2), 500, || {
        let is_light_sent = Arc::new((Mutex::new(false), Condvar::new()));
        let waits = Arc::clone(&is_light_sent);
        let (heavy, outcomes) = open_weighted_queue_with(3, 5, move |weight| {
            let mut is_sent = waits.0.lock().unwrap();
            while weight == 2 && !*is_sent {
                is_sent = waits.1.wait(is_sent).unwrap();
            }
        });
        outcomes.set_window(NonZeroUsize::MIN);
        heavy.try_send(1).expect("the queue is empty");
        let (light, sender) = (heavy.clone(), heavy.clone());
        let light = thread::spawn(move || {
            _ = light.send(2);
            *is_light_sent.0.lock().unwrap() = true;
            is_light_sent.1.notify_all();
        });
        let others = thread::spawn(move || {
            outcomes.set_window(NonZeroUsize::new(3).unwrap());
            if sender.try_send(2).is_ok() {
                light.join().unwrap();
                drop(outcomes);
            } else {
                // The heavy item was sent. So the light one may have to wait.
                drop(outcomes);
                light.join().unwrap();
            }
        });
        send_as_worker(&heavy, 3);
        others.join().unwrap();
    });
}

/// Two senders wait for the room that a sink gives up. The item of the first one does not fit into
/// the budget.
#[test]
fn a_heavy_item_takes_no_wake_up() {
    explore("a_heavy_item_takes_no_wake_up", None, 10, || {
        let (mut holder, outcomes) = open_weighted_queue(2, 2);
        let mut cx = Context::from_waker(Waker::noop());
        let (first, second) = (holder.clone(), holder.clone());
        first.try_send(1).expect("the queue is empty");
        assert!(matches!(Pin::new(&mut holder).poll_ready(&mut cx), Poll::Ready(Ok(()))));
        let mut heavy = pin!(first.send_async(2));
        assert!(heavy.as_mut().poll(&mut cx).is_pending());
        let light = thread::spawn(move || second.send(1).expect("the queue is open"));
        drop(holder);
        light.join().unwrap();
        drop(outcomes);
    });
}
