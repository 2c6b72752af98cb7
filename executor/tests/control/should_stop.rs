//! `should_stop` is true whenever no caller can receive the result of a job.

use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use crate::common::{executor, with_timeout};
use reorder_executor::{Executor, Job};

/// A job that runs until it should stop. Two channels tell of its start and of its end.
#[derive(Clone)]
struct Probe(mpsc::Sender<()>, mpsc::Sender<()>);

/// The other ends of the channels of a [`Probe`].
struct Watch(mpsc::Receiver<()>, mpsc::Receiver<()>);

impl Watch {
    /// Drops the handle of a call while its job runs, and waits until the job has ended.
    fn drop_handle<H>(&self, handle: H) {
        self.drop_handle_of(1, handle);
    }

    /// The same for a call whose probe runs this number of times at once.
    fn drop_handle_of<H>(&self, jobs: usize, handle: H) {
        (0..jobs).for_each(|_| self.0.recv().unwrap());
        drop(handle);
        (0..jobs).for_each(|_| self.1.recv().unwrap());
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
        let mut stream = executor.batch(0..2).fail_fast().stream(fail).unwrap();
        assert!(stream.next().is_some_and(|outcome| outcome.is_err()));
        // The job of the other item may return its value before the consumer gives the item up.
        stream.for_each(drop);
        drop(watch);
    });
}

/// Makes a call inside of a job, runs a probe in the call or in calls inside of it, and waits.
type Nested = fn(&Arc<Executor>, &Probe);

/// Runs a probe in a batch on this thread.
fn run(executor: &Executor, probe: &Probe) {
    _ = executor.batch([0]).run(probe.clone().job());
}

/// Returns a function that runs a probe in a batch.
fn runs(executor: &Arc<Executor>, probe: &Probe) -> impl Fn(u64) + Send + Sync + use<> {
    let (executor, probe) = (Arc::clone(executor), probe.clone());
    move |_| run(&executor, &probe)
}

/// The ways to wait for a call in a job, each with the number of probes that run.
const NESTED: [(&str, usize, Nested); 12] = [
    ("run", 1, |executor, probe| run(executor, probe)),
    ("submit", 1, |executor, probe| {
        _ = executor.batch([0]).submit(probe.clone().job()).unwrap().wait();
    }),
    ("stream with limits", 1, |executor, probe| {
        _ = executor.batch([0]).stream(probe.clone().job()).unwrap().next();
    }),
    ("until idle", 1, |executor, probe| {
        executor.batch([0]).stream(probe.clone().job()).unwrap().until_idle(None);
    }),
    // One item on the thread of the caller, and one on another worker.
    ("run in map", 2, |executor, probe| {
        executor.map(0..2, |_| run(executor, probe));
    }),
    ("run in map_indexed", 2, |executor, probe| {
        executor.map_indexed(2, |_| run(executor, probe));
    }),
    ("run in stream", 1, |executor, probe| {
        assert_eq!(executor.stream([0], runs(executor, probe)).count(), 1);
    }),
    ("run in a stream of a scope", 1, |executor, probe| {
        let count = executor.scope(|scope| scope.stream([0], |_| run(executor, probe)).count());
        assert_eq!(count, 1);
    }),
    ("queue with limits", 1, |executor, probe| {
        let queue = executor.batch(()).queue(probe.clone().job());
        let (sender, outcomes) = queue.build().unwrap();
        assert!(sender.send(0).is_ok());
        drop(sender);
        assert_eq!(outcomes.count(), 1);
    }),
    ("run in a queue", 1, |executor, probe| {
        let (sender, outcomes) = executor.queue(runs(executor, probe)).build().unwrap();
        assert!(sender.send(0).is_ok());
        drop(sender);
        assert_eq!(outcomes.count(), 1);
    }),
    ("run in the source of a stream", 1, |executor, probe| {
        let source = (0..1).inspect({
            let run = runs(executor, probe);
            move |_| run(0)
        });
        assert_eq!(executor.stream(source, |n| n).count(), 1);
    }),
    ("run in map in stream in map", 4, |executor, probe| {
        executor.map(0..2, |_| {
            let (inner, probe) = (Arc::clone(executor), probe.clone());
            let map = move |_| inner.map(0..2, |_| run(&inner, &probe)).len();
            assert_eq!(executor.stream([()], map).count(), 1);
        });
    }),
];

#[test]
fn the_end_of_an_outer_call_stops_the_jobs_of_calls_inside() {
    for (name, jobs, nested) in NESTED {
        with_timeout(move || {
            println!("{name}");
            let executor = Arc::new(executor(6));
            let (inner, (probe, watch)) = (Arc::clone(&executor), Probe::new());
            // The job itself does not ask.
            let handle = executor.batch([()]).submit(move |(), _| {
                nested(&inner, &probe);
                Ok::<_, ()>(())
            });
            watch.drop_handle_of(jobs, handle);
        });
    }
}

#[test]
fn a_dropped_stream_without_limits_stops_the_calls_in_its_jobs() {
    with_timeout(|| {
        let executor = Arc::new(executor(1));
        let (probe, watch) = Probe::new();
        watch.drop_handle(executor.stream(0..2, runs(&executor, &probe)));
    });
}

#[test]
fn an_item_behind_the_first_error_of_try_map_stops_the_calls_in_its_job() {
    with_timeout(|| {
        let executor = executor(2);
        let (probe, Watch(started, ended)) = Probe::new();
        let started = Mutex::new(started);
        let values = executor.try_map(0..2, |n| match n {
            // The first item fails when the second one runs.
            0 => started.lock().unwrap().recv().map(|()| Err(())).unwrap(),
            _ => {
                run(&executor, &probe);
                Ok(())
            }
        });
        assert_eq!(values.unwrap_err().index, 0);
        ended.recv().unwrap();
    });
}

#[test]
fn a_stream_that_a_job_returned_belongs_to_its_new_caller() {
    with_timeout(|| {
        let executor = Arc::new(executor(1));
        let inner = Arc::clone(&executor);
        let outer = executor.batch([()]).submit(move |(), _| {
            let mut stream = inner
                .batch(0..2000)
                .stream(|_, job| {
                    thread::sleep(Duration::from_micros(10));
                    Ok::<_, ()>(job.should_stop())
                })
                .unwrap();
            // The job waits for the first outcomes.
            assert!(stream.by_ref().take(3).all(|stopped| !stopped.unwrap()));
            Ok::<_, ()>(stream)
        });
        let mut streams = outer.unwrap().wait().into_values().unwrap();
        assert!(streams.remove(0).all(|stopped| !stopped.unwrap()));
    });
}
