//! Scopes: jobs may borrow from the caller, and all have ended when the scope returns.

use std::mem::forget;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use crate::common::{Latch, LiveCounter, executor, with_timeout};

#[test]
fn streams_of_a_scope_borrow_and_interleave() {
    let executor = executor(2);
    let numbers: Vec<u64> = (0..1000).collect();
    let factor = 3;
    let (first, second) = executor.scope(|scope| {
        let mut once = scope.stream(&numbers, |n| *n);
        let mut times = scope.stream(&numbers, |n| *n * factor);
        let mut both = (Vec::new(), Vec::new());
        while let (Some(a), Some(b)) = (once.next(), times.next()) {
            both.0.push(a.unwrap());
            both.1.push(b.unwrap());
        }
        both
    });
    assert_eq!(first, numbers);
    assert_eq!(second, numbers.iter().map(|n| n * 3).collect::<Vec<_>>());
    assert_eq!(executor.scope(|scope| scope.map(&numbers, |n| *n)), numbers);
}

/// Asserts that no job runs after the scope has returned or panicked.
///
/// `f` runs inside the scope. The stream is forgotten unless `f` calls its argument.
fn assert_no_job_runs_after_the_scope(f: impl FnOnce(&dyn Fn())) {
    let executor = executor(2);
    let (running, returned) = (AtomicUsize::new(0), AtomicBool::new(false));
    let (started, late) = (Latch::default(), AtomicBool::new(false));
    let scoped = catch_unwind(AssertUnwindSafe(|| {
        executor.scope(|scope| {
            let stream = scope.stream(0.., |item: u64| {
                running.fetch_add(1, SeqCst);
                started.open();
                thread::sleep(Duration::from_micros(500));
                late.fetch_or(returned.load(SeqCst), SeqCst);
                running.fetch_sub(1, SeqCst);
                item
            });
            let mut stream = Some(stream);
            started.wait();
            let forgets = AtomicBool::new(true);
            f(&|| forgets.store(false, SeqCst));
            if forgets.load(SeqCst) {
                forget(stream.take());
            }
        });
    }));
    assert_eq!(running.load(SeqCst), 0);
    returned.store(true, SeqCst);
    drop(scoped);
    drop(executor);
    assert!(!late.load(SeqCst));
}

#[test]
fn a_scope_waits_for_running_jobs() {
    with_timeout(|| assert_no_job_runs_after_the_scope(|drop_it| drop_it()));
}

#[test]
fn a_scope_whose_handle_is_forgotten_waits_too() {
    with_timeout(|| assert_no_job_runs_after_the_scope(|_| {}));
}

#[test]
fn a_scope_that_panics_waits_too() {
    with_timeout(|| assert_no_job_runs_after_the_scope(|_| panic!("in the scope")));
}

#[test]
fn jobs_may_start_streams_while_their_scope_ends() {
    with_timeout(|| {
        let (executor, jobs) = (executor(2), LiveCounter::default());
        executor.scope(|scope| {
            let jobs = &jobs;
            forget(scope.stream(0..1, move |_| {
                thread::sleep(Duration::from_millis(30));
                // The scope is ending by now, and waits for this job.
                forget(scope.stream(0..1, move |_| {
                    thread::sleep(Duration::from_millis(60));
                    let last = jobs.track(0);
                    forget(scope.stream(0..1, move |_| last.value));
                }));
                thread::sleep(Duration::from_millis(20));
            }));
            thread::sleep(Duration::from_millis(10));
        });
        assert_eq!(jobs.alive(), 0, "a job outlives its scope");
    });
}

#[test]
fn a_panic_in_a_scope_is_resumed() {
    let executor = executor(1);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        executor.scope(|scope| {
            let _stream = scope.stream(0..10, |item| item);
            panic!("in the scope");
        });
    }));
    assert_eq!(panicked.unwrap_err().downcast_ref::<&str>(), Some(&"in the scope"));
}

#[test]
fn the_payload_of_a_panicking_job_is_dropped_before_the_scope_returns() {
    struct Payload(&'static AtomicUsize);
    impl Drop for Payload {
        fn drop(&mut self) {
            self.0.fetch_add(1, SeqCst);
        }
    }
    static DROPPED: AtomicUsize = AtomicUsize::new(0);
    let executor = executor(2);
    executor.scope(|scope| {
        let stream = scope.stream(0..100, |_| std::panic::panic_any(Payload(&DROPPED)));
        assert_eq!(stream.filter(Result::<(), _>::is_err).count(), 100);
    });
    assert_eq!(DROPPED.load(SeqCst), 100);
}

#[test]
fn scopes_nest_in_jobs_with_one_worker() {
    with_timeout(|| {
        let executor = executor(1);
        let sums = executor.map(0..3u64, |outer| {
            executor
                .scope(|scope| scope.stream(0..50, |n| n * outer).map(Result::unwrap).sum::<u64>())
        });
        assert_eq!(sums, [0, 1225, 2450]);
    });
}

#[test]
fn a_long_scope_frees_streams_that_were_dropped() {
    with_timeout(|| {
        let (executor, jobs) = (executor(2), LiveCounter::default());
        executor.scope(|scope| {
            let mut most = 0;
            for _ in 0..1000 {
                let job = jobs.track(1);
                let mut stream = scope.stream(0u64.., move |item| item + job.value);
                assert_eq!(stream.next().unwrap().unwrap(), 1);
                drop(stream);
                most = most.max(jobs.alive());
            }
            // The last stream is alive, and so is each stream that a worker holds at that moment.
            assert!(most < 50, "{most} jobs of dropped streams are alive");
        });
        assert_eq!(jobs.alive(), 0);
    });
}
