//! Tokens of the executor: a cancellation reaches the tasks that wait, and the children.

use loom::thread;
use loom_tests::explore;
use reorder_executor::CancellationToken;

use super::spawned::block_on;

/// A task awaits the cancellation meanwhile. Otherwise it would wait for good.
#[test]
fn a_waiting_task_is_told_of_the_cancellation() {
    explore("a_waiting_task_is_told_of_the_cancellation", None, 20, || {
        let token = CancellationToken::new();
        let waiting = token.clone();
        let task = thread::spawn(move || block_on(waiting.cancelled()));
        token.cancel();
        task.join().unwrap();
    });
}

/// A child is made meanwhile. It is cancelled in any case.
#[test]
fn a_child_that_is_made_meanwhile_is_cancelled() {
    explore("a_child_that_is_made_meanwhile_is_cancelled", None, 10, || {
        let token = CancellationToken::new();
        let parent = token.clone();
        let making = thread::spawn(move || parent.child_token());
        token.cancel();
        let child = making.join().unwrap();
        assert!(child.is_cancelled(), "the child was missed");
    });
}
