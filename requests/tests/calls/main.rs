//! Calls to services on an executor. One program has all tests that need no process of their own.

#[path = "../common/mod.rs"]
mod common;

mod async_jobs;
mod attempt_timeouts;
mod attempts;
mod budgets;
mod by_key;
mod cancelled_futures;
mod closed_services;
mod concurrency_limit;
mod drops;
mod errors;
mod exiting_threads;
mod finish_running;
mod futures;
mod hedges;
mod limiter_room;
mod limiter_stats;
mod mixed_failures;
mod rate_limiter;
mod reentrant_wakers;
mod requests;
mod retry_waits;
mod should_stop;
mod snapshot;
mod streams;
mod thread_states;
#[cfg(feature = "tokio")]
mod tokio_blocking;
mod two_executors;
mod until_idle;
mod weights;
