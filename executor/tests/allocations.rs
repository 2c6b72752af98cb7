//! How often a call asks the allocator for memory: a number of times that does not depend on how many
//! items it has, whether as a batch or as a stream. A file of its own, for its allocator.

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use reorder_executor::{Executor, Ordered};

const FEW: u64 = 10_000;
const MANY: u64 = 100_000;
const WINDOW: usize = 64;
/// A longer call sees more wake-ups, at which a worker may copy the list of open calls.
const WAKE_UPS: usize = 16;

/// Counts what all threads ask for.
struct Counting;

static REQUESTS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: it passes everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        REQUESTS.fetch_add(1, Relaxed);
        // SAFETY: passed on to the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        REQUESTS.fetch_add(1, Relaxed);
        // SAFETY: passed on to the caller.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        REQUESTS.fetch_add(1, Relaxed);
        // SAFETY: passed on to the caller.
        unsafe { System.realloc(place, layout, size) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: passed on to the caller.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// One test at a time: the count is that of the whole process.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn executor() -> Executor {
    Executor::builder().workers(2).window(WINDOW).build().unwrap()
}

fn requests(f: impl FnOnce()) -> usize {
    let before = REQUESTS.load(Relaxed);
    f();
    REQUESTS.load(Relaxed) - before
}

/// Of several calls the fewest: the first of them fill pools.
fn fewest(mut call: impl FnMut()) -> usize {
    (0..20).map(|_| requests(&mut call)).min().expect("there are 20")
}

/// Ten times as many items may not ask more often.
#[track_caller]
fn assert_constant(call: impl FnMut(u64)) {
    assert_bounded(WAKE_UPS, call);
}

/// Ten times as many items may ask so much more often.
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
    let _alone = alone();
    assert_eq!(fewest(|| drop(black_box(Box::new(1)))), 1);
}

#[test]
fn a_batch_allocates_a_number_of_times_that_its_size_does_not_change() {
    let _alone = alone();
    let executor = executor();
    assert_constant(|items| map(&executor, items));
}

#[test]
fn so_does_a_batch_of_indices() {
    let _alone = alone();
    let executor = executor();
    assert_constant(|items| {
        let doubled = executor.map_indexed(items as usize, |n| black_box(n) * 2);
        assert!(doubled.into_iter().eq((0..items as usize).map(|n| n * 2)));
    });
}

#[test]
fn so_does_a_batch_with_a_report() {
    let _alone = alone();
    let executor = executor();
    assert_constant(|items| {
        let report = executor.execute_batch(0..items, |n| black_box(n) * 2);
        assert_eq!(report.outcomes().len() as u64, items);
    });
}

#[test]
fn so_does_a_stream_from_its_start_to_its_end() {
    let _alone = alone();
    let executor = executor();
    // Chunks of each size, all of which a longer stream may come to have in use at once: two windows'
    // worth of those of one outcome, half as many of those of two, and so on.
    assert_bounded(4 * WINDOW + WAKE_UPS, |items| {
        let mut stream = executor.stream(0..items, |n| black_box(n) * 2);
        take(&mut stream, items);
        assert!(stream.next().is_none());
    });
}

#[test]
fn a_small_batch_allocates_no_more_often_than_a_large_one() {
    let _alone = alone();
    let executor = executor();
    let large = fewest(|| map(&executor, FEW));
    for items in [1, 2, 16, 64] {
        let small = fewest(|| map(&executor, items));
        assert!(small <= large, "{small} for {items} items, {large} for {FEW}");
    }
}

#[test]
fn the_items_of_a_stream_that_runs_allocate_nothing() {
    let _alone = alone();
    let executor = executor();
    let mut stream = executor.stream(0_u64.., |n| black_box(n) * 2);
    take(&mut stream, FEW);
    assert_eq!(fewest(|| take(&mut stream, 1000)), 0, "in 1000 items");
}
