//! The primitives of a model.
//!
//! Loom and shuttle see each access and may stop a thread before it. Loom explores memory orders.
//! Shuttle takes every order for the strongest, and chooses schedules at random. `explored` is for
//! both of them.
//!
//! `simulated` is for a machine that runs the threads of shuttle as processors would. Its locks
//! have the layout of the real ones, and time passes on it.

#[cfg(not(all(reorder_shuttle, reorder_hooks)))]
mod explored;
#[cfg(all(reorder_shuttle, reorder_hooks))]
mod simulated;

use std::io;
use std::sync::{Arc, PoisonError};

use super::lock;
use std::task::{Wake, Waker};
use std::time::Instant;

#[cfg(reorder_loom)]
use loom as engine;
#[cfg(reorder_shuttle)]
use shuttle as engine;

#[cfg(not(all(reorder_shuttle, reorder_hooks)))]
use explored as kind;
#[cfg(all(reorder_shuttle, reorder_hooks))]
use simulated as kind;

pub(crate) use engine::{thread, thread_local};
use kind::{AtomicBool, nap};
pub(crate) use kind::{Backoff, Condvar, Mutex, MutexGuard, now, processors, sleep};
use std::sync::atomic::Ordering::{Acquire, Release};

/// A parker as in the crate `parking`, made of a mutex and a condition variable.
pub(crate) struct Parker(Arc<Token>);

#[derive(Clone)]
pub(crate) struct Unparker(Arc<Token>);

struct Token {
    is_there: Mutex<bool>,
    changed: Condvar,
}

impl Parker {
    pub(crate) fn new() -> Parker {
        Parker(Arc::new(Token { is_there: Mutex::new(false), changed: Condvar::new() }))
    }

    pub(crate) fn unparker(&self) -> Unparker {
        Unparker(Arc::clone(&self.0))
    }

    pub(crate) fn park(&self) {
        let mut is_there = lock(&self.0.is_there);
        while !*is_there {
            is_there = self.0.changed.wait(is_there).unwrap_or_else(PoisonError::into_inner);
        }
        *is_there = false;
    }
}

impl Parker {
    /// Lets other threads run. A model that is explored returns then, whatever the time.
    pub(crate) fn park_deadline(&self, deadline: Instant) -> bool {
        loop {
            let may_wait = nap(deadline);
            let is_there = std::mem::take(&mut *lock(&self.0.is_there));
            if is_there || !may_wait {
                return is_there;
            }
        }
    }
}

impl Unparker {
    pub(crate) fn unpark(&self) {
        *lock(&self.0.is_there) = true;
        self.0.changed.notify_one();
    }
}

impl Wake for Token {
    fn wake(self: Arc<Self>) {
        Unparker(self).unpark();
    }
}

impl From<Unparker> for Waker {
    fn from(unparker: Unparker) -> Waker {
        Waker::from(unparker.0)
    }
}

/// A `std::sync::OnceLock` with an order that loom sees.
pub(crate) struct OnceLock<T> {
    is_set: AtomicBool,
    value: std::sync::OnceLock<T>,
}

impl<T> OnceLock<T> {
    pub(crate) fn new() -> OnceLock<T> {
        OnceLock { is_set: AtomicBool::new(false), value: std::sync::OnceLock::new() }
    }

    pub(crate) fn set(&self, value: T) -> Result<(), T> {
        self.value.set(value)?;
        // ORDERING: as in std, here and in `get`: a thread that sees the flag sees the whole value.
        self.is_set.store(true, Release);
        Ok(())
    }

    pub(crate) fn get_or_init(&self, value: impl FnOnce() -> T) -> &T {
        let mut is_new = false;
        let value = self.value.get_or_init(|| {
            is_new = true;
            value()
        });
        // ORDERING: as in `set` and in `get`.
        if is_new {
            self.is_set.store(true, Release)
        } else {
            self.is_set.load(Acquire);
        }
        value
    }

    pub(crate) fn get(&self) -> Option<&T> {
        // ORDERING: as in `set`. Without an order from elsewhere, it may not be seen yet.
        self.value.get().filter(|_| self.is_set.load(Acquire))
    }
}

/// A cell as in the crate `atomic-waker`, made of a mutex.
pub(crate) struct AtomicWaker(Mutex<Option<Waker>>);

impl AtomicWaker {
    pub(crate) fn new() -> AtomicWaker {
        AtomicWaker(Mutex::new(None))
    }

    pub(crate) fn register(&self, waker: &Waker) {
        // Not under the lock, because wakers are user code.
        let waker = waker.clone();
        let old = lock(&self.0).replace(waker);
        drop(old);
    }

    pub(crate) fn wake(&self) {
        let waker = lock(&self.0).take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// A timer, made of a thread that reads the clock until it is time.
pub(crate) struct Delay {
    at: Instant,
    rings: Arc<AtomicBool>,
}

impl Delay {
    pub(crate) fn new(at: Instant, waker: Waker) -> io::Result<Delay> {
        let rings = Arc::new(AtomicBool::new(true));
        let rang = Arc::clone(&rings);
        thread::spawn(move || {
            // ORDERING: the timer may be dropped at the same time. It may fire in vain.
            while rang.load(Acquire) && now() < at {
                nap(at);
            }
            waker.wake();
        });
        Ok(Delay { at, rings })
    }

    pub(crate) fn set_waker(&mut self, waker: &Waker) -> bool {
        let armed = Delay::new(self.at, waker.clone());
        *self = armed.expect("a model has threads");
        true
    }
}

impl Drop for Delay {
    fn drop(&mut self) {
        // ORDERING: as above.
        self.rings.store(false, Release);
    }
}

/// Measures the time since its start.
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    pub(crate) fn start() -> Stopwatch {
        Stopwatch(now())
    }

    pub(crate) fn nanos(&self) -> u64 {
        super::whole_nanos(now().duration_since(self.0))
    }
}

impl From<Instant> for Stopwatch {
    fn from(started: Instant) -> Stopwatch {
        Stopwatch(started)
    }
}
