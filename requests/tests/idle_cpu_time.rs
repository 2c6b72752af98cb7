//! Requests that wait use next to no processor time. There is one test in this file because it
//! measures the whole process.
#![cfg(target_os = "linux")]

mod common;

use std::thread;
use std::time::Duration;

use common::{Latch, executor};
use reorder_requests::{AttemptOutcome, RequestsExt, Retry};

/// Returns the processor time that all threads of this process have used until now.
fn cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a live `timespec`.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    assert_eq!(result, 0);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Asserts that the process soon uses less than 5 ms of processor time within one second.
fn assert_idle_for_a_second(what: &str) {
    assert_uses_little(what, Duration::from_millis(5));
}

/// Asserts that the process soon uses less than `limit` of processor time within one second.
fn assert_uses_little(what: &str, limit: Duration) {
    // On a busy machine, threads take long until they wait. A thread that spins never does.
    let mut used = Vec::new();
    while used.len() < 20 && used.last().is_none_or(|&last| last >= limit) {
        let before = cpu_time();
        thread::sleep(Duration::from_secs(1));
        used.push(cpu_time() - before);
    }
    println!("{what}: {used:?} of processor time, each within a second");
    assert!(used.last() < Some(&limit), "{what} uses processor time in each second: {used:?}");
}

/// The only worker is busy. The item behind its job may take a microsecond, and has not started.
fn tiny_time_out_of_a_request_that_has_not_started() {
    let executor = executor(1);
    let stuck = Latch::default();
    let job_latch = stuck.clone();
    let busy = executor.batch([()]).submit(move |(), _| {
        job_latch.wait();
        Ok::<_, ()>(())
    });
    let requests = executor.batch([1]).item_timeout(Duration::from_micros(1)).requests();
    let requests = requests.submit(|&n, _| AttemptOutcome::<_, ()>::Done(n)).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| requests.wait().into_outcomes().len());
        // It looks at once at first, and then more and more seldom.
        thread::sleep(Duration::from_millis(200));
        assert_uses_little("a consumer with a tiny time-out", Duration::from_millis(20));
        stuck.open();
    });
    assert!(busy.unwrap().wait().into_values().is_ok());
}

#[test]
fn requests_that_wait_use_no_processor_time() {
    let executor = executor(4);
    let hour = Duration::from_secs(60 * 60);
    let requests = executor.batch(0..10_000).requests().retry(Retry::new().within(2 * hour));
    let again =
        move |_: &u32, _: &_| AttemptOutcome::<(), _>::Retry { error: (), after: Some(hour) };
    let waiting = requests.submit(again).unwrap();
    let waiter = thread::spawn(move || waiting.wait());
    // A busy machine may take long to start the first attempt of each.
    while executor.snapshot().calls().iter().all(|call| call.pulled() < 10_000) {
        thread::sleep(Duration::from_millis(10));
    }
    assert_idle_for_a_second("10000 requests that wait");
    drop(executor);
    tiny_time_out_of_a_request_that_has_not_started();
    assert!(waiter.join().unwrap().outcomes().iter().all(Result::is_err));
}
