//! An item on its way through the dispatcher.

use std::time::{Duration, Instant};

use crate::retry::ItemWaits;
use reorder_executor::dispatch::discard;

/// An item that was pulled and has no outcome.
pub(crate) struct Entry<P, E> {
    pub(crate) index: u64,
    pub(crate) payload: P,
    /// The number of attempts that were dispatched.
    pub(crate) attempts: u32,
    /// The number of attempts that a closed service refused.
    pub(crate) refused: u32,
    /// The number of attempts that were hedges.
    pub(crate) hedges: u32,
    /// The length of all closings of the limiter before the first attempt. Later closings extend
    /// the budget of the item.
    pub(crate) closed_before: Duration,
    /// When the first attempt was dispatched.
    pub(crate) started: Option<Instant>,
    /// The error of the last attempt.
    pub(crate) error: Option<E>,
    /// `true` if the last attempt exceeded its time-out. Then the error is that of an earlier one.
    /// The start of each attempt resets it.
    pub(crate) timed_out: bool,
    /// `true` if the retry budget of the batch allowed another attempt when the last one ended. The
    /// thread that asks for it later may find fewer tokens, which other attempts have taken.
    pub(crate) may_retry: bool,
    /// The waits of the item, if the user has made their iterator. Boxed, because there are many
    /// entries, and few have it.
    pub(crate) waits: Option<Box<ItemWaits>>,
}

impl<P, E> Entry<P, E> {
    /// Returns the number of attempts that count in the budget of the item.
    pub(crate) fn counted(&self) -> u32 {
        self.attempts - self.hedges - self.refused
    }

    /// Keeps the error of an attempt.
    pub(crate) fn note_error(&mut self, error: E) {
        discard(self.error.replace(error));
    }
}

/// The reason why an item gets no further attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoRetry {
    /// It has had all its attempts.
    Exhausted,
    /// Its budget of time ends before, or the batch is closed.
    Time,
    /// The retry budget of the batch has no tokens left.
    Budget,
}

pub(super) struct Waiting<P, E> {
    pub(super) entry: Entry<P, E>,
    pub(super) due: Instant,
    /// The end of its time: from this instant, it is not dispatched.
    pub(super) end: Option<Instant>,
}
