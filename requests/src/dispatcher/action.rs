//! The actions that the dispatcher decides, and the attempts that come back to it.

use std::time::Instant;

use arrayvec::ArrayVec;

use crate::dispatcher::item::Entry;
use crate::limiter::Dispatched;

/// The identity of an attempt in its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct AttemptId {
    pub(crate) index: u64,
    /// The number of the attempt at its item, from 1 on.
    pub(crate) number: u32,
}

/// The attempts at one item that count: one, or one and its hedge.
pub(crate) type Attempts = ArrayVec<AttemptId, 2>;

/// An attempt that is started.
#[derive(Clone, Debug)]
pub(crate) struct Start<P> {
    pub(crate) id: AttemptId,
    pub(crate) payload: P,
    /// When the first attempt at the item started.
    pub(crate) started: Instant,
    /// The end of the time of the attempt.
    pub(crate) timeout: Option<Instant>,
    pub(crate) is_hedge: bool,
    pub(crate) dispatch: Dispatched,
}

/// What the end of an attempt says about its item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The item has its value.
    Value,
    /// The item has failed for good.
    Failure,
    /// Another attempt may bring a result.
    Open,
}

/// The standing of an attempt that has ended.
pub(crate) enum Ended<P, E> {
    /// It decides about its item, or is its last attempt. The thread decides whether the item ends.
    /// The other attempts do not count any more.
    Counts(Entry<P, E>, Attempts),
    /// It was the last attempt. It has exceeded its time-out, and no thread has noticed. The thread
    /// does the same as for [`Action::TimeOut`], and refuses the result.
    Overdue(Entry<P, E>),
    /// The other attempt at its item goes on.
    Beside {
        /// `true` if it has exceeded its time-out.
        is_overdue: bool,
    },
    /// It has exceeded its time-out before.
    TimedOut,
    /// Its item is over.
    Late,
}

impl<P, E> Ended<P, E> {
    /// Returns `true` if the result of the attempt does not count, and no thread decides whether
    /// the item ends.
    pub(crate) fn is_refused(&self) -> bool {
        matches!(self, Ended::Beside { .. } | Ended::TimedOut | Ended::Late)
    }
}

/// The action that a thread takes next.
pub(crate) enum Action<S, P, E> {
    /// Run an attempt.
    Start(Start<P>),
    /// End an item that has no time left.
    End(Entry<P, E>),
    /// Abort an attempt that has exceeded its time-out. Retry or end its item, if that was its last
    /// attempt.
    TimeOut(AttemptId, Option<Entry<P, E>>),
    /// Pull the source.
    Pull(S),
}

/// The next action, before a thread takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    Start(u64),
    /// Start a hedge of the attempt at this item.
    Hedge(u64),
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

/// The next hedge.
#[derive(Clone, Copy)]
pub(super) struct NextHedge {
    /// The index of its item.
    pub(super) index: u64,
    pub(super) at: Instant,
    /// The end of the time in which it may start.
    pub(super) until: Option<Instant>,
}
