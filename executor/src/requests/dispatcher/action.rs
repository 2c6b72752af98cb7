//! The actions that the dispatcher decides, and the attempts that come back to it.

use std::time::Instant;

use crate::requests::dispatcher::item::Entry;
use crate::requests::limiter::Dispatch;

/// The identity of an attempt in its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct AttemptId {
    pub(crate) index: u64,
    /// The number of the attempt at its item, from 1 on.
    pub(crate) number: u32,
}

/// An attempt that is started.
#[derive(Clone, Debug)]
pub(crate) struct Start<P> {
    pub(crate) id: AttemptId,
    pub(crate) payload: P,
    /// When the first attempt at the item started.
    pub(crate) started: Instant,
    /// The end of the time of the attempt.
    pub(crate) timeout: Option<Instant>,
    pub(crate) dispatch: Dispatch,
}

/// The standing of an attempt that has ended.
pub(crate) enum Ended<P, E> {
    /// Its result counts. The thread decides whether the item ends.
    Counts(Entry<P, E>),
    /// It has exceeded its time-out, and no thread has noticed. The thread does the same, and
    /// refuses the result.
    Overdue(Entry<P, E>),
    /// It has exceeded its time-out before.
    TimedOut,
    /// Its item is over.
    Late,
}

/// The action that a thread takes next.
pub(crate) enum Action<S, P, E> {
    /// Run an attempt.
    Start(Start<P>),
    /// End an item that has no time left.
    End(Entry<P, E>),
    /// Retry or end an item whose attempt has exceeded its time-out, and abort the attempt.
    TimeOut(AttemptId, Entry<P, E>),
    /// Pull the source.
    Pull(S),
}

/// The next action, before a thread takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    Start(u64),
    End(u64),
    TimeOut(AttemptId),
    Pull,
    /// Nothing to do before one of these instants, or an event.
    Rest {
        /// The next instant at which an item is due, or ends.
        at: Option<Instant>,
        /// The instant at which the limiter probably lets the batch through. It tells the batch.
        turn: Option<Instant>,
    },
}
