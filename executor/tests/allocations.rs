//! The number of allocations of a call does not depend on its number of items, for batches and for
//! streams. These tests have their own file because the global allocator counts for the whole
//! process.

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reorder_executor::{Executor, Failure, Ordered};

const FEW: u64 = 10_000;
const MANY: u64 = 100_000;
const WINDOW: usize = 64;
/// The allocations that a longer call may make besides: it has more wake-ups, and at each of them a
/// worker may copy the list of open calls.
const WAKE_UPS: usize = 16;

/// Counts the allocations of all threads.
struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);
/// The number of blocks in use.
static LIVE: AtomicIsize = AtomicIsize::new(0);

// SAFETY: every call is forwarded to the system allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        LIVE.fetch_add(1, Relaxed);
        // SAFETY: the caller upholds the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        LIVE.fetch_add(1, Relaxed);
        // SAFETY: the caller upholds the contract of `alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        // SAFETY: the caller upholds the contract of `realloc`.
        unsafe { System.realloc(memory, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        LIVE.fetch_sub(1, Relaxed);
        // SAFETY: the caller upholds the contract of `dealloc`.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Waits until no other test runs: all tests of the process share one count.
fn serial() -> MutexGuard<'static, ()> {
    static SERIAL: Mutex<()> = Mutex::new(());
    SERIAL.lock().unwrap_or_else(PoisonError::into_inner)
}

fn executor() -> Executor {
    Executor::builder().workers(2).window(WINDOW).build().unwrap()
}

fn allocations(f: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.load(Relaxed);
    f();
    ALLOCATIONS.load(Relaxed) - before
}

/// Returns the fewest allocations of 20 calls. The first calls fill the pools.
fn fewest(mut call: impl FnMut()) -> usize {
    (0..20).map(|_| allocations(&mut call)).min().expect("there are 20 calls")
}

/// Asserts that ten times as many items need no more allocations, but for wake-ups.
#[track_caller]
fn assert_constant(call: impl FnMut(u64)) {
    assert_bounded(WAKE_UPS, call);
}

/// Asserts that ten times as many items need at most `more` allocations more.
#[track_caller]
fn assert_bounded(more: usize, mut call: impl FnMut(u64)) {
    let few = fewest(|| call(FEW));
    let many = fewest(|| call(MANY));
    assert!(many <= few + more, "{few} for {FEW} items, {many} for {MANY}");
}

fn map(executor: &Executor, items: u64) {
    let doubled = executor.map(0..items, |n| black_box(n) * 2);
    assert!(doubled.into_iter().eq((0..items).map(|n| n * 2)));
}

fn take(stream: &mut Ordered<'_, u64>, items: u64) {
    assert_eq!(stream.take(items as usize).filter(Result::is_ok).count() as u64, items);
}

#[test]
fn the_count_sees_an_allocation() {
    let _serial = serial();
    assert_eq!(fewest(|| drop(black_box(Box::new(1)))), 1);
}

#[test]
fn the_allocations_of_a_batch_do_not_depend_on_its_size() {
    let _serial = serial();
    let executor = executor();
    assert_constant(|items| map(&executor, items));
}

#[test]
fn the_allocations_of_a_batch_of_indices_do_not_depend_on_its_size() {
    let _serial = serial();
    let executor = executor();
    assert_constant(|items| {
        let doubled = executor.map_indexed(items as usize, |n| black_box(n) * 2);
        assert!(doubled.into_iter().eq((0..items as usize).map(|n| n * 2)));
    });
}

#[test]
fn the_allocations_of_a_batch_with_a_report_do_not_depend_on_its_size() {
    let _serial = serial();
    let executor = executor();
    assert_constant(|items| {
        let report = executor.execute_batch(0..items, |n| black_box(n) * 2);
        assert_eq!(report.outcomes().len() as u64, items);
    });
}

#[test]
fn the_allocations_of_a_whole_stream_do_not_depend_on_its_length() {
    let _serial = serial();
    let executor = executor();
    // A longer stream may use more chunks of each size at once. There are up to two windows of
    // chunks with one outcome, half as many with two outcomes, and so on.
    assert_bounded(4 * WINDOW + WAKE_UPS, |items| {
        let mut stream = executor.stream(0..items, |n| black_box(n) * 2);
        take(&mut stream, items);
        assert!(stream.next().is_none());
    });
}

#[test]
fn a_small_batch_needs_no_more_allocations_than_a_large_one() {
    let _serial = serial();
    let executor = executor();
    let large = fewest(|| map(&executor, FEW));
    for items in [1, 2, 16, 64] {
        let small = fewest(|| map(&executor, items));
        assert!(small <= large, "{small} for {items} items, {large} for {FEW}");
    }
}

#[test]
fn the_items_of_a_running_stream_allocate_nothing() {
    let _serial = serial();
    let executor = executor();
    let mut stream = executor.stream(0_u64.., |n| black_box(n) * 2);
    take(&mut stream, FEW);
    assert_eq!(fewest(|| take(&mut stream, 1000)), 0, "1000 items of a running stream allocated");
}

#[test]
fn heads_that_are_given_up_leave_nothing() {
    let _serial = serial();
    let executor = Executor::builder().workers(1).window(4).build().unwrap();
    let grown = |mut give_up: Box<dyn FnMut(usize)>| {
        give_up(100);
        let before = LIVE.load(Relaxed);
        give_up(500);
        LIVE.load(Relaxed) - before
    };
    let given_up = |outcome| matches!(outcome, Some(Err(Failure::ItemDeadline(_))));
    let batch = || executor.batch(0_u64..).item_timeout(Duration::from_millis(1));
    // Every job is too slow, and its result comes late.
    let mut slow = batch()
        .stream(|n, job| {
            while !job.should_stop() {
                std::thread::yield_now();
            }
            Ok::<_, &str>(n)
        })
        .unwrap();
    let of_stream = grown(Box::new(move |count| {
        (0..count).for_each(|_| while !given_up(slow.next()) {});
    }));
    assert!(of_stream < 50, "{of_stream} more blocks in use");
}
