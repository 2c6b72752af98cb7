//! The only place that decides between the real primitives and loom's.
//!
//! The switch is `--cfg reorder_loom` alone, never `cfg(test)`: integration
//! tests build a library without `cfg(test)`, and a suite switched that way
//! would model nothing.

#[cfg(not(reorder_loom))]
mod real;
#[cfg(not(reorder_loom))]
pub(crate) use real::*;

#[cfg(reorder_loom)]
mod modelled;
#[cfg(reorder_loom)]
pub(crate) use modelled::*;

#[cfg(any(reorder_loom, reorder_hooks))]
pub mod watched;
#[cfg(any(reorder_loom, reorder_hooks))]
#[allow(unused_imports, reason = "some are for the executor")]
pub(crate) use watched::*;
#[cfg(reorder_loom)]
mod weakened;

#[cfg(reorder_hooks)]
pub mod hook;
pub(crate) mod shared_waker;

/// Makes a few attempts, with growing pauses, before it is worth while to sleep.
#[cfg(feature = "std")]
pub(crate) fn spin<R>(mut attempt: impl FnMut() -> Option<R>) -> Option<R> {
    let backoff = crossbeam_utils::Backoff::new();
    loop {
        if let Some(found) = attempt() {
            return Some(found);
        }
        if backoff.is_completed() || cfg!(reorder_loom) {
            return None;
        }
        backoff.snooze();
    }
}

impl WakerCell {
    /// Uses the waker in the cell, if there is one.
    pub(crate) fn wake(&self) {
        if let Some(waker) = self.take() {
            waker.wake();
        }
    }
}
