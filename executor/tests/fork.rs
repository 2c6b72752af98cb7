//! An executor in a fork of its process, which has none of its workers.
#![cfg(unix)]

mod common;

use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::Duration;

use common::{executor, with_timeout};
use reorder_executor::{Executor, IteratorExt, Shutdown};

/// Asserts that `holds` returns `true` in a fork of this process.
fn assert_in_a_fork(holds: impl FnOnce() -> bool) {
    // Wait until the workers sleep: a lock that a thread holds now stays locked in the child.
    thread::sleep(Duration::from_millis(200));
    // SAFETY: of this process, the child has this thread alone. It ends by `_exit`.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let holds = catch_unwind(AssertUnwindSafe(holds)).unwrap_or(false);
        // SAFETY: it ends the process without the exit handlers of the parent.
        unsafe { libc::_exit(if holds { 0 } else { 1 }) };
    }
    with_timeout(move || {
        let mut status = 0;
        // SAFETY: it is the child of this process, and the status is written here.
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        assert_eq!(status, 0, "the child's status");
    });
}

/// Returns the sum of the numbers below 100, and whether a worker of the global executor has run.
fn global_sum() -> (u64, bool) {
    let here = thread::current().id();
    let job = move |n: u64| (n, thread::current().id() != here);
    let sum = |(sum, any), (n, is_elsewhere)| (sum + n, any | is_elsewhere);
    (0..100).ordered_map(job).fold((0, false), sum)
}

// One test: a fork copies the locks that the threads of another test hold.
#[test]
fn calls_in_a_fork_are_run_by_their_caller_or_refused() {
    // The child drops its copy, and the parent keeps its own.
    let mut executor = ManuallyDrop::new(executor(2));
    assert_eq!(executor.map(0..100, |n| n).len(), 100);
    assert_in_a_fork(|| {
        let sums = [
            executor.map(0..100, |n| n).into_iter().sum::<u64>(),
            executor.stream(0..100_u64, |n| n).map(Result::unwrap).sum(),
            executor.scope(|scope| scope.stream(0..100_u64, |n| n).map(Result::unwrap).sum()),
        ];
        let is_refused = executor.batch(0..3).submit(|n, _| Ok::<_, ()>(n)).is_err()
            && executor.batch(0..3).stream(|n, _| Ok::<_, ()>(n)).is_err();
        let left = executor.shutdown(Shutdown::Drain, None);
        // SAFETY: the child uses it no more.
        unsafe { ManuallyDrop::drop(&mut executor) };
        sums == [4950; 3] && is_refused && left.is_complete()
    });
    let handle = executor.batch(0..3).submit(|n, _| Ok::<_, ()>(n)).unwrap();
    assert_eq!(handle.wait().into_values().unwrap(), [0, 1, 2]);

    // The parent has not used the global executor, so the child has workers of its own.
    assert_in_a_fork(|| global_sum() == (4950, true));
    assert_eq!(global_sum(), (4950, true));
    // Now it has, and the consumer in the child runs the items.
    assert_in_a_fork(|| {
        let is_known = Executor::builder().build_global().is_err();
        global_sum() == (4950, false) && is_known
    });
    assert_eq!(global_sum(), (4950, true));
}
