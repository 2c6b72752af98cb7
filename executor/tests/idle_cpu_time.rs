//! Idle workers and waiting callers use next to no processor time. There is one test in this file
//! because it measures the whole process.
#![cfg(target_os = "linux")]

mod common;

use std::panic::{catch_unwind, resume_unwind};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use common::{Latch, executor};
use reorder_executor::Executor;

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

/// The consumer helps, but there is nothing to run: the only worker runs the head of line, and the
/// window behind it is full.
fn consumer_behind_a_full_window() {
    let executor = Executor::builder().workers(1).window(8).build().unwrap();
    let head = Latch::default();
    let (at_head, reached) = mpsc::channel();
    let job_latch = head.clone();
    let mut stream = executor.stream(0u64.., move |item| {
        let is_worker =
            thread::current().name().is_some_and(|name| name.starts_with("reorder-worker"));
        if item > 1000 && is_worker {
            // Only the first message is received.
            _ = at_head.send(());
            job_latch.wait();
        }
    });
    let (stop, stopped) = mpsc::channel();
    let consumer = thread::spawn(move || {
        while stopped.try_recv().is_err() {
            assert!(stream.next().is_some_and(|outcome| outcome.is_ok()));
        }
    });
    reached.recv().unwrap();
    // The consumer has to end before the executor can be dropped, also if the measurement fails.
    let measured =
        catch_unwind(|| assert_idle_for_a_second("a consumer that helps, with its window full"));
    stop.send(()).unwrap();
    head.open();
    consumer.join().unwrap();
    measured.unwrap_or_else(|panic| resume_unwind(panic));
}

/// The only worker is busy. The items behind its job may take a microsecond each, and have not
/// started.
fn tiny_time_outs_of_items_that_have_not_started() {
    let executor = executor(1);
    let stuck = Latch::default();
    let job_latch = stuck.clone();
    let busy = executor.batch([()]).submit(move |(), _| {
        job_latch.wait();
        Ok::<_, ()>(())
    });
    let batch = || executor.batch([1]).item_timeout(Duration::from_micros(1));
    let submitted = batch().submit(|n, _| Ok::<_, ()>(n)).unwrap();
    let mut stream = batch().stream(|n, _| Ok::<_, ()>(n)).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| common::block_on(submitted).into_outcomes().len());
        scope.spawn(|| stream.next().is_some());
        // Each looks at once at first, and then more and more seldom.
        thread::sleep(Duration::from_millis(200));
        assert_uses_little("two consumers with tiny time-outs", Duration::from_millis(40));
        stuck.open();
    });
    assert!(busy.unwrap().wait().into_values().is_ok());
}

#[test]
fn idle_workers_waiting_callers_and_blocked_sources_use_no_processor_time() {
    let executor = executor(4);
    executor.map(0..10_000, |item| item);
    assert_idle_for_a_second("an idle executor");

    let stuck = Latch::default();
    thread::scope(|scope| {
        // Both items block: one on the caller's thread, the other on a worker.
        scope.spawn(|| executor.map(0..2, |_| stuck.wait()));
        assert_idle_for_a_second("a batch that is stuck");
        stuck.open();
    });

    let (items, source) = mpsc::channel::<u32>();
    let stream = executor.stream(source, |item| item);
    let consumer = thread::spawn(move || stream.count());
    assert_idle_for_a_second("a stream whose source blocks");
    drop(items);
    assert_eq!(consumer.join().unwrap(), 0);

    let mut stream = executor.stream(0u64.., |item| item);
    assert!(stream.next().is_some());
    assert_idle_for_a_second("a stream whose window is full");
    drop(executor);
    consumer_behind_a_full_window();
    tiny_time_outs_of_items_that_have_not_started();
}
