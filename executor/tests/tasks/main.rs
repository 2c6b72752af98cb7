//! Calls in async tasks, and the wakers of tasks.

#[path = "../common/mod.rs"]
mod common;
#[cfg(feature = "sink")]
#[path = "../common/full_queue.rs"]
mod full_queue;
#[path = "../common/runtimes.rs"]
mod runtimes;

mod map_ordered;
mod map_ordered_drops;
mod reentrant_wakers;
#[cfg(feature = "sink")]
mod sink;
#[cfg(feature = "tokio")]
mod tokio_blocking;
mod wakes_and_locks;
