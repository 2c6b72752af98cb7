//! Whole calls of the executor: the last item that finishes while the caller looks, a part that is taken over,
//! calls within calls.

use loom::sync::{Condvar, Mutex};
use loom::thread;
use loom_tests::{Witness, explore};
use reorder_executor::{CancellationToken, Executor};
use std::sync::Arc;

fn executor(workers: usize) -> Executor {
    Executor::builder().workers(workers).build().expect("threads of loom's")
}

/// What the source did comes before the job, and the job before the end of the call.
#[test]
fn last_item_while_the_caller_looks() {
    explore("last_item_while_the_caller_looks", Some(2), 20000, || {
        let executor = executor(1);
        let pulled = [Witness::default(), Witness::default()];
        let ran = [Witness::default(), Witness::default()];
        let source = (0..2).inspect(|&n| pulled[n].testify());
        let results = executor.map(source, |n| {
            assert!(pulled[n].is_seen());
            ran[n].testify();
            n + 1
        });
        assert_eq!(results, [1, 2]);
        assert!(ran.iter().all(Witness::is_seen));
    });
}

/// The first item waits for the second, which the same thread has claimed or would claim next. Whoever runs it
/// comes after its puller.
#[test]
fn rest_is_taken_over() {
    explore("rest_is_taken_over", Some(2), 20000, || {
        let executor = executor(1);
        let (done, changed) = (Mutex::new(false), Condvar::new());
        let pulled = [Witness::default(), Witness::default()];
        let source = (0..2).inspect(|&n| pulled[n].testify());
        executor.map(source, |n| {
            assert!(pulled[n].is_seen());
            let mut done = done.lock().unwrap();
            if n == 1 {
                *done = true;
                changed.notify_all();
            }
            while !*done {
                done = changed.wait(done).unwrap();
            }
        });
    });
}

#[test]
fn batch_in_a_job_with_one_worker() {
    explore("batch_in_a_job_with_one_worker", Some(1), 8000, || {
        let executor = executor(1);
        let sums = executor.map(0..2, |n| executor.map(0..2, |m| n + m).iter().sum::<i32>());
        assert_eq!(sums, [1, 3]);
    });
}

/// What the canceller did before is seen by whoever sees the cancellation.
#[test]
fn cancellation_tells_what_came_before() {
    explore("cancellation_tells_what_came_before", None, 2, || {
        let (token, before) = (CancellationToken::new(), Arc::new(Witness::default()));
        let (canceller, told) = (token.clone(), Arc::clone(&before));
        let cancelling = thread::spawn(move || {
            told.testify();
            canceller.cancel();
        });
        if token.is_cancelled() {
            assert!(before.is_seen());
        }
        cancelling.join().unwrap();
    });
}
