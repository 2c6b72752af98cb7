//! Requests that end, and items that are given up, leave no memory and no threads behind. These
//! tests have their own file because the global allocator counts for the whole process.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicIsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use reorder_executor::{Executor, Failure};
use reorder_requests::{AttemptOutcome, RateLimiter, RequestsExt, Retry};

/// Counts the blocks and the bytes that are in use.
struct Counting;

static BLOCKS: AtomicIsize = AtomicIsize::new(0);
static BYTES: AtomicIsize = AtomicIsize::new(0);

// SAFETY: every call is forwarded to the system allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BLOCKS.fetch_add(1, Relaxed);
        BYTES.fetch_add(layout.size() as isize, Relaxed);
        // SAFETY: the caller upholds the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        BLOCKS.fetch_sub(1, Relaxed);
        BYTES.fetch_sub(layout.size() as isize, Relaxed);
        // SAFETY: the caller upholds the contract of `dealloc`.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Waits until no other test runs: all tests of the process share the counts.
fn serial() -> MutexGuard<'static, ()> {
    static SERIAL: Mutex<()> = Mutex::new(());
    SERIAL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the number of threads of this process, or `None` if the system does not report it.
fn threads() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("Threads:"))?.trim().parse().ok()
}

/// Submits `items` requests, each of which is tried once and then waits for an hour. Returns the
/// number of bytes that they take while they wait.
fn bytes_of_waiting_requests(executor: &Executor, items: usize) -> isize {
    let hour = Duration::from_secs(60 * 60);
    let before = BYTES.load(Relaxed);
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
    let taken = BYTES.load(Relaxed) - before;
    drop(handle);
    taken
}

#[test]
fn ten_thousand_waiting_requests_take_little_memory_and_leave_nothing() {
    let _serial = serial();
    let executor = Executor::builder().workers(2).build().unwrap();
    // Starts the thread of the timers, too.
    bytes_of_waiting_requests(&executor, 10);
    let (before, started) = (BYTES.load(Relaxed), threads());
    let taken = bytes_of_waiting_requests(&executor, 10_000);
    assert!(threads() <= started);
    println!("10000 waiting requests: {taken} bytes");
    assert!(taken < 10_000 * 600, "{taken} bytes");
    let left = BYTES.load(Relaxed) - before;
    assert!(left < 10_000, "10000 requests left {left} bytes");
}

#[test]
fn items_that_are_given_up_while_they_wait_leave_nothing() {
    let _serial = serial();
    let executor = Executor::builder().workers(1).window(4).build().unwrap();
    let batch = executor.batch(0_u64..).item_timeout(Duration::from_millis(1));
    // Every second item waits for another attempt.
    let retry = Retry::new().within(Duration::MAX);
    let mut requests = batch.requests().retry(retry).stream(|&n, _| match n % 2 {
        0 => AttemptOutcome::Retry { error: "busy", after: Some(Duration::from_secs(3600)) },
        _ => AttemptOutcome::Done(n),
    });
    let outcomes = requests.as_mut().unwrap();
    let given_up = |outcome| matches!(outcome, Some(Err(Failure::ItemDeadline(_))));
    let mut give_up = |count| (0..count).for_each(|_| while !given_up(outcomes.next()) {});
    give_up(100);
    let before = BLOCKS.load(Relaxed);
    give_up(500);
    let grown = BLOCKS.load(Relaxed) - before;
    assert!(grown < 50, "{grown} more blocks in use");
}
