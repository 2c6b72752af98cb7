//! The processor time of one thread. Other load hardly adds to it, unlike to wall-clock time.

use std::time::Duration;
use std::vec::Vec;

/// Asserts that a wait of a second uses less than 5 ms of processor time, at one of 20 times.
///
/// On a busy machine, cold caches may cost some milliseconds. A thread that spins, or wakes up
/// often, uses more each time.
pub(crate) fn assert_idle(mut wait_for_a_second: impl FnMut()) {
    let mut measure = || {
        let before = of_this_thread();
        wait_for_a_second();
        of_this_thread() - before
    };
    let mut spent = Vec::new();
    while spent.len() < 20 {
        spent.push(measure());
        if spent.last() < Some(&Duration::from_millis(5)) {
            return;
        }
    }
    panic!("{spent:?} of processor time, each within a second");
}

/// Returns the processor time that the calling thread has used.
fn of_this_thread() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a live `timespec`, to which the call writes.
    let status = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    assert_eq!(status, 0);
    Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
}
