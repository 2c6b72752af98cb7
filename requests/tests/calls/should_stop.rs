//! `should_stop` of an attempt is true whenever no caller can receive its result.

use std::sync::{Arc, mpsc};
use std::thread;

use crate::common::{executor, with_timeout};
use crate::futures::{runtime, spawner};
use reorder_executor::Job;
use reorder_requests::{Attempt, AttemptOutcome, RequestsExt};

/// A job that runs until it should stop. Two channels tell of its start and of its end.
#[derive(Clone)]
struct Probe(mpsc::Sender<()>, mpsc::Sender<()>);

/// The other ends of the channels of a [`Probe`].
struct Watch(mpsc::Receiver<()>, mpsc::Receiver<()>);

impl Watch {
    /// Drops the handle of a call while its attempt runs, and waits until the attempt has ended.
    fn drop_handle<H>(&self, handle: H) {
        self.0.recv().unwrap();
        drop(handle);
        self.1.recv().unwrap();
    }
}

impl Probe {
    fn new() -> (Probe, Watch) {
        let ((start, started), (end, ended)) = (mpsc::channel(), mpsc::channel());
        (Probe(start, end), Watch(started, ended))
    }

    fn run(&self, should_stop: impl Fn() -> bool) {
        self.0.send(()).unwrap();
        while !should_stop() {
            thread::yield_now();
        }
        self.1.send(()).unwrap();
    }

    /// Runs as an attempt.
    fn attempt(&self, attempt: &Attempt) -> AttemptOutcome<(), ()> {
        self.run(|| attempt.should_stop());
        AttemptOutcome::Done(())
    }
}

#[test]
fn a_dropped_handle_stops_the_attempts_of_its_batch() {
    with_timeout(|| {
        let executor = executor(1);
        let (probe, watch) = Probe::new();
        let job = move |_: &u64, attempt: &Attempt| probe.attempt(attempt);
        watch.drop_handle(executor.batch(0..2).requests().submit(job));
    });
}

#[test]
fn a_dropped_handle_stops_an_attempt_that_is_a_future() {
    with_timeout(|| {
        let (executor, runtime) = (executor(1), runtime());
        let (probe, watch) = Probe::new();
        let requests = executor.batch(0..1).requests();
        let handle = requests.submit_async(spawner(&runtime), move |_, attempt| {
            let probe = probe.clone();
            async move {
                probe.run(|| attempt.should_stop());
                AttemptOutcome::<_, ()>::Done(())
            }
        });
        watch.drop_handle(handle);
    });
}

#[test]
fn the_end_of_an_outer_call_stops_the_attempts_of_requests_in_its_job() {
    with_timeout(|| {
        let executor = Arc::new(executor(6));
        let (inner, (probe, watch)) = (Arc::clone(&executor), Probe::new());
        // The job itself does not ask.
        let handle = executor.batch([()]).submit(move |(), _| {
            let probe = probe.clone();
            let job = move |_: &u64, attempt: &Attempt| probe.attempt(attempt);
            _ = inner.batch([0]).requests().submit(job).unwrap().wait();
            Ok::<_, ()>(())
        });
        watch.drop_handle(handle);
    });
}

#[test]
fn a_dropped_stream_of_requests_stops_the_calls_in_its_source() {
    with_timeout(|| {
        let executor = Arc::new(executor(1));
        let (inner, (probe, watch)) = (Arc::clone(&executor), Probe::new());
        let source = (0..1).inspect(move |_| {
            let job = |_, job: &Job<'_>| {
                probe.run(|| job.should_stop());
                Ok::<_, ()>(())
            };
            _ = inner.batch([0]).run(job);
        });
        let requests = executor.batch(source).requests();
        watch.drop_handle(requests.stream(|_, _| AttemptOutcome::<_, ()>::Done(())));
    });
}
