//! Scopes: borrows are safe to use whatever happens, and gone when the call returns.

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use common::{Census, Door, executor, without_hanging};

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

/// Whether no job runs when the scope has returned, however `f` ends.
fn nothing_runs_after(f: impl FnOnce(&dyn Fn())) {
    let executor = executor(2);
    let (running, returned) = (AtomicUsize::new(0), AtomicBool::new(false));
    let (started, late) = (Door::default(), AtomicBool::new(false));
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
            started.pass();
            // What a user may do with the handle before the scope ends.
            let forget = AtomicBool::new(true);
            f(&|| forget.store(false, SeqCst));
            if forget.load(SeqCst) {
                std::mem::forget(stream.take());
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
    without_hanging(|| nothing_runs_after(|drop_it| drop_it()));
}

#[test]
fn a_scope_whose_handle_is_forgotten_waits_too() {
    without_hanging(|| nothing_runs_after(|_| {}));
}

#[test]
fn a_scope_that_panics_waits_too() {
    without_hanging(|| nothing_runs_after(|_| panic!("in the scope")));
}

#[test]
fn the_panic_of_a_scope_comes_through() {
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
fn a_payload_that_borrows_nothing_but_drops_late_stays_inside_the_scope() {
    // The payload of a panicking job is dropped with its outcome, before the scope returns.
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
    without_hanging(|| {
        let executor = executor(1);
        let sums = executor.map(0..3u64, |outer| {
            executor
                .scope(|scope| scope.stream(0..50, |n| n * outer).map(Result::unwrap).sum::<u64>())
        });
        assert_eq!(sums, [0, 1225, 2450]);
    });
}

#[test]
fn a_long_scope_lets_go_of_streams_that_were_dropped() {
    without_hanging(|| {
        let (executor, jobs) = (executor(2), Census::default());
        executor.scope(|scope| {
            let mut most = 0;
            for _ in 0..1000 {
                let job = jobs.join(1);
                let mut stream = scope.stream(0u64.., move |item| item + job.value);
                assert_eq!(stream.next().unwrap().unwrap(), 1);
                drop(stream);
                most = most.max(jobs.alive());
            }
            // The last one, and those that a worker was just visiting.
            assert!(most < 50, "{most} jobs of dropped streams are kept");
        });
        assert_eq!(jobs.alive(), 0);
    });
}
