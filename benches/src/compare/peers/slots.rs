//! Slots that pass values between threads without any checks.

use std::cell::UnsafeCell;

pub(crate) struct Slots<T>(Box<[UnsafeCell<Option<T>>]>);

// SAFETY: the callers of `put` and `take` promise that no two threads access a slot at once. So
// values only move from thread to thread, for which `Send` suffices.
unsafe impl<T: Send> Sync for Slots<T> {}

impl<T> Slots<T> {
    pub(crate) fn new(count: usize) -> Slots<T> {
        Slots((0..count).map(|_| UnsafeCell::new(None)).collect())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Puts a value into the slot of `index`, which is `index` modulo the number of slots.
    ///
    /// # Safety
    ///
    /// No other thread accesses that slot at the same time. Earlier accesses by other threads
    /// happened before this call.
    #[inline]
    pub(crate) unsafe fn put(&self, index: u64, value: T) {
        // SAFETY: only the caller accesses the slot.
        unsafe { *self.0[index as usize % self.0.len()].get() = Some(value) };
    }

    /// Takes the value out of the slot of `index`.
    ///
    /// # Safety
    ///
    /// The same conditions hold as for [`put`](Slots::put).
    #[inline]
    pub(crate) unsafe fn take(&self, index: u64) -> Option<T> {
        // SAFETY: only the caller accesses the slot.
        unsafe { (*self.0[index as usize % self.0.len()].get()).take() }
    }
}
