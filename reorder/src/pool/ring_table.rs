//! Where a pool's rings stand: by place, for good. A place outlives the rings that stand there.

use core::ptr::{self, NonNull};
use std::sync::OnceLock;

use alloc::boxed::Box;

use crate::pool::free_list::Links;
use crate::pool::reclaim::Guard;
use crate::primitive::Ordering::{Acquire, Relaxed, Release};
use crate::primitive::{AtomicPtr, AtomicU64};

/// How many places the first segment has; each further one has twice as many.
const FIRST: usize = if cfg!(reorder_loom) { 2 } else { 32 };
const SEGMENTS: usize = 11;

/// How many places there can be. Below 2^16, so that a place fits beside a version.
pub(crate) const ENTRIES: usize = FIRST * ((1 << SEGMENTS) - 1);

pub(crate) struct RingTable<P> {
    segments: [OnceLock<Box<[Entry<P>]>>; SEGMENTS],
    /// How many places were given out.
    used: AtomicU64,
}

struct Entry<P> {
    ring: AtomicPtr<P>,
    /// What lies under this place on the stack that it lies on.
    link: AtomicU64,
}

impl<P> RingTable<P> {
    pub(crate) fn new() -> Self {
        RingTable { segments: [const { OnceLock::new() }; SEGMENTS], used: AtomicU64::new(0) }
    }

    /// A place that was never used.
    pub(crate) fn new_entry(&self) -> Option<u16> {
        // ORDERING: table:used: Relaxed; only that the numbers differ.
        let entry = self.used.fetch_add(1, Relaxed);
        if entry >= ENTRIES as u64 {
            // ORDERING: table:unused: Relaxed; so that the count cannot wrap.
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

    /// Shows the ring to those who look for its name.
    pub(crate) fn put(&self, entry: u16, ring: *mut P) {
        // ORDERING: table:put: Release pairs with `table:get`: the ring is seen whole.
        self.entry(entry).ring.store(ring, Release);
    }

    /// Hides the ring at a place. Those who found it before may still be at it.
    pub(crate) fn clear(&self, entry: u16) {
        // ORDERING: table:clear: Relaxed; the fence in the deferral that follows is after it, and
        // the fence in the pin of whoever looks is before that. So whoever is pinned too late to
        // hold up the freeing sees it.
        self.entry(entry).ring.store(ptr::null_mut(), Relaxed);
    }

    /// The ring at a place, for who holds it.
    pub(crate) fn at(&self, entry: u16) -> NonNull<P> {
        // ORDERING: table:at: Relaxed; what made the caller the holder orders it.
        let ring = self.entry(entry).ring.load(Relaxed);
        NonNull::new(ring).expect("a ring that is held is there")
    }

    /// The ring of an entry, if it has one.
    pub(crate) fn get<'a>(&'a self, entry: u16, _pinned: &'a Guard) -> Option<&'a P> {
        let (segment, offset) = segment_of(entry);
        let entry = self.segments.get(segment)?.get()?.get(offset)?;
        // ORDERING: table:get: Acquire pairs with `table:put`.
        let ring = entry.ring.load(Acquire);
        // SAFETY: it was whole when it was put there. It is freed by a deferral that comes after
        // `clear`, and so not while this thread has been pinned since before it looked; or with
        // the table, which is borrowed.
        unsafe { ring.as_ref() }
    }

    /// Visits every ring, while the guard exists.
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
        &self.segments[segment].get().expect("an entry that was given out")[offset]
    }
}

/// Segment `n` starts with the place `FIRST * (2^n - 1)`.
fn segment_of(entry: u16) -> (usize, usize) {
    let segment = (usize::from(entry) / FIRST + 1).ilog2() as usize;
    (segment, usize::from(entry) - FIRST * ((1 << segment) - 1))
}

impl<P> Links for RingTable<P> {
    fn link(&self, entry: u16) -> &AtomicU64 {
        &self.entry(entry).link
    }
}

/// The glue of the segments goes on with the other rings when a value's drop panics.
impl<P> Drop for Entry<P> {
    fn drop(&mut self) {
        // ORDERING: table:drop: Relaxed; nobody else can reach the table, and the count of the pool
        // orders what others did before they let go of it.
        let ring = self.ring.load(Relaxed);
        if !ring.is_null() {
            // SAFETY: it was boxed, is not retired, and no lease is left, for each keeps the table.
            drop(unsafe { Box::from_raw(ring) });
        }
    }
}
