//! The job with limits that the current thread runs.
//!
//! A job may make a call and wait for it. If the job is unwanted, so is the call. So the jobs of
//! the call also ask about the outer job.

use std::cell::Cell;
use std::ptr;
use std::sync::Arc;
use std::time::Instant;

use crate::limits::state::LimitState;
use crate::primitive::thread_local;

/// A job that the current thread runs.
pub(crate) struct Current<'a> {
    pub(crate) limits: &'a Arc<LimitState>,
    pub(crate) started: Option<Instant>,
}

/// The job in which the caller of a call waits for that call.
pub(crate) struct OuterJob {
    limits: Arc<LimitState>,
    started: Option<Instant>,
}

thread_local! {
    /// The innermost job that this thread runs, or null.
    #[allow(clippy::missing_const_for_thread_local, reason = "loom's take no const block")]
    static CURRENT: Cell<*const Current<'static>> = Cell::new(ptr::null());
}

fn should_stop(limits: &LimitState, started: Option<Instant>) -> bool {
    limits.policy.should_stop(started, limits.now())
}

impl Current<'_> {
    /// Returns `true` if the job should stop.
    pub(crate) fn should_stop(&self) -> bool {
        should_stop(self.limits, self.started)
    }

    /// Runs `job` as the job of this thread.
    pub(crate) fn run<R>(&self, job: impl FnOnce() -> R) -> R {
        struct Restore(*const Current<'static>);
        impl Drop for Restore {
            fn drop(&mut self) {
                _ = CURRENT.try_with(|current| current.set(self.0));
            }
        }
        let this = ptr::from_ref(self).cast();
        let _restore = Restore(CURRENT.try_with(|it| it.replace(this)).unwrap_or(ptr::null()));
        job()
    }
}

impl OuterJob {
    /// Returns `true` if the job should stop.
    pub(crate) fn should_stop(&self) -> bool {
        should_stop(&self.limits, self.started)
    }
}

/// Returns the job that this thread runs, if it has limits.
pub(crate) fn current_job() -> Option<OuterJob> {
    let current = CURRENT.try_with(Cell::get).unwrap_or(ptr::null());
    // SAFETY: the pointer is null, or `Current::run` has set it on this thread and has not
    // returned. `Restore` takes it back before the reference that it was made of ends.
    let current = unsafe { current.as_ref() }?;
    Some(OuterJob { limits: Arc::clone(current.limits), started: current.started })
}
