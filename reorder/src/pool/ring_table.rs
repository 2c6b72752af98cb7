//! The table of a pool: an entry number leads to a ring. An entry outlives its rings.
//!
//! ```text
//!   segment 0: entries 0..32   segment 1: entries 32..96   segment 2: entries 96..224   ...
//! ```
//!
//! A segment is allocated when its first entry is used, and stays until the table is dropped. If
//! two threads allocate a segment at once, one of them frees its own again. So no thread waits for
//! the allocation of another.

use core::array;
use core::ptr::{self, NonNull};
use core::slice;

use alloc::boxed::Box;

use crate::pool::free_list::Links;
use crate::pool::reclaim::Guard;
use crate::primitive::Ordering::{Acquire, Relaxed, Release};
use crate::primitive::{AtomicPtr, AtomicU64};

/// The number of entries in the first segment. Each segment has twice as many as the last one.
const FIRST: usize = if cfg!(reorder_loom) { 2 } else { 32 };
const SEGMENTS: usize = if cfg!(reorder_loom) { 2 } else { 11 };

/// The largest number of entries. It is below 2^16, so that an entry fits beside a version.
pub(crate) const ENTRIES: usize = FIRST * ((1 << SEGMENTS) - 1);

/// A table of rings, as objects of type `P`.
pub(crate) struct RingTable<P> {
    /// The first entry of each segment that is allocated.
    segments: [AtomicPtr<Entry<P>>; SEGMENTS],
    /// The number of entries that were ever used.
    used: AtomicU64,
}

struct Entry<P> {
    ring: AtomicPtr<P>,
    /// The next entry on the free list on which this entry is.
    link: AtomicU64,
}

impl<P> RingTable<P> {
    pub(crate) fn new() -> Self {
        RingTable {
            segments: array::from_fn(|_| AtomicPtr::new(ptr::null_mut())),
            used: AtomicU64::new(0),
        }
    }

    /// Returns an entry that was never used.
    pub(crate) fn new_entry(&self) -> Option<u16> {
        // ORDERING: table:used: Relaxed; the numbers need to differ, and no more.
        let entry = self.used.fetch_add(1, Relaxed);
        if entry >= ENTRIES as u64 {
            // ORDERING: table:unused: Relaxed; the count stays small, so it cannot wrap.
            self.used.fetch_sub(1, Relaxed);
            return None;
        }
        let entry = entry as u16;
        let (segment, _) = segment_of(entry);
        if self.segment(segment).is_none() {
            self.allocate(segment);
        }
        Some(entry)
    }

    /// Returns the entries of a segment, if it is allocated.
    fn segment(&self, segment: usize) -> Option<&[Entry<P>]> {
        // ORDERING: segment:get: Acquire pairs with `segment:put`: the entries of the segment.
        let first = self.segments.get(segment)?.load(Acquire);
        // SAFETY: `allocate` puts the first entry of a whole segment there. The segment is freed
        // with the table, which is borrowed.
        (!first.is_null()).then(|| unsafe { slice::from_raw_parts(first, FIRST << segment) })
    }

    /// Allocates a segment, unless another thread does so first.
    #[cold]
    fn allocate(&self, segment: usize) {
        let empty = |_| Entry { ring: AtomicPtr::new(ptr::null_mut()), link: AtomicU64::new(0) };
        let own: Box<[Entry<P>]> = (0..FIRST << segment).map(empty).collect();
        let own = Box::into_raw(own);
        let none = ptr::null_mut();
        // ORDERING: segment:put: Release pairs with `segment:get`. A failure needs no order: the
        // entry is accessed after a `segment:get`.
        if self.segments[segment].compare_exchange(none, own.cast(), Release, Relaxed).is_err() {
            // SAFETY: it was boxed above, and no other thread knows it.
            drop(unsafe { Box::from_raw(own) });
        }
    }

    /// Puts a ring into an entry, where tickets find it.
    pub(crate) fn put(&self, entry: u16, ring: *mut P) {
        // ORDERING: table:put: Release pairs with `table:get`: the whole ring is visible.
        self.entry(entry).ring.store(ring, Release);
    }

    /// Removes the ring from an entry. Threads that found it before may still access it.
    pub(crate) fn clear(&self, entry: u16) {
        // ORDERING: table:clear: Relaxed; it comes before the fence of the deferral that follows. A
        // thread that pins too late to delay the freeing has its own fence after that one, and
        // before its load of the entry. So it finds the entry empty.
        self.entry(entry).ring.store(ptr::null_mut(), Relaxed);
    }

    /// Returns the ring of an entry. The caller holds the ring.
    pub(crate) fn at(&self, entry: u16) -> NonNull<P> {
        // ORDERING: table:at: Relaxed; the caller got the ring by an acquire.
        let ring = self.entry(entry).ring.load(Relaxed);
        NonNull::new(ring).expect("a held ring is in the table")
    }

    /// Returns the ring of an entry, if there is one.
    pub(crate) fn get<'a>(&'a self, entry: u16, _pinned: &'a Guard) -> Option<&'a P> {
        let (segment, offset) = segment_of(entry);
        let entry = self.segment(segment)?.get(offset)?;
        // ORDERING: table:get: Acquire pairs with `table:put`.
        let ring = entry.ring.load(Acquire);
        // SAFETY: the ring was complete when it was put there. It is freed with the table, which is
        // borrowed, or by a deferral after `clear`. The latter waits for this thread, which was
        // pinned before the load.
        unsafe { ring.as_ref() }
    }

    /// Returns an iterator over all rings.
    pub(crate) fn each<'a>(&'a self, pinned: &'a Guard) -> impl Iterator<Item = &'a P> {
        _ = pinned;
        (0..SEGMENTS).filter_map(|segment| self.segment(segment)).flatten().filter_map(|entry| {
            // ORDERING: table:each: Acquire, as `table:get`.
            let ring = entry.ring.load(Acquire);
            // SAFETY: as in `get`.
            unsafe { ring.as_ref() }
        })
    }

    fn entry(&self, entry: u16) -> &Entry<P> {
        let (segment, offset) = segment_of(entry);
        &self.segment(segment).expect("the entry was used before")[offset]
    }
}

/// Returns the segment of an entry, and the offset in it. Segment `n` starts with the entry
/// `FIRST * (2^n - 1)`.
fn segment_of(entry: u16) -> (usize, usize) {
    let segment = (usize::from(entry) / FIRST + 1).ilog2() as usize;
    (segment, usize::from(entry) - FIRST * ((1 << segment) - 1))
}

impl<P> Links for RingTable<P> {
    fn link(&self, entry: u16) -> &AtomicU64 {
        &self.entry(entry).link
    }
}

impl<P> Drop for RingTable<P> {
    fn drop(&mut self) {
        // If a value's drop panics, the drop glue of the array goes on with the other segments.
        let _segments: [Option<Box<[Entry<P>]>>; SEGMENTS] = array::from_fn(|segment| {
            // ORDERING: segment:drop: Relaxed; as `table:drop`.
            let first = self.segments[segment].load(Relaxed);
            let entries = ptr::slice_from_raw_parts_mut(first, FIRST << segment);
            // SAFETY: `allocate` boxed the segment, and no other thread can access the table.
            (!first.is_null()).then(|| unsafe { Box::from_raw(entries) })
        });
    }
}

/// If a value's drop panics, the drop glue of the segment goes on with the other rings.
impl<P> Drop for Entry<P> {
    fn drop(&mut self) {
        // ORDERING: table:drop: Relaxed; no other thread can access the table, and the count of the
        // pool's handles orders their accesses before this one.
        let ring = self.ring.load(Relaxed);
        if !ring.is_null() {
            // SAFETY: the ring was boxed and is not retired. No lease is left, since each keeps the
            // table.
            drop(unsafe { Box::from_raw(ring) });
        }
    }
}
