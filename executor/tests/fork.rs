//! An executor in a fork of its process, which has none of its workers.
#![cfg(unix)]

mod common;

use common::{executor, with_timeout};
use reorder_executor::Shutdown;

#[test]
fn calls_in_a_fork_are_run_by_their_caller_or_refused() {
    let executor = executor(2);
    assert_eq!(executor.map(0..100, |n| n).len(), 100);
    // Wait until the workers sleep: a lock that a thread holds now stays locked in the child.
    std::thread::sleep(std::time::Duration::from_millis(200));
    // SAFETY: the child runs this thread alone, and ends by `_exit`.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let sums = [
            executor.map(0..100, |n| n).into_iter().sum::<u64>(),
            executor.stream(0..100_u64, |n| n).map(Result::unwrap).sum(),
            executor.scope(|scope| scope.stream(0..100_u64, |n| n).map(Result::unwrap).sum()),
        ];
        let is_refused = executor.batch(0..3).submit(|n, _| Ok::<_, ()>(n)).is_err()
            && executor.batch(0..3).stream(|n, _| Ok::<_, ()>(n)).is_err();
        let left = executor.shutdown(Shutdown::Drain, None);
        drop(executor);
        let holds = sums == [4950; 3] && is_refused && left.is_complete();
        // SAFETY: it ends the process without the exit handlers of the parent.
        unsafe { libc::_exit(if holds { 0 } else { 1 }) };
    }
    with_timeout(move || {
        let mut status = 0;
        // SAFETY: it is the child of this process, and the status is written here.
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        assert_eq!(status, 0, "the child's status");
    });
    let handle = executor.batch(0..3).submit(|n, _| Ok::<_, ()>(n)).unwrap();
    assert_eq!(handle.wait().into_values().unwrap(), [0, 1, 2]);
}
