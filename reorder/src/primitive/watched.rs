//! Atomics that are watched in tests.
//!
//! With `--cfg reorder_hooks`, each access calls the thread's hook before. Under loom, an access is
//! weakened if its place was chosen. `reorder-executor` uses these atomics, too, in such a build.
#![allow(missing_docs, reason = "each item does the same as the item of `core` with its name")]

use core::panic::Location;

#[cfg(not(reorder_loom))]
use core::sync::atomic as base;
#[cfg(reorder_loom)]
use loom::sync::atomic as base;

use super::Ordering;
#[cfg(reorder_loom)]
use super::weakened;

/// Calls the hook, and returns the order of an access at this place.
#[track_caller]
fn watched<T>(object: &T, writes: bool, order: Ordering) -> Ordering {
    #[cfg(reorder_hooks)]
    {
        crate::primitive::hook::step();
        crate::primitive::hook::access(object, writes);
    }
    #[cfg(not(reorder_hooks))]
    let _ = (object, writes);
    let place = Location::caller();
    #[cfg(reorder_loom)]
    let order = weakened::order(order, place);
    _ = place;
    order
}

/// Returns the order of a refused compare-and-swap at this place.
fn refused(order: Ordering, place: &Location<'_>) -> Ordering {
    #[cfg(reorder_loom)]
    let order = weakened::refused(order, place);
    _ = place;
    order
}

macro_rules! atomics {
    ($($name:ident$(<$generic:ident>)?: $value:ty,)*) => {$(
        #[derive(Debug, Default)]
        #[repr(transparent)]
        pub struct $name$(<$generic>)?(base::$name$(<$generic>)?);

        impl$(<$generic>)? $name$(<$generic>)? {
            #[track_caller]
            pub fn new(value: $value) -> Self {
                $name(base::$name::new(value))
            }

            #[track_caller]
            pub fn load(&self, order: Ordering) -> $value {
                self.0.load(watched(self, false, order))
            }

            #[track_caller]
            pub fn store(&self, value: $value, order: Ordering) {
                self.0.store(value, watched(self, true, order));
            }

            #[track_caller]
            pub fn swap(&self, value: $value, order: Ordering) -> $value {
                self.0.swap(value, watched(self, true, order))
            }

            #[track_caller]
            pub fn compare_exchange(
                &self,
                old: $value,
                new: $value,
                order: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                let place = Location::caller();
                let failure = refused(failure, place);
                self.0.compare_exchange(old, new, watched(self, true, order), failure)
            }
        }
    )*};
}

macro_rules! numbers {
    ($($name:ident: $value:ty,)*) => {$(
        impl $name {
            #[track_caller]
            pub fn fetch_add(&self, value: $value, order: Ordering) -> $value {
                self.0.fetch_add(value, watched(self, true, order))
            }

            #[track_caller]
            pub fn fetch_sub(&self, value: $value, order: Ordering) -> $value {
                self.0.fetch_sub(value, watched(self, true, order))
            }

            #[track_caller]
            pub fn fetch_max(&self, value: $value, order: Ordering) -> $value {
                self.0.fetch_max(value, watched(self, true, order))
            }

            #[track_caller]
            pub fn fetch_min(&self, value: $value, order: Ordering) -> $value {
                self.0.fetch_min(value, watched(self, true, order))
            }

            #[track_caller]
            pub fn fetch_update(
                &self,
                order: Ordering,
                failure: Ordering,
                f: impl FnMut($value) -> Option<$value>,
            ) -> Result<$value, $value> {
                let place = Location::caller();
                let failure = refused(failure, place);
                self.0.fetch_update(watched(self, true, order), failure, f)
            }
        }
    )*};
}

atomics! {
    AtomicBool: bool,
    AtomicU8: u8,
    AtomicU32: u32,
    AtomicU64: u64,
    AtomicUsize: usize,
    AtomicPtr<T>: *mut T,
}

numbers! {
    AtomicU32: u32,
    AtomicU64: u64,
    AtomicUsize: usize,
}

#[track_caller]
pub fn fence(order: Ordering) {
    #[cfg(reorder_hooks)]
    crate::primitive::hook::step();
    #[cfg(reorder_loom)]
    if weakened::is_without_its_fence(Location::caller()) {
        return;
    }
    base::fence(order);
}
