//! The state machine of the limits of a call: what an event means for an item.
//!
//! | event | an item that has not started | a running item |
//! |---|---|---|
//! | an item fails, and the call fails fast | cancelled | its result counts if its caller waits for it |
//! | an item fails, and the call fails in order | cancelled if it is behind that item | its result counts |
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
use crate::outcome::Stop;
use crate::primitive::{AtomicBool, AtomicU64, AtomicUsize};
use crate::scheduler::ConcurrencyLimit;

/// The index that stands for "no item has failed".
const NONE: u64 = u64::MAX;

#[derive(Clone, Debug, Default)]
pub(crate) struct Limits {
    pub(crate) fails_fast: bool,
    /// `true` if a failed item cancels the items behind it. So the first failure in the order of
    /// the items does not depend on which item fails first. Only for a call whose caller waits for
    /// all running items.
    pub(crate) fails_in_order: bool,
    pub(crate) deadline: Option<Instant>,
    /// The time from the setting of the deadline to the deadline.
    pub(crate) within: Duration,
    pub(crate) item_timeout: Option<Duration>,
    /// The tokens of the caller.
    pub(crate) tokens: Vec<CancellationToken>,
    /// The token of the executor, cancelled by a shutdown.
    pub(crate) shutdown: Option<CancellationToken>,
    /// The token of the executor, cancelled by a shutdown that lets running items finish.
    pub(crate) closing: Option<CancellationToken>,
    /// `true` if the call reports when its items ran.
    pub(crate) timed: bool,
    /// `true` if items may have several attempts.
    pub(crate) counts_attempts: bool,
    /// The limit of the threads that run items at the same time.
    pub(crate) concurrency: Option<ConcurrencyLimit>,
    /// The limit of the total weight of the items, if they have weights.
    pub(crate) weight: Option<u64>,
    /// The window of each key, if the outcomes are in order by key alone.
    pub(crate) key_window: Option<usize>,
}

impl Limits {
    /// Returns the tokens that cancel the call.
    pub(crate) fn all_tokens(&self) -> impl Iterator<Item = &CancellationToken> {
        self.tokens.iter().chain(&self.shutdown).chain(&self.closing)
    }
}

/// The state of one call.
pub(crate) struct LimitPolicy {
    pub(crate) settings: Limits,
    /// The index of the item that failed first, or [`NONE`]. If the call fails in order, the lowest
    /// index of an item that failed.
    failed: AtomicU64,
    /// `true` once no caller can receive a result.
    unwanted: AtomicBool,
    late: AtomicUsize,
}

impl LimitPolicy {
    pub(crate) fn new(settings: Limits) -> LimitPolicy {
        LimitPolicy {
            settings,
            failed: AtomicU64::new(NONE),
            unwanted: AtomicBool::new(false),
            late: AtomicUsize::new(0),
        }
    }

    /// Returns `true` if the methods need to know the time.
    pub(crate) fn is_timed(&self) -> bool {
        self.settings.deadline.is_some()
            || self.settings.item_timeout.is_some()
            || self.settings.timed
    }

    /// Returns `Ok` if an item may start now.
    pub(crate) fn start(&self, now: Option<Instant>) -> Result<(), Stop> {
        self.go_on(now)?;
        self.closing().map_or(Ok(()), Err)
    }

    /// Returns `Ok` if the item at `index` may start now.
    pub(crate) fn start_item(&self, index: u64, now: Option<Instant>) -> Result<(), Stop> {
        self.start(now)?;
        self.is_wanted(index)
    }

    /// Returns `Ok` unless an item before `index` has failed, and items fail in order.
    fn is_wanted(&self, index: u64) -> Result<(), Stop> {
        let failed = self.failed().filter(|&failed| self.settings.fails_in_order && failed < index);
        failed.map_or(Ok(()), |failed| Err(Stop::Cancelled { cause: Some(failed) }))
    }

    /// Returns why no item starts, although running items go on.
    pub(crate) fn closing(&self) -> Option<Stop> {
        let closing = self.settings.closing.as_ref();
        closing.is_some_and(CancellationToken::is_cancelled).then_some(Stop::ShutDown)
    }

    /// Returns `Ok` if the call has not ended: running items go on.
    pub(crate) fn go_on(&self, now: Option<Instant>) -> Result<(), Stop> {
        let passed = || self.settings.deadline.zip(now).filter(|(deadline, now)| deadline <= now);
        let deadline = || passed().map(|_| Stop::BatchDeadline(self.settings.within));
        let stop = self.cancelled().or_else(deadline);
        stop.map_or(Ok(()), Err)
    }

    /// Returns `true` if the item at `index`, which started at `started`, should stop. A job that
    /// waits for the call may be a further reason.
    pub(crate) fn should_stop(
        &self,
        index: u64,
        started: Option<Instant>,
        now: Option<Instant>,
    ) -> bool {
        // ORDERING: policy:unwanted: Relaxed; a job that sees it late runs for longer.
        self.unwanted.load(Relaxed)
            || self.go_on(now).and_then(|()| self.is_wanted(index)).is_err()
            || self.overdue(started, now).is_some()
    }

    /// Notes that no caller can receive a result any more.
    pub(crate) fn let_go(&self) {
        // ORDERING: policy:let_go: Relaxed; as `policy:unwanted`.
        self.unwanted.store(true, Relaxed);
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

    /// Notes that the item at `index` has failed. Called when its outcome is in its place, and the
    /// consumer can no longer give up on it.
    pub(crate) fn fail(&self, index: u64) {
        let comes_first = |failed| failed == NONE || self.settings.fails_in_order && index < failed;
        // ORDERING: policy:fail: Relaxed; a late answer is as if the failure came later.
        _ = self.failed.fetch_update(Relaxed, Relaxed, |it| comes_first(it).then_some(index));
    }

    fn failed(&self) -> Option<u64> {
        // ORDERING: policy:failed: Relaxed; as `policy:fail`.
        Some(self.failed.load(Relaxed)).filter(|&failed| failed != NONE)
    }

    /// Returns the index of the item whose failure ended the call, if the call fails fast.
    pub(crate) fn cause(&self) -> Option<u64> {
        self.failed().filter(|_| self.settings.fails_fast)
    }

    /// Returns why an error of the item at `index` is a reaction to the end of the call, if another
    /// item failed before.
    pub(crate) fn reaction(&self, index: u64) -> Option<Stop> {
        let cause = self.cause().filter(|&cause| cause != index)?;
        Some(Stop::Cancelled { cause: Some(cause) })
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
            None => self.go_on(now).map(|()| self.deadline(started.or(now))),
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
        let cause = self.cause();
        if cause.is_some() || self.settings.tokens.iter().any(CancellationToken::is_cancelled) {
            Some(Stop::Cancelled { cause })
        } else {
            let shutdown = self.settings.shutdown.as_ref();
            shutdown.is_some_and(CancellationToken::is_cancelled).then_some(Stop::ShutDown)
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
        let own = self.settings.item_timeout.and_then(|timeout| {
            started.checked_add(timeout).map(|at| (at, Stop::ItemDeadline(timeout)))
        });
        let within = self.settings.within;
        let shared = self.settings.deadline.map(|at| (at, Stop::BatchDeadline(within)));
        let (at, stop) = shared.into_iter().chain(own).min_by_key(|&(at, _)| at)?;
        (at <= now).then_some(stop)
    }
}

#[cfg(test)]
mod tests;
