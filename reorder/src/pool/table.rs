//! Where a pool's rings stand: by place, for good. A place outlives the rings that stand there.

use core::num::NonZeroU64;
use core::ptr::{self, NonNull};
use std::sync::OnceLock;

use alloc::boxed::Box;

use crate::identity;
use crate::pool::reclaim::Guard;
use crate::pool::stack::Links;
use crate::pool::stock::Pooled;
use crate::primitive::Ordering::{Acquire, Relaxed, Release};
use crate::primitive::{AtomicPtr, AtomicU64};
use crate::ring::Ring;

/// How many places the first segment has; each further one has twice as many.
const FIRST: usize = if cfg!(reorder_loom) { 2 } else { 32 };
const SEGMENTS: usize = 11;

/// How many places there can be. Below 2^16, so that a place fits beside a version.
pub(crate) const PLACES: usize = FIRST * ((1 << SEGMENTS) - 1);

pub(crate) struct Table<T> {
    segments: [OnceLock<Box<[Entry<T>]>>; SEGMENTS],
    /// How many places were given out.
    used: AtomicU64,
}

struct Entry<T> {
    ring: AtomicPtr<Pooled<T>>,
    /// What lies under this place on the stack that it lies on.
    link: AtomicU64,
}

impl<T> Table<T> {
    pub(crate) fn new() -> Self {
        Table { segments: [const { OnceLock::new() }; SEGMENTS], used: AtomicU64::new(0) }
    }

    /// A place that was never used.
    pub(crate) fn new_place(&self) -> Option<u16> {
        // ORDERING: table:used: Relaxed; only that the numbers differ.
        let place = self.used.fetch_add(1, Relaxed);
        if place >= PLACES as u64 {
            // ORDERING: table:unused: Relaxed; so that the count cannot wrap.
            self.used.fetch_sub(1, Relaxed);
            return None;
        }
        let place = place as u16;
        let (segment, _) = segment_of(place);
        self.segments[segment].get_or_init(|| {
            (0..FIRST << segment)
                .map(|_| Entry { ring: AtomicPtr::new(ptr::null_mut()), link: AtomicU64::new(0) })
                .collect()
        });
        Some(place)
    }

    /// Shows the ring to those who look for its name.
    pub(crate) fn put(&self, place: u16, ring: *mut Pooled<T>) {
        // ORDERING: table:put: Release pairs with `table:find`: the ring is seen whole.
        self.entry(place).ring.store(ring, Release);
    }

    /// Hides the ring at a place. Those who found it before may still be at it.
    pub(crate) fn clear(&self, place: u16) {
        // ORDERING: table:clear: Relaxed; the fence in the deferral that follows is after it, and
        // the fence in the pin of whoever looks is before that. So whoever is pinned too late to
        // hold up the freeing sees it.
        self.entry(place).ring.store(ptr::null_mut(), Relaxed);
    }

    /// The ring at a place, for who holds it.
    pub(crate) fn at(&self, place: u16) -> NonNull<Pooled<T>> {
        // ORDERING: table:at: Relaxed; what made the caller the holder orders it.
        let ring = self.entry(place).ring.load(Relaxed);
        NonNull::new(ring).expect("a ring that is held is there")
    }

    /// The ring with this name, if it is one of these.
    pub(crate) fn find<'a>(&'a self, id: NonZeroU64, _pinned: &'a Guard) -> Option<&'a Ring<T>> {
        let (segment, offset) = segment_of(identity::place(id));
        let entry = self.segments.get(segment)?.get()?.get(offset)?;
        // ORDERING: table:find: Acquire pairs with `table:put`.
        let pooled = entry.ring.load(Acquire);
        // SAFETY: it was whole when it was put there. It is freed by a deferral that comes after
        // `clear`, and so not while this thread has been pinned since before it looked; or with
        // the table, which is borrowed.
        let pooled = unsafe { pooled.as_ref() }?;
        pooled.life.look();
        (pooled.ring.id == id).then_some(&pooled.ring)
    }

    /// Visits every ring, while the guard exists.
    pub(crate) fn each<'a>(&'a self, pinned: &'a Guard) -> impl Iterator<Item = &'a Ring<T>> {
        _ = pinned;
        self.segments.iter().map_while(OnceLock::get).flatten().filter_map(|entry| {
            // ORDERING: table:each: Acquire, as `table:find`.
            let pooled = entry.ring.load(Acquire);
            // SAFETY: as in `find`.
            let pooled = unsafe { pooled.as_ref() }?;
            pooled.life.look();
            Some(&pooled.ring)
        })
    }

    fn entry(&self, place: u16) -> &Entry<T> {
        let (segment, offset) = segment_of(place);
        &self.segments[segment].get().expect("a place that was given out")[offset]
    }
}

/// Segment `n` starts with the place `FIRST * (2^n - 1)`.
fn segment_of(place: u16) -> (usize, usize) {
    let segment = (usize::from(place) / FIRST + 1).ilog2() as usize;
    (segment, usize::from(place) - FIRST * ((1 << segment) - 1))
}

impl<T> Links for Table<T> {
    fn link(&self, place: u16) -> &AtomicU64 {
        &self.entry(place).link
    }
}

/// The glue of the segments goes on with the other rings when a value's drop panics.
impl<T> Drop for Entry<T> {
    fn drop(&mut self) {
        // ORDERING: table:drop: Relaxed; nobody else can reach the table, and the count of the pool
        // orders what others did before they let go of it.
        let pooled = self.ring.load(Relaxed);
        if !pooled.is_null() {
            // SAFETY: it was boxed, is not retired, and no lease is left, for each keeps the table.
            drop(unsafe { Box::from_raw(pooled) });
        }
    }
}
