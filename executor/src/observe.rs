//! Numbers and events that users can look at.

#[cfg(feature = "requests")]
pub(crate) mod request_stats;
pub(crate) mod trace;
pub(crate) mod worker_status;

pub(crate) use self::worker_status::{BusyWorker, WorkerStatuses};
