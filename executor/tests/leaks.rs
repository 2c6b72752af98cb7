//! Streams that are dropped early, and requests that end, leave no memory and no threads behind.
//! These tests have their own file because the global allocator counts for the whole process.
#![cfg(feature = "requests")]

#[path = "common/counting_bytes.rs"]
mod counting_bytes;

use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use counting_bytes::bytes;
use reorder_executor::{AttemptOutcome, CancellationToken, Executor, RateLimiter, Retry};

/// Held by the test that runs: all tests of the process count the same bytes.
static SERIAL: Mutex<()> = Mutex::new(());

/// Returns the number of threads of this process, or `None` if the system does not report it.
fn threads() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("Threads:"))?.trim().parse().ok()
}

/// Starts `streams` streams, every other one with a limit, and drops each after ten items.
fn drop_after_ten_items(executor: &Executor, token: &CancellationToken, streams: usize) {
    let alive = Arc::new(());
    for round in 0..streams {
        let counted = Arc::clone(&alive);
        let source = std::iter::repeat_with(move || Arc::clone(&counted));
        if round % 2 == 0 {
            assert_eq!(executor.stream(source, |item| item).take(10).flatten().count(), 10);
        } else {
            let batch = executor.batch(source).cancelled_by(token);
            let stream = batch.stream(|item, _| Ok::<_, ()>(item));
            let stream = stream.expect("the executor is not shut down");
            assert_eq!(stream.take(10).flatten().count(), 10);
        }
    }
    // A worker may still hold the last reference to a stream.
    while Arc::strong_count(&alive) > 1 {
        thread::yield_now();
    }
}

#[test]
fn ten_thousand_streams_dropped_after_ten_items_leave_nothing() {
    let _serial = SERIAL.lock();
    let executor = Executor::builder().workers(2).window(16).build().unwrap();
    let token = CancellationToken::new();
    drop_after_ten_items(&executor, &token, 1000);
    let (before, started) = (bytes(), threads());
    drop_after_ten_items(&executor, &token, 10_000);
    let left = bytes() - before;
    // A list of the workers may have grown meanwhile, and the last stream may still be alive.
    assert!(left < 10_000, "10000 streams left {left} bytes");
    assert_eq!(threads(), started);
    drop(executor);
}

/// Submits `items` requests, each of which is tried once and then waits for an hour. Returns the
/// number of bytes that they take while they wait.
fn bytes_of_waiting_requests(executor: &Executor, items: usize) -> isize {
    let hour = Duration::from_secs(60 * 60);
    let before = bytes();
    let (attempted, attempts) = mpsc::channel();
    let limiter = RateLimiter::builder().build().unwrap();
    let batch = executor.batch(0..items).requests().through(&limiter);
    let handle = batch.retry(Retry::new().within(2 * hour)).submit(move |_, _| {
        attempted.send(()).ok();
        AttemptOutcome::<(), _>::Retry { error: 503_u16, after: Some(hour) }
    });
    (0..items).for_each(|_| attempts.recv().unwrap());
    // The last request may still be on its way into the queue of waiting requests.
    thread::sleep(Duration::from_millis(50));
    let taken = bytes() - before;
    drop(handle);
    taken
}

#[test]
fn ten_thousand_waiting_requests_take_little_memory_and_leave_nothing() {
    let _serial = SERIAL.lock();
    let executor = Executor::builder().workers(2).build().unwrap();
    // Starts the thread of the timers, too.
    bytes_of_waiting_requests(&executor, 10);
    let (before, started) = (bytes(), threads());
    let taken = bytes_of_waiting_requests(&executor, 10_000);
    assert!(threads() <= started);
    println!("10000 waiting requests: {taken} bytes");
    assert!(taken < 10_000 * 600, "{taken} bytes");
    let left = bytes() - before;
    assert!(left < 10_000, "10000 requests left {left} bytes");
}
