//! Streams that are dropped early leave no memory and no threads behind. This test has its own file
//! because the global allocator counts for the whole process.

#[path = "common/counting_bytes.rs"]
mod counting_bytes;

use std::sync::Arc;
use std::thread;

use counting_bytes::bytes;
use reorder_executor::{CancellationToken, Executor};

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
