//! What becomes of a call's items when something goes wrong: a state machine over what happens and when.
//!
//! | what happens | to an item that has not started | to one that runs |
//! |---|---|---|
//! | an item fails, and the call fails fast | cancelled | its result counts if its caller waits for it |
//! | the token is cancelled, or the executor shut down | the same | the same |
//! | the call's deadline | it is not started | a result that comes later is refused |
//! | its own time is over | | the same |
//!
//! The caller of a batch waits for what runs, for that may borrow from it; the consumer of a stream does not, and
//! gives up on it. Where two deadlines have passed, the earlier one is the reason. Nothing here looks at a clock: who
//! calls says what time it is, if there is any limit of time.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use crate::limits::cancellation::CancellationToken;
use crate::primitive::{AtomicBool, AtomicUsize};

/// Why an item has no result, whatever its job did.
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
    /// That of the executor.
    pub(crate) shutdown: Option<CancellationToken>,
    /// Whether instants are to be reported.
    pub(crate) timed: bool,
}

impl Limits {
    /// Returns the tokens that cancel the call.
    pub(crate) fn tokens(&self) -> impl Iterator<Item = &CancellationToken> {
        self.token.iter().chain(&self.shutdown)
    }
}

/// One call on its way.
pub(crate) struct LimitPolicy {
    pub(crate) settings: Limits,
    has_failed: AtomicBool,
    late: AtomicUsize,
}

impl LimitPolicy {
    pub(crate) fn new(settings: Limits) -> LimitPolicy {
        LimitPolicy { settings, has_failed: AtomicBool::new(false), late: AtomicUsize::new(0) }
    }

    /// Whether the time has to be told at all.
    pub(crate) fn is_timed(&self) -> bool {
        self.settings.deadline.is_some()
            || self.settings.item_timeout.is_some()
            || self.settings.timed
    }

    /// Whether an item may start now.
    pub(crate) fn start(&self, now: Option<Instant>) -> Result<(), Stop> {
        match self.cancelled() {
            Some(stop) => Err(stop),
            None if self.is_after_deadline(now) => Err(Stop::BatchDeadline),
            None => Ok(()),
        }
    }

    /// Whether an item that started then should stop by now.
    pub(crate) fn should_stop(&self, started: Option<Instant>, now: Option<Instant>) -> bool {
        self.cancelled().is_some() || self.overdue(started, now).is_some()
    }

    /// Whether the result of an item counts that started then and is done now.
    pub(crate) fn finish(
        &self,
        started: Option<Instant>,
        now: Option<Instant>,
    ) -> Result<(), Stop> {
        let Some(stop) = self.overdue(started, now) else { return Ok(()) };
        self.count_late();
        Err(stop)
    }

    /// To be called when an item has failed, and its outcome is where nobody gives up on it any more.
    pub(crate) fn fail(&self) {
        // ORDERING: policy:fail: Relaxed; a late answer is as if the failure came later.
        self.has_failed.store(true, Relaxed);
    }

    /// Whether a consumer gives up now on the item that it waits for, which may have started then; else how
    /// long it may wait before it has to ask again.
    pub(crate) fn give_up(
        &self,
        started: Option<Instant>,
        now: Option<Instant>,
    ) -> Result<Option<Instant>, Stop> {
        if let Some(stop) = self.cancelled().or_else(|| self.overdue(started, now)) {
            return Err(stop);
        }
        if self.is_after_deadline(now) {
            return Err(Stop::BatchDeadline);
        }
        // An item that starts later is not overdue before one that would start now.
        let own = self.settings.item_timeout.zip(started.or(now));
        let own = own.and_then(|(timeout, started)| started.checked_add(timeout));
        Ok(self.settings.deadline.into_iter().chain(own).min())
    }

    /// To be called when a result is refused because somebody gave up on it.
    pub(crate) fn count_late(&self) {
        // ORDERING: policy:late: Relaxed; a number, read when all is over.
        self.late.fetch_add(1, Relaxed);
    }

    /// How many results came too late.
    pub(crate) fn late(&self) -> usize {
        // ORDERING: policy:late-count: Relaxed; as `policy:late`.
        self.late.load(Relaxed)
    }

    /// Whether, and by what, everything was cancelled that has not started.
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

    /// When an item that started then has no time left.
    #[cfg(feature = "requests")]
    pub(crate) fn deadline(&self, started: Instant) -> Option<Instant> {
        let own = self.settings.item_timeout.and_then(|timeout| started.checked_add(timeout));
        self.settings.deadline.into_iter().chain(own).min()
    }

    fn is_after_deadline(&self, now: Option<Instant>) -> bool {
        self.settings.deadline.zip(now).is_some_and(|(deadline, now)| deadline <= now)
    }

    /// The deadline of such an item that passed first, if one has.
    pub(crate) fn overdue(&self, started: Option<Instant>, now: Option<Instant>) -> Option<Stop> {
        let (started, now) = (started?, now?);
        // A time beyond what the clock can tell is no deadline.
        let own = self.settings.item_timeout.and_then(|timeout| started.checked_add(timeout));
        let own = own.map(|at| (at, Stop::ItemDeadline));
        let shared = self.settings.deadline.map(|at| (at, Stop::BatchDeadline));
        let (at, stop) = shared.into_iter().chain(own).min_by_key(|&(at, _)| at)?;
        (at <= now).then_some(stop)
    }
}

#[cfg(test)]
mod tests;
