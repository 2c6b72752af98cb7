//! The executor's workers. Published work is run, also if a worker falls asleep at that moment. A
//! job that waits for another job does not keep that job from running. Borrowed work is released.
//! A lost wake-up is a deadlock, which loom reports.

use std::num::NonZeroUsize;
use std::sync::Arc;

use loom::sync::{Condvar, Mutex};
use loom::thread;
use loom_tests::{PlainFlag, explore};
use reorder_executor::ConcurrencyLimit;
use reorder_executor::model::{Jobs, Workers};

/// Counts the jobs that have run, and waits for a number of them.
struct Done {
    count: Mutex<usize>,
    changed: Condvar,
}

impl Done {
    fn new() -> Arc<Done> {
        Arc::new(Done { count: Mutex::new(0), changed: Condvar::new() })
    }

    fn add(&self) {
        *self.count.lock().unwrap() += 1;
        self.changed.notify_all();
    }

    fn wait_for(&self, count: usize) {
        let mut done = self.count.lock().unwrap();
        while *done < count {
            done = self.changed.wait(done).unwrap();
        }
    }
}

/// Returns work of `count` jobs, which `done` counts.
fn counted(count: usize, done: &Arc<Done>) -> Arc<Jobs> {
    let done = Arc::clone(done);
    Arc::new(Jobs::new(count, move || done.add()))
}

/// Returns work of `count` jobs. The first job waits until another job has run, of this work or of
/// other work.
fn waiting(count: usize, done: &Arc<Done>) -> Arc<Jobs> {
    let (done, is_first) = (Arc::clone(done), Mutex::new(true));
    Arc::new(Jobs::new(count, move || {
        if std::mem::replace(&mut *is_first.lock().unwrap(), false) {
            done.wait_for(1);
        }
        done.add();
    }))
}

#[test]
fn published_work_is_run() {
    explore("published_work_is_run", Some(4), 10000, || {
        let (workers, done) = (Workers::start(1), Done::new());
        let jobs = counted(1, &done);
        workers.publish(&jobs);
        done.wait_for(1);
        workers.withdraw(&jobs);
        workers.stop();
    });
}

/// A stream makes jobs claimable when its window has space again, or its source can be pulled
/// again.
#[test]
fn work_that_becomes_claimable_is_run() {
    explore("work_that_becomes_claimable_is_run", Some(3), 8000, || {
        let (workers, done) = (Workers::start(1), Done::new());
        let jobs = counted(0, &done);
        workers.publish(&jobs);
        workers.add(&jobs);
        done.wait_for(1);
        workers.withdraw(&jobs);
        workers.stop();
    });
}

/// Work that rests is not asked. An event ends the rest, also during the look that begins it.
#[test]
fn a_rest_ends_with_an_event() {
    explore("a_rest_ends_with_an_event", Some(3), 100_000, || {
        let (workers, done) = (Workers::start(1), Done::new());
        let of_job = Arc::clone(&done);
        let jobs = Arc::new(Jobs::that_rest(&workers, move || of_job.add()));
        workers.publish(&jobs);
        workers.add(&jobs);
        done.wait_for(1);
        workers.add(&jobs);
        done.wait_for(2);
        workers.withdraw(&jobs);
        workers.stop();
    });
}

/// A job waits for a job of other work, which is published before or after it. The worker that runs
/// the first job must not count as a searching worker, and has to wake the next worker.
fn waits_for_other_work(older: bool) {
    let (workers, done) = (Workers::start(2), Done::new());
    let (waiting, other) = (waiting(1, &done), counted(1, &done));
    workers.wait_until_asleep();
    let published = if older { [&other, &waiting] } else { [&waiting, &other] };
    published.iter().for_each(|jobs| workers.publish(jobs));
    done.wait_for(2);
    published.iter().for_each(|jobs| workers.withdraw(jobs));
    workers.stop();
}

#[test]
fn job_that_waits_for_newer_work() {
    explore("job_that_waits_for_newer_work", Some(1), 6000, || waits_for_other_work(false));
}

#[test]
fn job_that_waits_for_older_work() {
    explore("job_that_waits_for_older_work", Some(1), 1200, || waits_for_other_work(true));
}

/// As above, with both jobs in the same work. The worker that claims the first job wakes another
/// worker.
#[test]
fn job_that_waits_for_its_neighbour() {
    explore("job_that_waits_for_its_neighbour", Some(1), 250, || {
        let (workers, done) = (Workers::start(2), Done::new());
        let jobs = waiting(2, &done);
        workers.wait_until_asleep();
        workers.publish(&jobs);
        done.wait_for(2);
        workers.withdraw(&jobs);
        workers.stop();
    });
}

/// As above, but the consumer of a stream claims the first job.
#[test]
fn helper_wakes_a_worker() {
    explore("helper_wakes_a_worker", Some(3), 18000, || {
        let (workers, done) = (Workers::start(1), Done::new());
        let jobs = waiting(0, &done);
        workers.publish(&jobs);
        workers.pull_and_help(&jobs, 2);
        done.wait_for(2);
        workers.withdraw(&jobs);
        workers.stop();
    });
}

#[test]
fn workers_end() {
    explore("workers_end", Some(4), 20000, || {
        Workers::start(2).stop();
    });
}

/// A worker that has to end while there is work leaves the work to the waiting caller.
#[test]
fn end_while_there_is_work() {
    explore("end_while_there_is_work", Some(5), 20000, || {
        let (workers, done) = (Workers::start(1), Done::new());
        let jobs = counted(2, &done);
        workers.publish(&jobs);
        workers.stop();
        jobs.help();
        done.wait_for(2);
    });
}

/// A drain waits until all jobs have run, and then ends.
#[test]
fn drained_when_all_has_run() {
    explore("drained_when_all_has_run", Some(3), 3000, || {
        let (workers, done) = (Workers::start(1), Done::new());
        let jobs = counted(1, &done);
        workers.publish(&jobs);
        workers.drain();
        assert_eq!(*done.count.lock().unwrap(), 1, "the drain did not wait");
        workers.withdraw(&jobs);
        workers.stop();
    });
}

/// After the call has returned, no worker runs its borrowed jobs or uses the values that they
/// borrow.
#[test]
fn borrowed_work_is_released() {
    explore("borrowed_work_is_released", Some(4), 20000, || {
        borrow(|workers, jobs, f| workers.with_borrowed(jobs, f))
    });
}

/// The same for a caller that checks repeatedly whether a worker visits the work, and does not
/// sleep.
#[test]
fn borrowed_work_is_released_when_unvisited() {
    explore("borrowed_work_is_released_when_unvisited", Some(4), 20000, || {
        borrow(|workers, jobs, f| workers.borrow_until_unvisited(jobs, f))
    });
}

fn borrow(borrow: impl Fn(&Workers, &Jobs, &dyn Fn())) {
    let workers = Workers::start(1);
    let borrowed = Arc::new(PlainFlag::default());
    let jobs = Jobs::new(1, {
        let borrowed = Arc::clone(&borrowed);
        move || borrowed.set()
    });
    borrow(&workers, &jobs, &|| jobs.help());
    assert!(borrowed.is_set(), "the call has returned, and its job has not run");
    borrowed.set();
    jobs.end();
    workers.stop();
}

/// A worker knows two calls, and stays in a job of one of them. The other one is withdrawn. The
/// worker keeps no reference to it, also if it comes to know the call meanwhile.
#[test]
fn a_worker_in_a_job_keeps_no_withdrawn_work() {
    explore("a_worker_in_a_job_keeps_no_withdrawn_work", Some(2), 100, || {
        let (workers, started, end) = (Workers::start(1), Done::new(), Done::new());
        let withdrawn = Arc::new(Jobs::new(0, || ()));
        let long = {
            let (started, end) = (Arc::clone(&started), Arc::clone(&end));
            Arc::new(Jobs::new(1, move || {
                started.add();
                end.wait_for(1);
            }))
        };
        workers.publish(&withdrawn);
        workers.publish(&long);
        started.wait_for(1);
        workers.withdraw(&withdrawn);
        assert_eq!(Arc::strong_count(&withdrawn), 1, "the worker keeps a reference");
        end.add();
        workers.withdraw(&long);
        workers.stop();
    });
}

fn one_at_a_time(workers: &Workers, done: &Arc<Done>) -> Arc<Jobs> {
    let done = Arc::clone(done);
    Arc::new(Jobs::one_at_a_time(workers, move || done.add()))
}

/// A worker finds work behind a full gate. When the thread inside leaves, the worker runs it.
#[test]
fn work_behind_a_full_gate_is_run() {
    explore("work_behind_a_full_gate_is_run", Some(2), 1000, || {
        let (workers, done) = (Workers::start(1), Done::new());
        let jobs = one_at_a_time(&workers, &done);
        workers.publish(&jobs);
        workers.inside(&jobs, || workers.add(&jobs));
        done.wait_for(1);
        workers.withdraw(&jobs);
        workers.stop();
    });
}

/// A caller or a consumer waits at a full gate. When the thread inside leaves, it passes.
#[test]
fn a_thread_that_a_gate_refused_is_told() {
    explore("a_thread_that_a_gate_refused_is_told", None, 20, || {
        let (workers, done) = (Arc::new(Workers::start(0)), Done::new());
        let jobs = one_at_a_time(&workers, &done);
        let waiting = {
            let (workers, jobs) = (Arc::clone(&workers), Arc::clone(&jobs));
            thread::spawn(move || workers.wait_at_gate(&jobs))
        };
        workers.inside(&jobs, || ());
        waiting.join().unwrap();
    });
}

/// A thread comes back from the source, and finds the gate full. A worker runs its items after
/// the thread inside has left.
#[test]
fn items_left_at_a_full_gate_are_run() {
    explore("items_left_at_a_full_gate_are_run", Some(2), 1000, || {
        let (workers, done) = (Arc::new(Workers::start(1)), Done::new());
        let jobs = one_at_a_time(&workers, &done);
        workers.publish(&jobs);
        let mut returning = None;
        workers.inside(&jobs, || {
            let (workers, jobs) = (Arc::clone(&workers), Arc::clone(&jobs));
            returning = Some(thread::spawn(move || workers.add_and_pass(&jobs)));
        });
        returning.expect("it was started").join().unwrap();
        done.wait_for(1);
        workers.withdraw(&jobs);
        Arc::try_unwrap(workers).expect("the other thread has ended").stop();
    });
}

/// The limit of a call falls to one while a thread inside leaves. Either that thread sees the new
/// limit, or the thread that set it tells the others.
#[test]
fn work_is_run_when_its_limit_falls() {
    explore("work_is_run_when_its_limit_falls", Some(2), 1000, || {
        let (workers, done) = (Workers::start(1), Done::new());
        let limit = ConcurrencyLimit::new(NonZeroUsize::new(2).unwrap());
        let jobs = {
            let done = Arc::clone(&done);
            Arc::new(Jobs::limited(&workers, &limit, move || done.add()))
        };
        workers.publish(&jobs);
        let setter = {
            let limit = limit.clone();
            thread::spawn(move || limit.set(NonZeroUsize::MIN))
        };
        workers.inside(&jobs, || workers.add(&jobs));
        done.wait_for(1);
        setter.join().unwrap();
        workers.withdraw(&jobs);
        workers.stop();
    });
}
