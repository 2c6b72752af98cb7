//! Whole calls of the executor: the last item completes while the caller checks for the end, a
//! worker takes over items, and calls nest.

use loom::sync::{Condvar, Mutex};
use loom::thread;
use loom_tests::{PlainFlag, explore};
use reorder_executor::model::Ranges;
use reorder_executor::{CancellationToken, Executor};
use std::sync::Arc;

fn executor(workers: usize) -> Executor {
    Executor::builder().workers(workers).build().expect("loom's threads start")
}

/// The pull of an item happens before its job, and the job before the end of the call.
#[test]
fn last_item_while_the_caller_looks() {
    explore("last_item_while_the_caller_looks", Some(2), 20000, || {
        let executor = executor(1);
        let pulled = [PlainFlag::default(), PlainFlag::default()];
        let ran = [PlainFlag::default(), PlainFlag::default()];
        let source = (0..2).inspect(|&n| pulled[n].set());
        let results = executor.map(source, |n| {
            assert!(pulled[n].is_set());
            ran[n].set();
            n + 1
        });
        assert_eq!(results, [1, 2]);
        assert!(ran.iter().all(PlainFlag::is_set));
    });
}

/// The first item waits for the second, which the same thread has claimed or would claim next. So
/// the other thread takes the second item over. Its pull happens before its job, on either thread.
#[test]
fn rest_is_taken_over() {
    explore("rest_is_taken_over", Some(2), 20000, || {
        let executor = executor(1);
        let (done, changed) = (Mutex::new(false), Condvar::new());
        let pulled = [PlainFlag::default(), PlainFlag::default()];
        let source = (0..2).inspect(|&n| pulled[n].set());
        executor.map(source, |n| {
            assert!(pulled[n].is_set());
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

/// Two threads steal the only item, from its puller or from each other. The pull of the item
/// happens before its job, on either thread.
#[test]
fn stolen_item_was_pulled() {
    explore("stolen_item_was_pulled", None, 5000, || {
        let (ranges, pulled) = (Arc::new(Ranges::new(3)), Arc::new(PlainFlag::default()));
        let thief = |own: usize| {
            let (ranges, pulled) = (Arc::clone(&ranges), Arc::clone(&pulled));
            move || ranges.steal_and_claim(own).inspect(|_| assert!(pulled.is_set())).is_some()
        };
        let thieves = [thread::spawn(thief(1)), thread::spawn(thief(2))];
        pulled.set();
        ranges.put(0, 0..1);
        let claims = thieves.map(|thief| thief.join().unwrap());
        assert!(claims != [true, true], "the item was claimed twice");
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

/// A thread that sees the cancellation also sees the earlier writes of the canceller.
#[test]
fn cancellation_orders_earlier_writes() {
    explore("cancellation_orders_earlier_writes", None, 2, || {
        let (token, before) = (CancellationToken::new(), Arc::new(PlainFlag::default()));
        let (canceller, written) = (token.clone(), Arc::clone(&before));
        let cancelling = thread::spawn(move || {
            written.set();
            canceller.cancel();
        });
        if token.is_cancelled() {
            assert!(before.is_set());
        }
        cancelling.join().unwrap();
    });
}
