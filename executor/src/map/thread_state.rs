//! One state for each thread that takes part in a batch.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::{mem, thread};

use thread_local::ThreadLocal;

use crate::unwind::{DiscardOnDrop, discard};

/// The states of one batch. A thread makes its state before its first item.
pub(crate) struct PerThread<S: Send, I> {
    states: ThreadLocal<Cell<Option<S>>>,
    init: DiscardOnDrop<I>,
}

impl<S: Send, I: Fn() -> S> PerThread<S, I> {
    pub(crate) fn new(init: I) -> Self {
        PerThread { states: ThreadLocal::new(), init: DiscardOnDrop::new(init) }
    }

    /// Runs `f` with the state of this thread.
    ///
    /// If `f` panics, the state is dropped, and the thread makes a new one for its next item.
    pub(crate) fn with<R>(&self, f: impl FnOnce(&mut S) -> R) -> R {
        let place = self.states.get_or_default();
        let mut state = place.take().unwrap_or_else(|| (self.init)());
        match catch_unwind(AssertUnwindSafe(|| f(&mut state))) {
            Ok(result) => {
                place.set(Some(state));
                result
            }
            Err(payload) => {
                discard(state);
                resume_unwind(payload)
            }
        }
    }
}

impl<S: Send, I> Drop for PerThread<S, I> {
    fn drop(&mut self) {
        // One by one: a second panic while the first one unwinds would abort the process.
        let mut panicked = None;
        for state in mem::take(&mut self.states) {
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(state))) {
                panicked.replace(payload).into_iter().for_each(discard);
            }
        }
        match panicked {
            Some(payload) if thread::panicking() => discard(payload),
            Some(payload) => resume_unwind(payload),
            None => {}
        }
    }
}
