//! A place that one thread writes and another reads: loom fails the model unless an order that the
//! ring promises stands between the two.

use loom::cell::UnsafeCell;

/// A plain, unsynchronised boolean.
#[derive(Debug)]
pub struct Witness(UnsafeCell<bool>);

// SAFETY: loom checks each access, and reports two that are not ordered before they happen.
unsafe impl Sync for Witness {}

impl Default for Witness {
    fn default() -> Self {
        Witness(UnsafeCell::new(false))
    }
}

impl Witness {
    /// Writes it: "this was done".
    pub fn testify(&self) {
        self.0.with_mut(|done| {
            // SAFETY: as for `Sync`.
            unsafe { *done = true }
        });
    }

    /// Whether it was written before.
    pub fn is_seen(&self) -> bool {
        self.0.with(|done| {
            // SAFETY: as for `Sync`.
            unsafe { *done }
        })
    }
}
