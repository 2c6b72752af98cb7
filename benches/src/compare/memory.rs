//! An allocator that measures the largest number of bytes in use, for workloads that ask for it.
//!
//! The program `compare` has it as its global allocator. While no workload asks, a call costs one
//! load more.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};

static MEASURES: AtomicBool = AtomicBool::new(false);
/// The bytes in use that were allocated since the measurement began.
static BYTES: AtomicI64 = AtomicI64::new(0);
static PEAK: AtomicI64 = AtomicI64::new(0);

/// The allocator of the system, whose peak can be measured.
#[derive(Debug)]
pub struct MeasuringAllocator;

/// Runs `f`. Returns its result, and the largest number of bytes that were in use at once beyond
/// those at the start. It is 0 in a program with another allocator.
pub(crate) fn peak_of<R>(f: impl FnOnce() -> R) -> (R, u64) {
    BYTES.store(0, Relaxed);
    PEAK.store(0, Relaxed);
    MEASURES.store(true, Relaxed);
    let result = f();
    MEASURES.store(false, Relaxed);
    (result, PEAK.load(Relaxed).max(0) as u64)
}

#[inline]
fn add(bytes: i64) {
    if MEASURES.load(Relaxed) {
        let now = BYTES.fetch_add(bytes, Relaxed) + bytes;
        if bytes > 0 {
            PEAK.fetch_max(now, Relaxed);
        }
    }
}

// SAFETY: every call is forwarded to the system allocator.
unsafe impl GlobalAlloc for MeasuringAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(layout.size() as i64);
        // SAFETY: the caller upholds the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        add(layout.size() as i64);
        // SAFETY: the caller upholds the contract of `alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        add(size as i64 - layout.size() as i64);
        // SAFETY: the caller upholds the contract of `realloc`.
        unsafe { System.realloc(memory, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller upholds the contract of `dealloc`.
        unsafe { System.dealloc(memory, layout) }
        add(-(layout.size() as i64));
    }
}
