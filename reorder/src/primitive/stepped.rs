//! The atomics of a build that watches them (`--cfg reorder_hooks`): before each access, the thread's hook is
//! called. Under loom it wraps loom's.

use super::Ordering;
#[cfg(not(reorder_loom))]
use core::sync::atomic as base;
#[cfg(reorder_loom)]
use loom::sync::atomic as base;

use crate::hook::step;

#[repr(transparent)]
pub(crate) struct AtomicU64(base::AtomicU64);

impl AtomicU64 {
    pub(crate) fn new(value: u64) -> Self {
        AtomicU64(base::AtomicU64::new(value))
    }

    pub(crate) fn load(&self, order: Ordering) -> u64 {
        step();
        self.0.load(order)
    }

    pub(crate) fn store(&self, value: u64, order: Ordering) {
        step();
        self.0.store(value, order);
    }

    pub(crate) fn compare_exchange(
        &self,
        old: u64,
        new: u64,
        order: Ordering,
        refused: Ordering,
    ) -> Result<u64, u64> {
        step();
        self.0.compare_exchange(old, new, order, refused)
    }

    pub(crate) fn fetch_add(&self, value: u64, order: Ordering) -> u64 {
        step();
        self.0.fetch_add(value, order)
    }

    pub(crate) fn fetch_sub(&self, value: u64, order: Ordering) -> u64 {
        step();
        self.0.fetch_sub(value, order)
    }
}

#[cfg(feature = "pool")]
pub(crate) struct AtomicPtr<T>(base::AtomicPtr<T>);

#[cfg(feature = "pool")]
impl<T> AtomicPtr<T> {
    pub(crate) fn new(value: *mut T) -> Self {
        AtomicPtr(base::AtomicPtr::new(value))
    }

    pub(crate) fn load(&self, order: Ordering) -> *mut T {
        step();
        self.0.load(order)
    }

    pub(crate) fn store(&self, value: *mut T, order: Ordering) {
        step();
        self.0.store(value, order);
    }
}

pub(crate) fn fence(order: Ordering) {
    step();
    base::fence(order);
}
