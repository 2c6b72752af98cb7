//! The job that the current thread runs, and the job in which a caller waits for its call.
//!
//! ```text
//!  job ──makes a call, and waits for it──▶ call ──runs──▶ its jobs
//!  job ◀──"should they stop?"── `Waiter` of the call ◀── its jobs
//! ```
//!
//! A call for which a job waits is unwanted once the job is. So the jobs of the call ask that job,
//! and that job asks the job in which its own caller waits.

use std::cell::Cell;
use std::ptr;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};
use std::time::Instant;

use crate::limits::state::LimitState;
use crate::primitive::{AtomicUsize, OnceLock, now, thread_local};

/// The item that a job runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RunningItem {
    pub(crate) index: u64,
    pub(crate) started: Option<Instant>,
    /// The end of the time of this attempt at the item, if it has one.
    pub(crate) timeout: Option<Instant>,
    /// `true` for an attempt, beside which another one may bring the result of the item.
    pub(crate) is_attempt: bool,
}

/// A job that the current thread runs, or a call whose source or job without limits it runs.
pub(crate) struct Current<'a> {
    pub(crate) limits: &'a Arc<LimitState>,
    pub(crate) item: RunningItem,
}

/// A job of the current thread, for another thread that runs a part of it.
#[derive(Clone)]
pub(crate) struct OuterJob {
    limits: Arc<LimitState>,
    item: RunningItem,
}

/// The job in which the caller of a call waits for it. If several jobs do so by turns, it is the
/// first: the outcomes are not unwanted as long as others can take them.
pub(crate) struct Waiter {
    /// The call of the job, and its item. The call is not kept alive, so that a chain of calls that
    /// have ended is not, and jobs that wait for each other are not.
    job: OnceLock<(Weak<LimitState>, RunningItem)>,
    /// The number of waits of that job that have not ended. A job that does not wait may hand its
    /// handle to another caller.
    waits: AtomicUsize,
}

/// A caller that waits for a call in a job, until this is dropped.
pub(crate) struct Waiting(Arc<LimitState>);

thread_local! {
    /// The innermost job that this thread runs, or null.
    #[allow(clippy::missing_const_for_thread_local, reason = "loom's take no const block")]
    static CURRENT: Cell<*const Current<'static>> = Cell::new(ptr::null());
}

impl<'a> Current<'a> {
    /// Returns a call of which the thread runs no particular item.
    pub(crate) fn of_call(limits: &'a Arc<LimitState>) -> Self {
        Current {
            limits,
            item: RunningItem { index: 0, started: None, timeout: None, is_attempt: false },
        }
    }

    /// Returns `true` if the job should stop, or an outer job that waits for it.
    pub(crate) fn should_stop(&self) -> bool {
        let should_stop = |limits: &LimitState, item: RunningItem| {
            let is_overdue = item.timeout.is_some_and(|at| at <= now());
            let is_overdue = is_overdue || item.is_attempt && limits.is_over(item.index);
            is_overdue || limits.policy.should_stop(item.index, item.started, limits.now())
        };
        if should_stop(self.limits, self.item) {
            return true;
        }
        let (mut outer, mut steps) = (self.limits.waiter.job(), 0_usize);
        let mut seen = outer.is_some().then(|| Arc::clone(self.limits));
        while let Some((limits, item)) = outer {
            // Jobs that wait for each other in a circle are a deadlock, but no endless loop here.
            if seen.as_ref().is_some_and(|seen| Arc::ptr_eq(&limits, seen)) {
                return false;
            }
            if should_stop(&limits, item) {
                return true;
            }
            steps += 1;
            outer = limits.waiter.job();
            if steps.is_power_of_two() {
                seen = Some(limits);
            }
        }
        false
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
    /// Runs `f` as a part of this job, on a thread that helps the thread of the job.
    pub(crate) fn run<R>(&self, f: impl FnOnce() -> R) -> R {
        Current { limits: &self.limits, item: self.item }.run(f)
    }
}

impl Waiter {
    pub(crate) fn new() -> Waiter {
        Waiter { job: OnceLock::new(), waits: AtomicUsize::new(0) }
    }

    /// Returns the job if it waits now.
    fn job(&self) -> Option<(Arc<LimitState>, RunningItem)> {
        let (limits, item) = self.job.get()?;
        // ORDERING: waiter:look: Relaxed; a job that misses it runs for longer.
        let waits = self.waits.load(Relaxed) > 0;
        Some((limits.upgrade().filter(|_| waits)?, *item))
    }
}

impl Waiting {
    /// Notes that the caller of this call waits for it in the job of this thread, if it runs one.
    pub(crate) fn begin(call: &Arc<LimitState>) -> Option<Waiting> {
        let job = current_job()?;
        let waiter = &call.waiter;
        let (limits, item) = waiter.job.get_or_init(|| (Arc::downgrade(&job.limits), job.item));
        if !(ptr::eq(limits.as_ptr(), Arc::as_ptr(&job.limits)) && *item == job.item) {
            return None;
        }
        // ORDERING: waiter:begin: Relaxed; as `waiter:look`.
        waiter.waits.fetch_add(1, Relaxed);
        Some(Waiting(Arc::clone(call)))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // ORDERING: waiter:end: Relaxed; as `waiter:look`.
        self.0.waiter.waits.fetch_sub(1, Relaxed);
    }
}

/// Returns the job that this thread runs, if it is known.
pub(crate) fn current_job() -> Option<OuterJob> {
    let current = CURRENT.try_with(Cell::get).unwrap_or(ptr::null());
    // SAFETY: the pointer is null, or `Current::run` has set it on this thread and has not
    // returned. `Restore` takes it back before the reference that it was made of ends.
    let current = unsafe { current.as_ref() }?;
    Some(OuterJob { limits: Arc::clone(current.limits), item: current.item })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;

    fn call() -> Arc<LimitState> {
        Arc::new(LimitState::new(Limits::default(), 0))
    }

    /// Begins to wait for `inner` in a job of `outer`.
    fn wait(outer: &Arc<LimitState>, inner: &Arc<LimitState>) -> Option<Waiting> {
        Current::of_call(outer).run(|| Waiting::begin(inner))
    }

    fn should_stop(limits: &Arc<LimitState>) -> bool {
        Current::of_call(limits).should_stop()
    }

    #[test]
    fn a_call_is_unwanted_while_an_unwanted_job_waits_for_it() {
        let calls = [(); 4].map(|()| call());
        let [outer, middle, inner, other] = &calls;
        let waits = (wait(outer, middle).unwrap(), wait(middle, inner).unwrap());
        outer.policy.let_go();
        assert_eq!(calls.each_ref().map(should_stop), [true, true, true, false]);
        drop(waits.0);
        assert!(!should_stop(inner), "the handle may have another caller");
        assert!(wait(other, middle).is_none(), "it is known as that of the first job");
        let _waits = (wait(outer, middle).unwrap(), wait(outer, middle).unwrap());
        assert!(should_stop(inner));
    }

    #[test]
    fn jobs_that_wait_for_each_other_end() {
        let [a, b, c] = [(); 3].map(|()| call());
        let _waits = [(&a, &b), (&b, &c), (&c, &a)].map(|(outer, inner)| wait(outer, inner));
        assert_eq!([&a, &b, &c].map(should_stop), [false; 3]);
        b.policy.let_go();
        assert_eq!([&a, &b, &c].map(should_stop), [true; 3]);
        let own = call();
        let _waits = wait(&own, &own).unwrap();
        assert!(!should_stop(&own));
    }

    #[test]
    fn a_call_keeps_no_ended_call_alive() {
        let (outer, inner) = (call(), call());
        drop(wait(&outer, &inner).unwrap());
        let ended = Arc::downgrade(&outer);
        drop(outer);
        assert!(ended.upgrade().is_none() && !should_stop(&inner));
    }
}
