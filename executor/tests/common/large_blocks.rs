//! An allocator that counts the large blocks of memory of the whole process, and refuses some.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// The least size of a large block of memory.
pub(crate) const LARGE: usize = 1 << 20;

/// Counts the large blocks that are in use.
struct LargeBlocks;

static COUNT: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
static REFUSED: AtomicUsize = AtomicUsize::new(usize::MAX);

fn add(size: usize) {
    if size >= LARGE {
        PEAK.fetch_max(COUNT.fetch_add(1, SeqCst) + 1, SeqCst);
    }
}

fn remove(size: usize) {
    if size >= LARGE {
        COUNT.fetch_sub(1, SeqCst);
    }
}

// SAFETY: every call is forwarded to the system allocator, or returns null.
unsafe impl GlobalAlloc for LargeBlocks {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.size() >= REFUSED.load(SeqCst) {
            return null_mut();
        }
        add(layout.size());
        // SAFETY: the caller upholds the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        remove(layout.size());
        // SAFETY: the caller upholds the contract of `dealloc`.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if size >= REFUSED.load(SeqCst) {
            return null_mut();
        }
        remove(layout.size());
        add(size);
        // SAFETY: the caller upholds the contract of `realloc`.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: LargeBlocks = LargeBlocks;

/// Returns the number of large blocks that are in use.
pub(crate) fn count() -> usize {
    COUNT.load(SeqCst)
}

/// Returns the highest number since the last call.
pub(crate) fn take_peak() -> usize {
    PEAK.swap(count(), SeqCst)
}

/// Refuses all allocations of at least `size` bytes until the returned value is dropped.
pub(crate) fn refuse(size: usize) -> impl Drop {
    struct Allow;
    impl Drop for Allow {
        fn drop(&mut self) {
            REFUSED.store(usize::MAX, SeqCst);
        }
    }
    REFUSED.store(size, SeqCst);
    Allow
}
