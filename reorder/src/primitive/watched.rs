//! The atomics of a build that watches them: before each access, the thread's hook is called
//! (`--cfg reorder_hooks`), and under loom its order is weakened if that was asked for.

use core::panic::Location;

#[cfg(not(reorder_loom))]
use core::sync::atomic as base;
#[cfg(reorder_loom)]
use loom::sync::atomic as base;

use super::Ordering;
#[cfg(reorder_loom)]
use super::weakened;

/// The order of an access at this place.
fn watched(order: Ordering, place: &Location<'_>) -> Ordering {
    #[cfg(reorder_hooks)]
    crate::hook::step();
    #[cfg(reorder_loom)]
    let order = weakened::order(order, place);
    _ = place;
    order
}

#[repr(transparent)]
pub(crate) struct AtomicU64(base::AtomicU64);

impl AtomicU64 {
    #[track_caller]
    pub(crate) fn new(value: u64) -> Self {
        AtomicU64(base::AtomicU64::new(value))
    }

    #[track_caller]
    pub(crate) fn load(&self, order: Ordering) -> u64 {
        self.0.load(watched(order, Location::caller()))
    }

    #[track_caller]
    pub(crate) fn store(&self, value: u64, order: Ordering) {
        self.0.store(value, watched(order, Location::caller()));
    }

    #[track_caller]
    pub(crate) fn compare_exchange(
        &self,
        old: u64,
        new: u64,
        order: Ordering,
        refused: Ordering,
    ) -> Result<u64, u64> {
        let place = Location::caller();
        #[cfg(reorder_loom)]
        let refused = weakened::refused(refused, place);
        self.0.compare_exchange(old, new, watched(order, place), refused)
    }

    #[track_caller]
    pub(crate) fn fetch_add(&self, value: u64, order: Ordering) -> u64 {
        self.0.fetch_add(value, watched(order, Location::caller()))
    }

    #[track_caller]
    pub(crate) fn fetch_sub(&self, value: u64, order: Ordering) -> u64 {
        self.0.fetch_sub(value, watched(order, Location::caller()))
    }
}

#[cfg(feature = "pool")]
pub(crate) struct AtomicPtr<T>(base::AtomicPtr<T>);

#[cfg(feature = "pool")]
impl<T> AtomicPtr<T> {
    #[track_caller]
    pub(crate) fn new(value: *mut T) -> Self {
        AtomicPtr(base::AtomicPtr::new(value))
    }

    #[track_caller]
    pub(crate) fn load(&self, order: Ordering) -> *mut T {
        self.0.load(watched(order, Location::caller()))
    }

    #[track_caller]
    pub(crate) fn store(&self, value: *mut T, order: Ordering) {
        self.0.store(value, watched(order, Location::caller()));
    }
}

#[track_caller]
pub(crate) fn fence(order: Ordering) {
    #[cfg(reorder_hooks)]
    crate::hook::step();
    #[cfg(reorder_loom)]
    if weakened::is_without_its_fence(Location::caller()) {
        return;
    }
    base::fence(order);
}
