//! A flag that one thread writes and another reads. Loom fails the model unless the ring or the
//! executor orders the two accesses.

use loom::cell::UnsafeCell;

/// A plain, unsynchronised boolean.
#[derive(Debug)]
pub struct PlainFlag(UnsafeCell<bool>);

// SAFETY: loom checks each access, and fails the model before two unordered accesses happen.
unsafe impl Sync for PlainFlag {}

impl Default for PlainFlag {
    fn default() -> Self {
        PlainFlag(UnsafeCell::new(false))
    }
}

impl PlainFlag {
    /// Sets the flag.
    pub fn set(&self) {
        self.0.with_mut(|done| {
            // SAFETY: as for `Sync`.
            unsafe { *done = true }
        });
    }

    /// Returns `true` if the flag is set.
    pub fn is_set(&self) -> bool {
        self.0.with(|done| {
            // SAFETY: as for `Sync`.
            unsafe { *done }
        })
    }
}
