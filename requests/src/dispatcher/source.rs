//! The source of a batch, which the dispatcher hands out to be pulled, and the items from it.

use std::mem;
use std::time::{Duration, Instant};

use crate::dispatcher::Dispatcher;
use crate::dispatcher::item::{Entry, Waiting};

pub(super) enum Source<S> {
    Here(S),
    /// It is here, but has no item yet, or its next item waits for room in the budget of weights.
    Waiting(S),
    /// A thread is pulling it.
    Out,
    Ended,
}

impl<S, P: Clone, E> Dispatcher<S, P, E> {
    /// Returns `true` if the source may have an item, and there may be room for its weight.
    pub(super) fn may_pull(&self) -> bool {
        match &self.source {
            Source::Here(_) => true,
            Source::Waiting(_) => (self.may_have_item)(),
            Source::Out | Source::Ended => false,
        }
    }

    /// Takes the source if it is here, and leaves another state of it.
    pub(super) fn take_source(&mut self, left: Source<S>) -> Option<S> {
        match mem::replace(&mut self.source, left) {
            Source::Here(source) | Source::Waiting(source) => Some(source),
            other => {
                self.source = other;
                None
            }
        }
    }

    /// Takes the source back. Returns it if the batch is closed.
    pub(crate) fn give_back(&mut self, source: S) -> Option<S> {
        self.give_back_as(source, Source::Here)
    }

    fn give_back_as(&mut self, source: S, state: fn(S) -> Source<S>) -> Option<S> {
        if self.is_closed {
            self.source = Source::Ended;
            return Some(source);
        }
        self.source = state(source);
        None
    }

    /// Takes a source back that waits for an item, or for room. Returns it if the batch is closed.
    pub(crate) fn give_back_waiting(&mut self, source: S) -> Option<S> {
        self.give_back_as(source, Source::Waiting)
    }

    pub(crate) fn source_ended(&mut self) {
        self.source = Source::Ended;
    }

    /// Adds an item from the source. Gives it back if the batch is closed.
    pub(crate) fn pulled(&mut self, payload: P, now: Instant) -> Result<(), P> {
        if self.is_closed {
            return Err(payload);
        }
        let index = self.pulled;
        self.pulled += 1;
        let entry = Entry {
            index,
            payload,
            attempts: 0,
            refused: 0,
            hedges: 0,
            closed_before: Duration::ZERO,
            started: None,
            error: None,
            timed_out: false,
            may_retry: true,
            waits: None,
        };
        self.waiting.insert(index, Waiting { entry, due: now, end: None });
        self.ready.insert(index);
        Ok(())
    }

    /// Adds an item from the source that waits for earlier items of its key. Gives it back if the
    /// batch is closed.
    pub(crate) fn pulled_parked(&mut self, payload: P, now: Instant) -> Result<(), P> {
        self.pulled(payload, now)?;
        self.ready.remove(&(self.pulled - 1));
        Ok(())
    }

    /// Notes that an item has no more to wait for earlier items of its key.
    pub(crate) fn open_parked(&mut self, index: u64, now: Instant) {
        if let Some(waiting) = self.waiting.get_mut(&index) {
            waiting.due = now;
            self.ready.insert(index);
        }
    }

    /// Counts an item from the source that has an outcome already.
    pub(crate) fn pulled_finished(&mut self) {
        self.pulled += 1;
        self.finished += 1;
    }
}
