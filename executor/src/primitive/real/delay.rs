//! Timers. One thread of the process serves all of them; it starts with the first.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, PoisonError};
use std::task::Waker;
use std::time::Instant;
use std::{io, process, thread};

use crate::primitive::lock;

/// The instant of a timer, and its number.
type Key = (Instant, u64);

struct Timers {
    armed: BTreeMap<Key, Waker>,
    created: u64,
    /// The process that started the thread. After a fork, the child has no such thread.
    process: Option<u32>,
}

static TIMERS: Mutex<Timers> =
    Mutex::new(Timers { armed: BTreeMap::new(), created: 0, process: None });
/// Notified when a timer becomes the first one.
static FIRST_CHANGED: Condvar = Condvar::new();

/// A timer that wakes a task at an instant. Dropping it disarms it.
pub(crate) struct Delay {
    key: Key,
}

impl Delay {
    /// Arms a timer.
    ///
    /// # Errors
    ///
    /// If the system refuses the thread of the timers.
    pub(crate) fn new(at: Instant, waker: Waker) -> io::Result<Delay> {
        let mut timers = lock(&TIMERS);
        if timers.process != Some(process::id()) {
            thread::Builder::new().name("reorder-timers".to_owned()).spawn(run)?;
            timers.process = Some(process::id());
        }
        timers.created += 1;
        let key = (at, timers.created);
        timers.armed.insert(key, waker);
        if timers.armed.first_key_value().is_some_and(|(first, _)| *first == key) {
            FIRST_CHANGED.notify_one();
        }
        Ok(Delay { key })
    }

    /// Replaces the waker. Returns `false` if the timer has fired.
    pub(crate) fn set_waker(&mut self, waker: &Waker) -> bool {
        let mut waker = waker.clone();
        match lock(&TIMERS).armed.get_mut(&self.key) {
            Some(armed) => std::mem::swap(armed, &mut waker),
            None => return false,
        }
        true
    }
}

impl Drop for Delay {
    fn drop(&mut self) {
        // The waker is dropped without the lock, because that may run other code.
        let waker = lock(&TIMERS).armed.remove(&self.key);
        drop(waker);
    }
}

/// Wakes the tasks whose instants have come.
fn run() {
    let mut timers = lock(&TIMERS);
    loop {
        let now = Instant::now();
        timers = match timers.armed.first_entry() {
            None => FIRST_CHANGED.wait(timers).unwrap_or_else(PoisonError::into_inner),
            Some(first) if first.key().0 <= now => {
                let waker = first.remove();
                drop(timers);
                let woken = catch_unwind(AssertUnwindSafe(|| waker.wake()));
                woken.unwrap_or_else(std::mem::forget);
                lock(&TIMERS)
            }
            Some(first) => {
                let time = first.key().0 - now;
                let waited = FIRST_CHANGED.wait_timeout(timers, time);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        };
    }
}
