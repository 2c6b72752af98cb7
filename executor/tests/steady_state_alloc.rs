//! In steady state, a batch allocates no ring. This test has its own file because the global
//! allocator counts for the whole process.

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

use reorder_executor::Executor;

/// Counts allocations of at least 8 KiB.
struct Large;

static LARGE: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is forwarded to the system allocator.
unsafe impl GlobalAlloc for Large {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LARGE.fetch_add(usize::from(layout.size() >= 8 << 10), Relaxed);
        // SAFETY: the caller upholds the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller upholds the contract of `dealloc`.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Large = Large;

/// Runs a batch whose results take 1 KiB. Its ring takes 16 KiB.
fn batch(executor: &Executor) {
    let doubled = executor.map(0..1000u16, |n| black_box(n) as u8);
    assert_eq!(doubled.len(), 1000);
}

#[test]
fn in_steady_state_a_batch_allocates_no_ring() {
    let executor = Executor::builder().workers(2).build().unwrap();
    let (callers, batches) = (4, 500);
    let run = || {
        thread::scope(|scope| {
            for _ in 0..callers {
                scope.spawn(|| (0..batches).for_each(|_| batch(&executor)));
            }
        });
    };
    run();
    let before = LARGE.load(Relaxed);
    run();
    let large = LARGE.load(Relaxed) - before;
    // In each run there may be an instant at which more callers than ever before have a ring.
    assert!(large <= callers, "{large} large allocations in {} batches", callers * batches);
}
