//! Timers of tasks that poll, and of threads that have nothing to do yet.
//!
//! The system may refuse the thread of the timers. Then a task is polled again immediately, and a
//! thread looks again each millisecond. This ends when the system starts that thread, or the
//! instant has come.

#[cfg(feature = "requests")]
use std::task::Waker;
use std::task::{Context, Poll};
use std::time::Instant;

use crate::primitive::{Delay, now};
#[cfg(feature = "requests")]
use crate::primitive::{Mutex, lock};

struct Timer {
    at: Instant,
    /// Fires only while it is kept. `None` if the system refused the thread.
    delay: Option<Delay>,
}

/// The timer of a task that polls.
#[derive(Default)]
pub(crate) struct TaskTimer(Option<Timer>);

impl TaskTimer {
    /// Returns `Ready` from `at` on. Before that, it registers the task to be woken at `at`.
    pub(crate) fn poll(&mut self, at: Instant, cx: &mut Context<'_>) -> Poll<()> {
        if at <= now() {
            self.0 = None;
            return Poll::Ready(());
        }
        if let Some(Timer { delay: Some(delay), .. }) = self.0.as_mut().filter(|own| own.at == at) {
            if delay.set_waker(cx.waker()) {
                return Poll::Pending;
            }
        }
        let delay = Delay::new(at, cx.waker().clone()).ok();
        if delay.is_none() {
            cx.waker().wake_by_ref();
        }
        self.0 = Some(Timer { at, delay });
        Poll::Pending
    }
}

/// A timer that many threads arm, each for the instant that it knows of. It fires at the earliest.
#[cfg(feature = "requests")]
#[derive(Default)]
pub(crate) struct SharedTimer(Mutex<Option<Timer>>);

#[cfg(feature = "requests")]
impl SharedTimer {
    /// Arms the timer, so that `waker` is woken at `at` or earlier. Returns `true` if the caller
    /// has to look again instead, because the timer [is lost](SharedTimer::is_lost).
    ///
    /// The thread that is woken looks for work and arms the timer again.
    pub(crate) fn set(&self, at: Instant, now: Instant, waker: impl FnOnce() -> Waker) -> bool {
        // A timer that has fired is none, even if no thread has looked yet.
        let is_early_enough =
            |timer: &Timer| timer.delay.is_some() && now < timer.at && timer.at <= at;
        if self.with(|timer| timer.as_ref().is_some_and(is_early_enough)) {
            return false;
        }
        let delay = Delay::new(at, waker()).ok();
        let is_lost = delay.is_none();
        let timer = Timer { at, delay };
        let other = self.with(|current| {
            if current.as_ref().is_some_and(is_early_enough) {
                return Some(timer);
            }
            current.replace(timer)
        });
        drop(other);
        is_lost
    }

    /// Returns `true` if the system refused the thread of the timers at the last try.
    pub(crate) fn is_lost(&self) -> bool {
        self.with(|timer| timer.as_ref().is_some_and(|timer| timer.delay.is_none()))
    }

    pub(crate) fn clear(&self) {
        let timer = self.with(Option::take);
        drop(timer);
    }

    fn with<R>(&self, f: impl FnOnce(&mut Option<Timer>) -> R) -> R {
        f(&mut lock(&self.0))
    }
}
