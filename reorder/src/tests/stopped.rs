//! The traffic of the stress test, while a thread is stopped within a call to the pool.

#[path = "../../tests/pool/traffic/mod.rs"]
mod traffic;

use std::sync::mpsc;
use std::thread;

use super::alone;
use super::reclaim;
use traffic::{Plan, Traffic};

const THREADS: usize = if cfg!(miri) { 4 } else { 500 };
const IDLE_LIMIT: usize = 1 << 20;

#[test]
fn memory_is_bounded_while_a_thread_is_stopped_and_comes_back_when_it_goes_on() {
    let _alone = alone();
    let ((stops, is_stopped), (goes_on, may_go_on)) = (mpsc::channel(), mpsc::channel::<()>());
    let outcome = thread::scope(|scope| {
        scope.spawn(move || {
            let _within_a_call = reclaim::pin();
            stops.send(()).unwrap();
            // It ends when the other end is dropped, also by a panic.
            assert!(may_go_on.recv().is_err());
        });
        is_stopped.recv().unwrap();
        let outcome = Traffic::new(Plan::new(THREADS, IDLE_LIMIT)).run();
        drop(goes_on);
        outcome
    });
    outcome.assert_memory_is_bounded();
}
