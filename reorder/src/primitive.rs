//! Atomics, the waker cell, the parker and the epochs, of a program or of a loom model.
//!
//! | file | contents |
//! |---|---|
//! | `real` | the primitives of a program |
//! | `modelled` | the primitives of a loom model |
//! | `watched` | atomics that call a hook, or that a model can weaken |
//! | `weakened` | the choice of the access that a model weakens |
//! | `hook` | the hook before each access, for tests |
//! | `shared_waker` | a waker with a reference count |
//!
//! Only `--cfg reorder_loom` selects the models, never `cfg(test)`. Integration tests build the
//! library without `cfg(test)`, so models that depended on it would test nothing.

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

/// Makes a few attempts with growing pauses, before the caller sleeps. Under loom it makes one.
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

/// Lets another thread of a loom model run. There, a sleep with a deadline returns immediately.
#[cfg(feature = "std")]
pub(crate) fn relax() {
    #[cfg(reorder_loom)]
    loom::thread::yield_now();
}

impl WakerCell {
    /// Takes the waker from the cell and calls it, if there is one.
    pub(crate) fn wake(&self) {
        if let Some(waker) = self.take() {
            waker.wake();
        }
    }
}
