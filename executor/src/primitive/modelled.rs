//! The primitives of a model: loom sees each access, and may stop a thread before it.

use std::sync::Arc;
use std::task::{Wake, Waker};

use loom::sync::Condvar;
pub(crate) use loom::sync::atomic::{AtomicBool, AtomicUsize, fence};
pub(crate) use loom::sync::{Mutex, MutexGuard};
pub(crate) use loom::thread_local;

/// As `parking`'s, of a mutex and a condition variable.
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
        let mut is_there = self.0.is_there.lock().unwrap();
        while !*is_there {
            is_there = self.0.changed.wait(is_there).unwrap();
        }
        *is_there = false;
    }
}

impl Unparker {
    pub(crate) fn unpark(&self) {
        *self.0.is_there.lock().unwrap() = true;
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
