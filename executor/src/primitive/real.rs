//! The primitives of a program.

mod backoff;
mod delay;
mod stopwatch;

pub(crate) use std::sync::{Condvar, Mutex, MutexGuard, OnceLock};
pub(crate) use std::thread::sleep;
pub(crate) use std::{thread, thread_local};

pub(crate) use atomic_waker::AtomicWaker;
pub(crate) use backoff::Backoff;
pub(crate) use delay::Delay;
pub(crate) use parking::{Parker, Unparker};
pub(crate) use stopwatch::Stopwatch;

/// Returns the number of threads that can run at the same time, as seen by this thread.
pub(crate) fn processors() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

pub(crate) fn now() -> std::time::Instant {
    std::time::Instant::now()
}
