//! What a batch allocates once others came before it. A file of its own, for its allocator.

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

use reorder_executor::Executor;

/// Counts allocations of at least 8 KiB.
struct Large;

static LARGE: AtomicUsize = AtomicUsize::new(0);

// SAFETY: it passes everything on to the system's allocator.
unsafe impl GlobalAlloc for Large {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LARGE.fetch_add(usize::from(layout.size() >= 8 << 10), Relaxed);
        // SAFETY: passed on to the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: passed on to the caller.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Large = Large;

/// Input and results take a kilobyte each, the ring of such a batch sixteen.
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
    // Now as before, there may be an instant at which more callers than ever have a ring.
    assert!(large <= callers, "{large} large allocations in {} batches", callers * batches);
}
