//! A call that has ended is dropped, with its items and the captures of its job, whatever the
//! workers do that have run it or could have.
//!
//! A test here hangs, and fails by its time limit, if a worker keeps the call.

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use crate::common::{executor, kinds, with_timeout};
use reorder_executor::Executor;

/// Starts a call whose job runs until it is told to end. Then lets the other worker receive from a
/// silent channel, ends the call, and waits until the captures of its job are dropped.
///
/// `receive` starts this, and sends when it has started.
fn is_dropped_while(receive: impl FnOnce(&Executor, Receiver<()>, Sender<()>) + Send + 'static) {
    with_timeout(|| {
        let executor = executor(2);
        let (started, starts) = channel();
        let (end, ends) = channel::<()>();
        let (captured, dropped) = channel::<()>();
        let ends = Mutex::new(ends);
        let batch = executor.batch([()]).submit(move |(), _| {
            let _captured = &captured;
            started.send(()).unwrap();
            ends.lock().unwrap().recv().unwrap();
            Ok::<_, ()>(())
        });
        starts.recv().unwrap();
        // The other worker lists calls that are older than some microseconds.
        thread::sleep(Duration::from_millis(1));
        let ((silent, receiver), (receiving, receives)) = (channel(), channel());
        receive(&executor, receiver, receiving);
        receives.recv().unwrap();
        end.send(()).unwrap();
        assert_eq!(kinds(batch.unwrap().wait().outcomes()), ".");
        assert!(dropped.recv().is_err(), "nothing is sent");
        // The executor waits for jobs.
        drop(silent);
    });
}

#[test]
fn a_worker_inside_a_source_keeps_no_ended_call() {
    is_dropped_while(|executor, receiver, receiving| {
        let source = std::iter::from_fn(move || {
            receiving.send(()).unwrap();
            receiver.recv().ok()
        });
        std::mem::forget(executor.stream(source, |item| item));
    });
}

#[test]
fn a_worker_in_a_job_keeps_no_ended_call() {
    is_dropped_while(|executor, receiver, receiving| {
        let receiver = Mutex::new(receiver);
        let batch = executor.batch([()]).submit(move |(), _| {
            receiving.send(()).unwrap();
            _ = receiver.lock().unwrap().recv();
            Ok::<_, ()>(())
        });
        std::mem::forget(batch);
    });
}
