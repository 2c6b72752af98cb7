//! The right to open a call that only the workers will run.

use std::sync::Arc;
use std::time::Instant;

use crate::scheduler::registry::Scheduler;
use crate::scheduler::work::Published;

/// An admitted call. If the scheduler is closed meanwhile, a shutdown waits for this admission and
/// for the call that it publishes.
pub(crate) struct Admission(Arc<Scheduler>);

impl Admission {
    /// Returns `None` if the scheduler is closed.
    pub(crate) fn new(scheduler: &Arc<Scheduler>) -> Option<Admission> {
        scheduler.admit().then(|| Admission(Arc::clone(scheduler)))
    }

    pub(crate) fn publish(self, work: Arc<dyn Published>, since: Instant) {
        self.0.publish_admitted(work, since);
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.0.end_admission();
    }
}
