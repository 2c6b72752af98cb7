//! Waiting costs next to no processor time. One test, for it measures its whole process.
#![cfg(target_os = "linux")]

mod common;

use std::panic::{catch_unwind, resume_unwind};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use common::{Door, executor};
use reorder_executor::{AttemptOutcome, Executor, Retry};

/// The processor time of this process so far, all threads taken together.
fn cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a live `timespec`.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    assert_eq!(result, 0);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn cpu_of_a_second(what: &str) {
    // What was started has come to rest by then.
    thread::sleep(Duration::from_millis(100));
    let before = cpu_time();
    thread::sleep(Duration::from_secs(1));
    let burnt = cpu_time() - before;
    println!("{what}: {burnt:?} of processor time in a second");
    assert!(burnt < Duration::from_millis(5), "{what} burnt {burnt:?}");
}

/// It would help, but the only worker has the head, and the window is full behind it.
fn a_consumer_behind_a_full_window() {
    let executor = Executor::builder().workers(1).window(8).build().unwrap();
    let head = Door::default();
    let (at_head, reached) = mpsc::channel();
    let of_job = head.clone();
    let mut stream = executor.stream(0u64.., move |item| {
        let is_worker =
            thread::current().name().is_some_and(|name| name.starts_with("reorder-worker"));
        if item > 1000 && is_worker {
            // Nobody listens after the first time.
            _ = at_head.send(());
            of_job.pass();
        }
    });
    let (stop, stopped) = mpsc::channel();
    let consumer = thread::spawn(move || {
        while stopped.try_recv().is_err() {
            assert!(stream.next().is_some_and(|outcome| outcome.is_ok()));
        }
    });
    reached.recv().unwrap();
    // It has to be let go of before its executor can be, whatever becomes of this.
    let measured = catch_unwind(|| cpu_of_a_second("a consumer that helps, with its window full"));
    stop.send(()).unwrap();
    head.open();
    consumer.join().unwrap();
    measured.unwrap_or_else(|panic| resume_unwind(panic));
}

#[test]
fn idle_workers_waiting_callers_and_blocked_sources_burn_nothing() {
    let executor = executor(4);
    executor.map(0..10_000, |item| item);
    cpu_of_a_second("an idle executor");

    let stuck = Door::default();
    thread::scope(|scope| {
        // One caller is in its job, the other waits for a worker's.
        scope.spawn(|| executor.map(0..2, |_| stuck.pass()));
        cpu_of_a_second("a batch that is stuck");
        stuck.open();
    });

    let (items, source) = mpsc::channel::<u32>();
    let stream = executor.stream(source, |item| item);
    let consumer = thread::spawn(move || stream.count());
    cpu_of_a_second("a stream whose source blocks");
    drop(items);
    assert_eq!(consumer.join().unwrap(), 0);

    let hour = Duration::from_secs(60 * 60);
    let requests = executor.batch(0..10_000).requests().retry(Retry::new().within(2 * hour));
    let again =
        move |_: &u32, _: &_| AttemptOutcome::<(), _>::Retry { error: (), after: Some(hour) };
    let waiting = requests.submit(again).unwrap();
    let waits = thread::spawn(move || waiting.wait());
    thread::sleep(Duration::from_millis(300));
    cpu_of_a_second("10000 requests that wait");

    let mut stream = executor.stream(0u64.., |item| item);
    assert!(stream.next().is_some());
    cpu_of_a_second("a stream whose window is full");
    drop(executor);
    a_consumer_behind_a_full_window();
    assert!(waits.join().unwrap().outcomes().iter().all(Result::is_err));
}
