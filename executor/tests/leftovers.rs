//! What streams leave behind that are dropped early: nothing. A file of its own, for its allocator.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicIsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use reorder_executor::{AttemptOutcome, CancellationToken, Executor, RateLimiter, Retry};

/// Counts the bytes that are in use.
struct InUse;

static BYTES: AtomicIsize = AtomicIsize::new(0);

/// One test at a time, for they count the same bytes.
static ALONE: Mutex<()> = Mutex::new(());

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
    let _alone = ALONE.lock();
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

/// Submits so many requests that are tried once and then wait for an hour, and returns how many bytes they take.
fn waiting(executor: &Executor, items: usize) -> isize {
    let hour = Duration::from_secs(60 * 60);
    let bytes = BYTES.load(Relaxed);
    let (tried, all) = mpsc::channel();
    let limiter = RateLimiter::builder().build().unwrap();
    let batch = executor.batch(0..items).requests().through(&limiter);
    let handle = batch.retry(Retry::new().within(2 * hour)).submit(move |_, _| {
        tried.send(()).ok();
        AttemptOutcome::<(), _>::Retry { error: 503_u16, after: Some(hour) }
    });
    (0..items).for_each(|_| all.recv().unwrap());
    // The last one may be on its way to its place.
    thread::sleep(Duration::from_millis(50));
    let taken = BYTES.load(Relaxed) - bytes;
    drop(handle);
    taken
}

#[test]
fn ten_thousand_requests_that_wait_take_little_and_leave_nothing() {
    let _alone = ALONE.lock();
    let executor = Executor::builder().workers(2).build().unwrap();
    // With the thread of the timers.
    waiting(&executor, 10);
    let (bytes, started) = (BYTES.load(Relaxed), threads());
    let taken = waiting(&executor, 10_000);
    assert!(threads() <= started);
    println!("10000 requests that wait: {taken} bytes");
    assert!(taken < 10_000 * 512, "{taken} bytes");
    let left = BYTES.load(Relaxed) - bytes;
    assert!(left < 10_000, "{left} bytes are left");
}
