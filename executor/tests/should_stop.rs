//! `should_stop` is true whenever no caller can receive the result of a job.

mod common;
#[path = "common/futures.rs"]
mod futures;

use std::sync::mpsc;
use std::thread;

use common::{executor, with_timeout};
use reorder_executor::{AttemptOutcome, Job};

/// A job that runs until it should stop. Two channels tell of its start and of its end.
#[derive(Clone)]
struct Probe(mpsc::Sender<()>, mpsc::Sender<()>);

/// The other ends of the channels of a [`Probe`].
struct Watch(mpsc::Receiver<()>, mpsc::Receiver<()>);

impl Watch {
    /// Drops the handle of a call while its job runs, and waits until the job has ended.
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

    fn job(self) -> impl Fn(u64, &Job<'_>) -> Result<(), String> + Send + Sync + Clone {
        move |_, job| {
            self.run(|| job.should_stop());
            Ok(())
        }
    }
}

#[test]
fn a_dropped_handle_or_stream_stops_its_jobs() {
    with_timeout(|| {
        let executor = executor(1);
        let (probe, watch) = Probe::new();
        watch.drop_handle(executor.batch(0..2).submit(probe.job()).unwrap());

        let (probe, watch) = Probe::new();
        watch.drop_handle(executor.batch(0..).stream(probe.job()).unwrap().into_stream());

        let (probe, watch) = Probe::new();
        let handle = executor.batch(0..2).requests().submit(move |_, attempt| {
            probe.run(|| attempt.should_stop());
            AttemptOutcome::<_, ()>::Done(())
        });
        watch.drop_handle(handle);
    });
}

#[test]
fn a_dropped_handle_stops_an_attempt_that_is_a_future() {
    with_timeout(|| {
        let (executor, runtime) = (executor(1), futures::runtime());
        let (probe, watch) = Probe::new();
        let requests = executor.batch(0..1).requests();
        let handle = requests.submit_async(futures::spawner(&runtime), move |_, attempt| {
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
fn a_failed_sibling_stops_the_jobs_of_its_batch() {
    with_timeout(|| {
        let executor = executor(2);
        let (probe, watch) = Probe::new();
        let fail = move |n: u64, job: &Job<'_>| {
            if n == 0 {
                return Err("on purpose".to_owned());
            }
            probe.clone().job()(n, job)
        };
        assert!(executor.batch(0..2).fail_fast().run(fail.clone()).into_values().is_err());
        let handle = executor.batch(0..2).fail_fast().submit(fail.clone()).unwrap();
        assert!(handle.wait().into_values().is_err());
        let stream = executor.batch(0..2).fail_fast().stream(fail).unwrap();
        assert!(stream.into_iter().all(|outcome| outcome.is_err()));
        drop(watch);
    });
}

#[test]
fn the_end_of_an_outer_call_stops_the_jobs_of_calls_inside() {
    with_timeout(|| {
        for is_submitted in [false, true] {
            let executor = std::sync::Arc::new(executor(2));
            let inner = std::sync::Arc::clone(&executor);
            let (probe, watch) = Probe::new();
            let handle = executor.batch([()]).submit(move |(), _| {
                // The job itself does not ask.
                let job = probe.clone().job();
                let report = if is_submitted {
                    inner.batch([0]).submit(job).unwrap().wait()
                } else {
                    inner.batch([0]).run(job)
                };
                Ok::<_, ()>(report.outcomes().len())
            });
            watch.drop_handle(handle);
        }
    });
}
