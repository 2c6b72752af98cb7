//! Numbers and events that users can look at.

pub(crate) mod trace;
pub(crate) mod worker_status;

pub(crate) use self::trace::CallSpan;
pub(crate) use self::worker_status::{BusyWorker, WorkerStatus};
