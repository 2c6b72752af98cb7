//! The table of a pool: an entry number leads to a ring. An entry outlives its rings.
//!
//! ```text
//!   segment 0: entries 0..32   segment 1: entries 32..96   segment 2: entries 96..224   ...
//! ```
//!
//! A segment is allocated when its first entry is used, and stays until the table is dropped.

use core::ptr::{self, NonNull};
use std::sync::OnceLock;

use alloc::boxed::Box;

use crate::pool::free_list::Links;
use crate::pool::reclaim::Guard;
use crate::primitive::Ordering::{Acquire, Relaxed, Release};
use crate::primitive::{AtomicPtr, AtomicU64};

/// The number of entries in the first segment. Each segment has twice as many as the last one.
const FIRST: usize = if cfg!(reorder_loom) { 2 } else { 32 };
const SEGMENTS: usize = 11;

/// The largest number of entries. It is below 2^16, so that an entry fits beside a version.
pub(crate) const ENTRIES: usize = FIRST * ((1 << SEGMENTS) - 1);

/// A table of rings, as objects of type `P`.
pub(crate) struct RingTable<P> {
    segments: [OnceLock<Box<[Entry<P>]>>; SEGMENTS],
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
        RingTable { segments: [const { OnceLock::new() }; SEGMENTS], used: AtomicU64::new(0) }
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
        self.segments[segment].get_or_init(|| {
            (0..FIRST << segment)
                .map(|_| Entry { ring: AtomicPtr::new(ptr::null_mut()), link: AtomicU64::new(0) })
                .collect()
        });
        Some(entry)
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
        let entry = self.segments.get(segment)?.get()?.get(offset)?;
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
        self.segments.iter().map_while(OnceLock::get).flatten().filter_map(|entry| {
            // ORDERING: table:each: Acquire, as `table:get`.
            let ring = entry.ring.load(Acquire);
            // SAFETY: as in `get`.
            unsafe { ring.as_ref() }
        })
    }

    fn entry(&self, entry: u16) -> &Entry<P> {
        let (segment, offset) = segment_of(entry);
        &self.segments[segment].get().expect("the entry was used before")[offset]
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

/// If a value's drop panics, the drop glue of the segments goes on with the other rings.
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
