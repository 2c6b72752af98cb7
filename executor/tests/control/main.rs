//! Limits, cancellation, failures, and the shutdown. Observers of calls, and hooks of threads.

#[path = "../common/mod.rs"]
mod common;

mod attempts;
mod concurrency_limit;
mod errors;
mod exiting_threads;
mod finish_running;
mod limits;
mod mixed_failures;
mod observation;
mod should_stop;
mod shutdown;
mod snapshot;
mod thread_hooks;
mod tokens;
mod until_idle;
