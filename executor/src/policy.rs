//! What becomes of a batch's items when something goes wrong: a state machine over what happens and when.
//!
//! | what happens | to an item that has not started | to one that runs |
//! |---|---|---|
//! | an item fails, and the batch fails fast | cancelled | its result counts |
//! | the token is cancelled | cancelled | its result counts |
//! | the batch's deadline | it is not started | a result that comes later is refused |
//! | its own time is over | | the same |
//!
//! Where two deadlines have passed, the earlier one is the reason. Nothing here looks at a clock: who calls
//! says what time it is, if there is any limit of time.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use crate::primitive::{AtomicBool, AtomicUsize};
use crate::token::CancellationToken;

/// Why an item has no result, whatever its job did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    Cancelled,
    BatchDeadline,
    ItemDeadline,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Limits {
    pub(crate) fails_fast: bool,
    pub(crate) deadline: Option<Instant>,
    pub(crate) item_timeout: Option<Duration>,
    pub(crate) token: Option<CancellationToken>,
}

/// One batch on its way.
pub(crate) struct Course {
    limits: Limits,
    has_failed: AtomicBool,
    late: AtomicUsize,
}

impl Course {
    pub(crate) fn new(limits: Limits) -> Course {
        Course { limits, has_failed: AtomicBool::new(false), late: AtomicUsize::new(0) }
    }

    /// Whether the time has to be told at all.
    pub(crate) fn is_timed(&self) -> bool {
        self.limits.deadline.is_some() || self.limits.item_timeout.is_some()
    }

    /// Whether an item may start now.
    pub(crate) fn start(&self, now: Option<Instant>) -> Result<(), Stop> {
        if self.is_cancelled() {
            return Err(Stop::Cancelled);
        }
        match (self.limits.deadline, now) {
            (Some(deadline), Some(now)) if deadline <= now => Err(Stop::BatchDeadline),
            _ => Ok(()),
        }
    }

    /// Whether an item that started then should stop by now.
    pub(crate) fn should_stop(&self, started: Option<Instant>, now: Option<Instant>) -> bool {
        self.is_cancelled() || self.overdue(started, now).is_some()
    }

    /// Whether the result of an item counts that started then and is done now.
    pub(crate) fn finish(
        &self,
        started: Option<Instant>,
        now: Option<Instant>,
        failed: bool,
    ) -> Result<(), Stop> {
        let overdue = self.overdue(started, now);
        let fails = match overdue {
            None => failed,
            Some(stop) => stop == Stop::ItemDeadline,
        };
        if fails {
            // ORDERING: policy:fail: Relaxed; a late answer is as if the failure came later.
            self.has_failed.store(true, Relaxed);
        }
        let Some(stop) = overdue else { return Ok(()) };
        // ORDERING: policy:late: Relaxed; a number, read when all is over.
        self.late.fetch_add(1, Relaxed);
        Err(stop)
    }

    /// How many results came too late.
    pub(crate) fn late(&self) -> usize {
        // ORDERING: policy:lates: Relaxed; as `policy:late`.
        self.late.load(Relaxed)
    }

    fn is_cancelled(&self) -> bool {
        let Limits { fails_fast, token, .. } = &self.limits;
        // ORDERING: policy:failed: Relaxed; as `policy:fail`.
        (*fails_fast && self.has_failed.load(Relaxed))
            || token.as_ref().is_some_and(CancellationToken::is_cancelled)
    }

    /// The deadline of such an item that passed first, if one has.
    fn overdue(&self, started: Option<Instant>, now: Option<Instant>) -> Option<Stop> {
        let (started, now) = (started?, now?);
        // A time beyond what the clock can tell is no deadline.
        let own = self.limits.item_timeout.and_then(|timeout| started.checked_add(timeout));
        let own = own.map(|at| (at, Stop::ItemDeadline));
        let shared = self.limits.deadline.map(|at| (at, Stop::BatchDeadline));
        let (at, stop) = shared.into_iter().chain(own).min_by_key(|&(at, _)| at)?;
        (at <= now).then_some(stop)
    }
}

#[cfg(test)]
mod tests;
