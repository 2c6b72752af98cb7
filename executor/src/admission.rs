//! The right to start what nobody but the workers would run.

use std::sync::Arc;
use std::time::Instant;

use crate::hub::Hub;
use crate::work::Published;

/// A hub may be closed meanwhile: then a shutdown waits for this, and for the call that comes of it.
pub(crate) struct Admission(Arc<Hub>);

impl Admission {
    /// `None` if the hub is closed.
    pub(crate) fn new(hub: &Arc<Hub>) -> Option<Admission> {
        hub.expect().then(|| Admission(Arc::clone(hub)))
    }

    pub(crate) fn publish(self, work: Arc<dyn Published>, since: Instant) {
        self.0.publish_expected(work, since);
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.0.arrived();
    }
}
