//! Places for values that are written by one thread and read by another, with nothing that checks
//! it: for the peers that do without.

use std::cell::UnsafeCell;

pub(crate) struct Slots<T>(Box<[UnsafeCell<Option<T>>]>);

// SAFETY: the callers of `put` and `take` promise that no two threads are at a slot at once, so a
// value is only ever moved from thread to thread.
unsafe impl<T: Send> Sync for Slots<T> {}

impl<T> Slots<T> {
    pub(crate) fn new(count: usize) -> Slots<T> {
        Slots((0..count).map(|_| UnsafeCell::new(None)).collect())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Puts a value into the slot of `index`, modulo their number.
    ///
    /// # Safety
    ///
    /// Nobody else is at that slot at the same time, and who was there before synchronised with
    /// this thread.
    #[inline]
    pub(crate) unsafe fn put(&self, index: u64, value: T) {
        // SAFETY: the caller has the slot to itself.
        unsafe { *self.0[index as usize % self.0.len()].get() = Some(value) };
    }

    /// Takes the value out of the slot of `index`.
    ///
    /// # Safety
    ///
    /// As [`put`](Slots::put).
    #[inline]
    pub(crate) unsafe fn take(&self, index: u64) -> Option<T> {
        // SAFETY: the caller has the slot to itself.
        unsafe { (*self.0[index as usize % self.0.len()].get()).take() }
    }
}
