//! Timers of tasks that poll, and of threads that have nothing to do yet.

use std::future::Future;
use std::pin::Pin;
#[cfg(feature = "requests")]
use std::task::Waker;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use crate::primitive::{Delay, now};
#[cfg(feature = "requests")]
use crate::primitive::{Mutex, lock};

struct Timer {
    at: Instant,
    /// Fires only while it is kept.
    delay: Delay,
}

impl Timer {
    fn new(at: Instant, now: Instant) -> Timer {
        Timer { at, delay: Delay::new(at.saturating_duration_since(now)) }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.delay).poll(cx)
    }
}

/// The timer of a task that polls.
#[derive(Default)]
pub(crate) struct TaskTimer(Option<Timer>);

impl TaskTimer {
    /// Returns `Ready` from `at` on. Before that, it registers the task to be woken at `at`.
    pub(crate) fn poll(&mut self, at: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let timer = match &mut self.0 {
            Some(timer) if timer.at == at => timer,
            timer => timer.insert(Timer::new(at, now())),
        };
        ready!(timer.poll(cx));
        self.0 = None;
        Poll::Ready(())
    }
}

/// A timer that many threads arm, each for the instant that it knows of. It fires at the earliest.
#[cfg(feature = "requests")]
#[derive(Default)]
pub(crate) struct SharedTimer(Mutex<Option<Timer>>);

#[cfg(feature = "requests")]
impl SharedTimer {
    /// Arms the timer, so that `waker` is woken at `at` or earlier. Returns `true` if `at` has come
    /// already.
    ///
    /// The thread that is woken looks for work and arms the timer again.
    pub(crate) fn set(&self, at: Instant, now: Instant, waker: impl FnOnce() -> Waker) -> bool {
        // A timer that has fired is none, even if no thread has looked yet.
        let is_early_enough = |timer: &Timer| now < timer.at && timer.at <= at;
        if self.with(|timer| timer.as_ref().is_some_and(is_early_enough)) {
            return false;
        }
        // It may fire while it is armed, and must not find the lock held.
        let mut timer = Timer::new(at, now);
        let rings = timer.poll(&mut Context::from_waker(&waker())).is_ready();
        let other = self.with(|current| {
            if current.as_ref().is_some_and(is_early_enough) {
                return Some(timer);
            }
            current.replace(timer)
        });
        drop(other);
        rings
    }

    pub(crate) fn clear(&self) {
        let timer = self.with(Option::take);
        drop(timer);
    }

    fn with<R>(&self, f: impl FnOnce(&mut Option<Timer>) -> R) -> R {
        f(&mut lock(&self.0))
    }
}
