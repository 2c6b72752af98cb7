//! The trait of dispatchers, with the types of its arguments and answers.

use std::cell::Cell;
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use crate::dispatch::call::Call;
use crate::io::OutputTicket;
use crate::outcome::Stop;
use crate::scheduler::TimeSlice;

/// Decides which item of a call is next, and when. The [module](crate::dispatch) has an example.
///
/// Any number of threads call these methods at the same time, so a dispatcher has a lock of its
/// own. It holds the lock for a few instructions, and never while it uses methods of [`Call`] that
/// block.
///
/// A thread that looks for work asks [`due`](Dispatch::due). If something is due, the thread
/// [takes](Dispatch::take) an action and [performs](Dispatch::perform) it. If nothing is due, no
/// thread asks before one of these events:
///
/// * the instant that [`Due::Later`] tells
/// * a call of [`Call::changed`], [`Call::look`] or of the [waker](crate::dispatch::Setup::waker)
/// * the consumer takes an outcome, or a limit ends the call
///
/// # Panics
///
/// A dispatcher should not panic. If a method does, its call ends: no more items start, and each
/// item without an outcome gets [`Failure::Cancelled`](crate::Failure::Cancelled). The methods are
/// not used again.
pub trait Dispatch: Send + Sync + Sized + 'static {
    /// The items of the source.
    type Item: Send + 'static;
    /// The value of an item.
    type Value: Send + 'static;
    /// The error of an item.
    type Error: Send + 'static;
    /// A decision that a thread has taken, and has to carry out.
    type Action;
    /// The statistics of a call, or `()`. [`Ordered::stats`](crate::Ordered::stats) and
    /// [`BatchReport::stats`](crate::BatchReport::stats) return them.
    type Stats: fmt::Debug + Send + Sync + UnwindSafe + RefUnwindSafe + 'static;

    /// Returns when there is something to do. It runs no code of users.
    ///
    /// One thread at a time asks, and holds a lock of the call. So it must not complete items, and
    /// not call [`changed`](Call::changed) or [`look`](Call::look). It pushes the wakers that are
    /// to be used to `wakers`. They are used without that lock.
    fn due(&self, call: &Call<Self>, wakers: &mut Vec<Waker>) -> Due;

    /// Takes the next action. Returns `None` if there is nothing to do now.
    ///
    /// No other thread may get the same action. After [`is_stopped`](Call::is_stopped), it takes no
    /// action that starts an item.
    fn take(&self, call: &Call<Self>) -> Option<Self::Action>;

    /// Carries an action out: pulls the source, runs a job, or completes an item.
    fn perform(&self, call: &Arc<Call<Self>>, action: Self::Action, turn: &Turn<'_>);

    /// Adds an item that [`Call::pull`] has pulled. Gives the item back if no more are wanted.
    ///
    /// If outcomes are in order by key and `is_open` is `false`, the item has to wait until
    /// [`open`](Dispatch::open). Then the thread holds a lock of the call, and this must not use
    /// the call.
    fn add(&self, ticket: ItemTicket, item: Self::Item, is_open: bool) -> Result<(), Self::Item>;

    /// Counts an item that has its outcome already: a panic of the source.
    fn add_finished(&self);

    /// Lets an item start that was added with `is_open: false`.
    fn open(&self, _index: u64) {}

    /// Ends the work on an item that has no outcome, because the consumer gives it up. By default,
    /// this does nothing, and a result that comes later is refused.
    fn skip(&self, _call: &Call<Self>, _index: u64, _stop: Stop) -> Skipped {
        Skipped::Evict
    }

    /// Ends the call: no item starts from now on, and [`add`](Dispatch::add) refuses more.
    ///
    /// If there is a reason, it may [complete](Call::complete) items that do not run with their
    /// failures. Without a reason, the consumer has gone. By default, this does nothing: items that
    /// do not run get the failures of their limit, and are dropped with the call.
    fn close(&self, _call: &Call<Self>, _stop: Option<Stop>) {}

    /// Aborts all jobs that run on another runtime.
    fn abort(&self) {}

    /// Returns how far the call has come.
    fn state(&self) -> State;

    /// Returns since when a job of a pulled item could have started, if none has. It is shown in a
    /// [snapshot](crate::Executor::snapshot).
    fn due_since(&self, _now: Instant) -> Option<Instant> {
        None
    }

    /// Returns `true` if a timer of the dispatcher
    /// [is lost](crate::dispatch::SharedTimer::is_lost): its threads have to look again by
    /// themselves.
    fn is_timer_lost(&self) -> bool {
        false
    }

    /// Returns the statistics.
    fn stats(&self) -> Self::Stats;

    /// Returns the maximum number of jobs that ran at the same time, if it is counted. A report
    /// returns it as its [`peak_concurrency`](crate::BatchReport::peak_concurrency).
    fn peak_concurrency(&self) -> Option<usize> {
        None
    }
}

/// When there is something to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// There is something to do now.
    Now,
    /// Nothing is due before an instant or an event.
    Later {
        /// The instant at which something will be due. A timer of the call keeps it.
        at: Option<Instant>,
        /// An instant at which an event probably comes that wakes the call by itself. Only a
        /// consumer that has to run the items itself looks again then.
        expected: Option<Instant>,
    },
}

impl Due {
    /// Nothing is due before an event.
    pub const NEVER: Due = Due::Later { at: None, expected: None };
}

/// The progress of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The number of items that were added.
    pub pulled: u64,
    /// The number of these items that have outcomes.
    pub finished: u64,
    /// The number of jobs that run, and of items that a thread is about to complete.
    pub running: usize,
    /// The number of items that wait, without a running job.
    pub waiting: usize,
    /// `true` if no more items will come.
    pub is_source_ended: bool,
}

impl State {
    /// Returns `true` if each item has its outcome, and no more will come.
    pub fn is_done(&self) -> bool {
        self.is_source_ended && self.running == 0 && self.waiting == 0
    }
}

/// The answer of a dispatcher about an item that the consumer gives up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skipped {
    /// Nothing: it no longer has the item, or its job runs on. The item gets the failure of its
    /// limit, and a result that comes later is refused.
    Evict,
    /// It has completed the item.
    Completed,
    /// A thread is about to complete the item, or to try it again. The consumer waits.
    Ending,
}

/// The result of [`Call::pull`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "after `Ended`, no more items come"]
pub enum Pull {
    /// An item was added, and the source may have more.
    More,
    /// The source has no item yet, or there is no room for its weight. [`SourceState::may_pull`]
    /// tells when to pull again.
    ///
    /// [`SourceState::may_pull`]: crate::dispatch::SourceState::may_pull
    Waiting,
    /// The window has no space.
    Full,
    /// Another thread pulls the source.
    Busy,
    /// No more items will come.
    Ended,
}

/// The right to complete one item, from any thread. A second completion is refused, and so is a
/// completion by another call.
#[derive(Clone, Copy)]
pub struct ItemTicket(pub(super) OutputTicket);

impl ItemTicket {
    /// Returns the index of the item in its source, from 0 on.
    pub fn index(&self) -> u64 {
        self.0.index()
    }
}

impl fmt::Debug for ItemTicket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ItemTicket").field(&self.index()).finish()
    }
}

/// The stay of one thread with a call: a worker, or a consumer that has to run the items.
pub struct Turn<'a> {
    pub(super) slice: &'a TimeSlice<'a>,
    pub(super) has_pulled: Cell<bool>,
}

impl Turn<'_> {
    /// Notes, for [snapshots](crate::Executor::snapshot), that this thread begins to run an item.
    ///
    /// # Progress
    ///
    /// Wait-free.
    pub fn running(&self, ticket: ItemTicket) {
        self.slice.note_running(ticket.index(), 1);
    }
}

impl fmt::Debug for Turn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turn").finish_non_exhaustive()
    }
}
