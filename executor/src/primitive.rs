//! Chooses between the real primitives and the modelled ones, by `--cfg reorder_loom` or `--cfg
//! reorder_shuttle` alone. No other module does.
//!
//! All primitives that block a thread or order two threads come from here. The ring does the same
//! for loom. Shuttle sees an operation of the ring as a single step.
//!
//! With `--cfg reorder_hooks` beside `--cfg reorder_shuttle`, a simulated machine runs the threads.
//! It sees the address of each access, also in the ring, and decides when a thread goes on.

#[cfg(any(reorder_loom, reorder_hooks))]
use reorder_ring::watched as atomics;
#[cfg(all(reorder_shuttle, not(any(reorder_loom, reorder_hooks))))]
use shuttle::sync::atomic as atomics;
#[cfg(not(any(reorder_loom, reorder_hooks, reorder_shuttle)))]
use std::sync::atomic as atomics;

pub(crate) use atomics::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, fence};

/// Numbers that order nothing. Models do not see them, but a simulated machine does.
pub(crate) mod hints {
    #[cfg(all(reorder_shuttle, reorder_hooks))]
    pub(crate) use super::atomics::{AtomicU32, AtomicU64};
    #[cfg(not(all(reorder_shuttle, reorder_hooks)))]
    pub(crate) use std::sync::atomic::{AtomicU32, AtomicU64};
}

#[cfg(not(any(reorder_loom, reorder_shuttle)))]
mod real;
#[cfg(not(any(reorder_loom, reorder_shuttle)))]
pub(crate) use real::*;

#[cfg(any(reorder_loom, reorder_shuttle))]
mod modelled;
#[cfg(any(reorder_loom, reorder_shuttle))]
pub(crate) use modelled::*;

/// `true` in models, where every step costs time, and a thread must not spin for long.
pub(crate) const IS_MODEL: bool = cfg!(any(reorder_loom, all(reorder_shuttle, not(reorder_hooks))));

/// Locks a mutex and ignores that it is poisoned.
///
/// Under the crate's locks, no user code runs that could leave the value half changed.
#[cfg_attr(reorder_hooks, track_caller)]
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Takes the value out of a mutex and ignores that it is poisoned, as [`lock`] does.
pub(crate) fn into_inner<T>(mutex: Mutex<T>) -> T {
    mutex.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Returns a duration in nanoseconds, up to 584 years.
pub(crate) fn whole_nanos(duration: std::time::Duration) -> u64 {
    // In 64 bits: a division in 128 bits costs as much as some small items.
    let seconds = duration.as_secs().saturating_mul(1_000_000_000);
    seconds.saturating_add(duration.subsec_nanos().into())
}
