//! What streams leave behind that are dropped early: nothing. A file of its own, for its allocator.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, Ordering::Relaxed};
use std::thread;

use reorder_executor::{CancellationToken, Executor};

/// Counts the bytes that are in use.
struct InUse;

static BYTES: AtomicIsize = AtomicIsize::new(0);

// SAFETY: it passes everything on to the system's allocator.
unsafe impl GlobalAlloc for InUse {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.fetch_add(layout.size() as isize, Relaxed);
        // SAFETY: passed on to the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        BYTES.fetch_sub(layout.size() as isize, Relaxed);
        // SAFETY: passed on to the caller.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: InUse = InUse;

/// How many threads this process has, where that can be told.
fn threads() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("Threads:"))?.trim().parse().ok()
}

/// Starts so many streams, plain ones and such with limits, and drops each after ten items.
fn dropped_after_ten_items(executor: &Executor, token: &CancellationToken, streams: usize) {
    let alive = Arc::new(());
    for round in 0..streams {
        let counted = Arc::clone(&alive);
        let source = std::iter::repeat_with(move || Arc::clone(&counted));
        if round % 2 == 0 {
            assert_eq!(executor.stream(source, |item| item).take(10).flatten().count(), 10);
        } else {
            let batch = executor.batch(source).cancelled_by(token);
            let stream = batch.stream(|item, _| Ok::<_, ()>(item)).expect("it is not shut down");
            assert_eq!(stream.take(10).flatten().count(), 10);
        }
    }
    // Stragglers may still be on their way, with the last reference to their stream.
    while Arc::strong_count(&alive) > 1 {
        thread::yield_now();
    }
}

#[test]
fn a_stream_dropped_after_ten_items_ten_thousand_times_leaves_nothing() {
    let executor = Executor::builder().workers(2).window(16).build().unwrap();
    let token = CancellationToken::new();
    dropped_after_ten_items(&executor, &token, 1000);
    let (bytes, started) = (BYTES.load(Relaxed), threads());
    dropped_after_ten_items(&executor, &token, 10_000);
    let left = BYTES.load(Relaxed) - bytes;
    // A list of the workers may have grown meanwhile, and the last stream may not be gone.
    assert!(left < 10_000, "{left} bytes are left, of 10000 streams");
    assert_eq!(threads(), started);
    drop(executor);
}
