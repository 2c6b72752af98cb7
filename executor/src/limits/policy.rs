//! The state machine of the limits of a call: what an event means for an item.
//!
//! | event | an item that has not started | a running item |
//! |---|---|---|
//! | an item fails, and the call fails fast | cancelled | its result counts if its caller waits for it |
//! | the token is cancelled, or the executor shut down | the same | the same |
//! | the call's deadline | it is not started | a result that comes later is refused |
//! | its own time is over | | the same |
//!
//! The caller of a batch waits for running items, because they may borrow from it. The consumer of
//! a stream gives up on them. If two deadlines have passed, the earlier one is the reason.
//!
//! The state machine reads no clock. Its callers pass the time, if the call has a limit of time.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use crate::limits::cancellation::CancellationToken;
use crate::primitive::{AtomicBool, AtomicUsize};

/// The reason why an item has no result, whatever its job did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    Cancelled,
    ShutDown,
    BatchDeadline,
    ItemDeadline,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Limits {
    pub(crate) fails_fast: bool,
    pub(crate) deadline: Option<Instant>,
    pub(crate) item_timeout: Option<Duration>,
    pub(crate) token: Option<CancellationToken>,
    /// The token of the executor, cancelled by a shutdown.
    pub(crate) shutdown: Option<CancellationToken>,
    /// `true` if the call reports when its items ran.
    pub(crate) timed: bool,
}

impl Limits {
    /// Returns the tokens that cancel the call.
    pub(crate) fn tokens(&self) -> impl Iterator<Item = &CancellationToken> {
        self.token.iter().chain(&self.shutdown)
    }
}

/// The state of one call.
pub(crate) struct LimitPolicy {
    pub(crate) settings: Limits,
    has_failed: AtomicBool,
    late: AtomicUsize,
}

impl LimitPolicy {
    pub(crate) fn new(settings: Limits) -> LimitPolicy {
        LimitPolicy { settings, has_failed: AtomicBool::new(false), late: AtomicUsize::new(0) }
    }

    /// Returns `true` if the methods need to know the time.
    pub(crate) fn is_timed(&self) -> bool {
        self.settings.deadline.is_some()
            || self.settings.item_timeout.is_some()
            || self.settings.timed
    }

    /// Returns `Ok` if an item may start now.
    pub(crate) fn start(&self, now: Option<Instant>) -> Result<(), Stop> {
        let passed = || self.settings.deadline.zip(now).filter(|(deadline, now)| deadline <= now);
        let stop = self.cancelled().or_else(|| passed().map(|_| Stop::BatchDeadline));
        stop.map_or(Ok(()), Err)
    }

    /// Returns `true` if an item that started at `started` should stop.
    pub(crate) fn should_stop(&self, started: Option<Instant>, now: Option<Instant>) -> bool {
        self.cancelled().is_some() || self.overdue(started, now).is_some()
    }

    /// Returns `Ok` if the result of an item counts that started at `started` and is done now.
    /// Counts it as late otherwise.
    pub(crate) fn finish(
        &self,
        started: Option<Instant>,
        now: Option<Instant>,
    ) -> Result<(), Stop> {
        let Some(stop) = self.overdue(started, now) else { return Ok(()) };
        self.count_late();
        Err(stop)
    }

    /// Notes that an item has failed. Called when its outcome is in its place, and the consumer can
    /// no longer give up on it.
    pub(crate) fn fail(&self) {
        // ORDERING: policy:fail: Relaxed; a late answer is as if the failure came later.
        self.has_failed.store(true, Relaxed);
    }

    /// Returns why the consumer gives up on the item that it waits for.
    ///
    /// If it does not give up, returns the instant at which it has to ask again.
    pub(crate) fn give_up(
        &self,
        started: Option<Instant>,
        now: Option<Instant>,
    ) -> Result<Option<Instant>, Stop> {
        match self.cancelled().or_else(|| self.overdue(started, now)) {
            Some(stop) => Err(stop),
            // An item that starts later becomes overdue later than an item that would start now.
            None => self.start(now).map(|()| self.deadline(started.or(now))),
        }
    }

    /// Counts a result that was refused because the consumer gave up on its item.
    pub(crate) fn count_late(&self) {
        // ORDERING: policy:late: Relaxed; a number, read when all is over.
        self.late.fetch_add(1, Relaxed);
    }

    /// Returns the number of results that came too late.
    pub(crate) fn late(&self) -> usize {
        // ORDERING: policy:late-count: Relaxed; as `policy:late`.
        self.late.load(Relaxed)
    }

    /// Returns what cancelled the items that have not started, if anything did.
    pub(crate) fn cancelled(&self) -> Option<Stop> {
        let is_set = |token: &Option<CancellationToken>| {
            token.as_ref().is_some_and(CancellationToken::is_cancelled)
        };
        // ORDERING: policy:failed: Relaxed; as `policy:fail`.
        if (self.settings.fails_fast && self.has_failed.load(Relaxed))
            || is_set(&self.settings.token)
        {
            Some(Stop::Cancelled)
        } else {
            is_set(&self.settings.shutdown).then_some(Stop::ShutDown)
        }
    }

    /// Returns the instant at which an item that started at `started` has no time left.
    pub(crate) fn deadline(&self, started: Option<Instant>) -> Option<Instant> {
        let own = self.settings.item_timeout.zip(started);
        let own = own.and_then(|(timeout, started)| started.checked_add(timeout));
        self.settings.deadline.into_iter().chain(own).min()
    }

    /// Returns the deadline of such an item that passed first, if one has passed.
    pub(crate) fn overdue(&self, started: Option<Instant>, now: Option<Instant>) -> Option<Stop> {
        let (started, now) = (started?, now?);
        // An instant that the clock cannot represent is no deadline.
        let own = self.settings.item_timeout.and_then(|timeout| started.checked_add(timeout));
        let own = own.map(|at| (at, Stop::ItemDeadline));
        let shared = self.settings.deadline.map(|at| (at, Stop::BatchDeadline));
        let (at, stop) = shared.into_iter().chain(own).min_by_key(|&(at, _)| at)?;
        (at <= now).then_some(stop)
    }
}

#[cfg(test)]
mod tests;
