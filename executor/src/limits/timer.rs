//! Timers of tasks that poll, and of threads that have nothing to do yet.
//!
//! The system may refuse the thread of the timers. Then a task is polled again immediately, and a
//! thread looks again each millisecond. This ends when the system starts that thread, or the
//! instant has come.

use std::fmt;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use crate::primitive::{Delay, Mutex, lock, now};

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
///
/// One thread of the process serves all timers. It starts with the first one.
///
/// ```
/// use std::thread;
/// use std::time::Duration;
/// use reorder_executor::dispatch::{SharedTimer, now};
///
/// struct Unpark(thread::Thread);
///
/// impl std::task::Wake for Unpark {
///     fn wake(self: std::sync::Arc<Self>) {
///         self.0.unpark();
///     }
/// }
///
/// let (timer, start) = (SharedTimer::default(), now());
/// let at = start + Duration::from_millis(1);
/// let waker = || std::sync::Arc::new(Unpark(thread::current())).into();
/// if !timer.set(at, start, waker) {
///     while now() < at {
///         thread::park();
///     }
/// }
/// ```
#[derive(Default)]
pub struct SharedTimer(Mutex<Option<Timer>>);

impl SharedTimer {
    /// Arms the timer, so that `waker` is woken at `at` or earlier. Returns `true` if the caller
    /// has to look again instead, because the timer [is lost](SharedTimer::is_lost).
    ///
    /// The thread that is woken looks for work and arms the timer again.
    ///
    /// # Progress
    ///
    /// Blocking: it takes locks that are held for a few instructions. The first timer of a process
    /// starts a thread.
    pub fn set(&self, at: Instant, now: Instant, waker: impl FnOnce() -> Waker) -> bool {
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
    ///
    /// # Progress
    ///
    /// As [`set`](SharedTimer::set).
    pub fn is_lost(&self) -> bool {
        self.with(|timer| timer.as_ref().is_some_and(|timer| timer.delay.is_none()))
    }

    /// Disarms the timer.
    ///
    /// # Progress
    ///
    /// As [`set`](SharedTimer::set).
    pub fn clear(&self) {
        let timer = self.with(Option::take);
        drop(timer);
    }

    fn with<R>(&self, f: impl FnOnce(&mut Option<Timer>) -> R) -> R {
        f(&mut lock(&self.0))
    }
}

impl fmt::Debug for SharedTimer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedTimer").finish_non_exhaustive()
    }
}
