//! Chooses between the real lock and the modelled one, by `--cfg reorder_shuttle` alone. No other
//! module does.

#[cfg(reorder_shuttle)]
use shuttle::sync;
#[cfg(not(reorder_shuttle))]
use std::sync;

pub(crate) use sync::{Mutex, MutexGuard};

/// Locks a mutex and ignores that it is poisoned.
///
/// Under the crate's locks, no user code runs that could leave the value half changed.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
