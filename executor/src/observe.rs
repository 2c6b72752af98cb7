//! Numbers and events that users can look at.

#[cfg(feature = "requests")]
pub(crate) mod request_stats;
pub(crate) mod trace;
pub(crate) mod worker_status;

#[cfg(feature = "requests")]
pub(crate) use self::request_stats::RequestStats;
pub(crate) use self::trace::CallSpan;
pub(crate) use self::worker_status::{BusyWorker, WorkerStatus};
