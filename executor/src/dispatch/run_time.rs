//! The run time of several calls that count as one.

use std::fmt;
use std::ptr;
use std::sync::{Arc, Weak};

use crate::primitive::{Mutex, lock};
use crate::scheduler::{RunTime, Scheduler};

/// Lets several calls of an executor count as one call when workers choose the next call.
///
/// Workers give each open call an equal share of their time. Calls that wait for the same resource,
/// such as a rate limiter, have one share. [`Setup::share_run_time`] adds a call. The calls of each
/// executor count apart from those of others.
///
/// [`Setup::share_run_time`]: crate::dispatch::Setup::share_run_time
#[derive(Default)]
pub struct SharedRunTime(Mutex<Vec<(Weak<Scheduler>, Arc<RunTime>)>>);

impl SharedRunTime {
    /// Returns the run time of the calls of this scheduler.
    pub(super) fn of(&self, scheduler: &Arc<Scheduler>) -> Arc<RunTime> {
        let mut schedulers = lock(&self.0);
        schedulers.retain(|(known, _)| known.strong_count() > 0);
        let is_it = |known: &Weak<Scheduler>| ptr::eq(known.as_ptr(), Arc::as_ptr(scheduler));
        if let Some((_, runtime)) = schedulers.iter().find(|(known, _)| is_it(known)) {
            return Arc::clone(runtime);
        }
        let runtime = Arc::<RunTime>::default();
        schedulers.push((Arc::downgrade(scheduler), Arc::clone(&runtime)));
        runtime
    }
}

impl fmt::Debug for SharedRunTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedRunTime").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scheduler::ThreadSettings;

    #[test]
    fn calls_share_a_run_time_within_one_scheduler() {
        let [one, other] = [(); 2].map(|()| Scheduler::new(ThreadSettings::default(), false));
        let shared = SharedRunTime::default();
        assert!(Arc::ptr_eq(&shared.of(&one), &shared.of(&one)));
        assert!(!Arc::ptr_eq(&shared.of(&one), &shared.of(&other)));
        drop(one);
        shared.of(&other);
        assert_eq!(lock(&shared.0).len(), 1, "a scheduler that has ended is forgotten");
    }
}
