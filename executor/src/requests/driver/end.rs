//! Decides whether an item gets another attempt, and gives items their outcomes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crate::outcome::{Failure, Panic, Stop, Unfinished};
use crate::primitive::{lock, now, whole_nanos};
use crate::requests::attempt::AttemptOutcome;
use crate::requests::dispatcher::{Entry, NoRetry, RetryWait};
use crate::requests::driver::{Driver, OutcomeOf};
use crate::requests::in_flight::{
    AttemptEnd, EndOf, Jobs, PendingEntry, PendingItem, discard_entry,
};
use crate::unwind::discard;

impl<J: Jobs> Driver<J> {
    /// Gives its outcome to an item that waited until its time was over.
    pub(super) fn end(&self, mut entry: PendingEntry<J>, now: Instant) {
        let stop = self.limits.policy.overdue(entry.started, Some(now));
        let failure = self.failure(&mut entry, stop, NoRetry::Time);
        self.finish_item(entry, Err(failure));
    }

    /// Keeps an item for its next attempt, or returns its outcome.
    pub(super) fn retry_or_end(
        &self,
        mut entry: PendingEntry<J>,
        end: EndOf<J>,
    ) -> Option<(PendingEntry<J>, OutcomeOf<J>)> {
        let (policy, now) = (&self.limits.policy, now());
        let overdue = policy.overdue(entry.started, Some(now));
        let outcome = match (end, overdue) {
            (AttemptEnd::Returned(AttemptOutcome::Done(value)), None) => Ok(value),
            (AttemptEnd::Returned(AttemptOutcome::Failed(error)), stop) => {
                if stop.is_some() {
                    policy.count_late();
                }
                Err(match stop.or_else(|| policy.reaction(entry.index)) {
                    Some(stop) => Failure::stopped(stop, entry.attempts, Some(error)),
                    None => Failure::Failed { error, attempts: entry.attempts },
                })
            }
            (AttemptEnd::Returned(AttemptOutcome::Retry { error, after }), stop) => {
                entry.note_error(error);
                return self.wait_or_fail(entry, now, |entry| self.own_wait(entry, after), stop);
            }
            (AttemptEnd::Returned(AttemptOutcome::Closed { error, .. }), stop) => {
                entry.note_error(error);
                return self.wait_or_fail(entry, now, |_| RetryWait::Closed, stop);
            }
            (end, Some(stop)) => {
                if let AttemptEnd::Returned(_) = end {
                    policy.count_late();
                }
                discard(end);
                Err(stopped(&mut entry, stop))
            }
            (AttemptEnd::Panicked(payload), None) => {
                Err(Failure::Panicked(Panic::new(payload).at_attempt(entry.attempts)))
            }
            (AttemptEnd::SpawnerPanicked(payload), None) => {
                Err(Failure::SpawnerPanicked(Panic::new(payload).at_attempt(entry.attempts)))
            }
            (AttemptEnd::Dropped, None) => Err(match policy.cancelled() {
                Some(stop) => stopped(&mut entry, stop),
                None => Failure::FutureDropped(unfinished(&mut entry, 0)),
            }),
        };
        Some((entry, outcome))
    }

    /// Keeps an item for its next attempt, or returns its outcome: its attempt has exceeded its
    /// time-out.
    pub(super) fn retry_timed_out(
        &self,
        mut entry: PendingEntry<J>,
    ) -> Option<(PendingEntry<J>, OutcomeOf<J>)> {
        let now = now();
        let stop = self.limits.policy.overdue(entry.started, Some(now));
        entry.timed_out = true;
        self.wait_or_fail(entry, now, |entry| self.own_wait(entry, None), stop)
    }

    /// Returns the wait of an item. The job may have stated one.
    fn own_wait(&self, entry: &mut PendingEntry<J>, stated: Option<Duration>) -> RetryWait {
        self.retry.wait_after(entry.counted(), stated, &mut entry.waits)
    }

    /// Keeps the error of an attempt beside which another one goes on.
    pub(super) fn keep_error(&self, index: u64, end: EndOf<J>) {
        match end {
            AttemptEnd::Returned(
                AttemptOutcome::Retry { error, .. } | AttemptOutcome::Closed { error, .. },
            ) => {
                let replaced = lock(&self.dispatcher).keep_error(index, error);
                discard(replaced);
            }
            other => discard(other),
        }
    }

    /// Gives an item its outcome, unless it has another attempt.
    pub(super) fn finish_or_keep(&self, over: Option<(PendingEntry<J>, OutcomeOf<J>)>) {
        if let Some((entry, outcome)) = over {
            self.finish_item(entry, outcome);
        }
    }

    /// Counts and drops the result of an attempt that does not count.
    pub(super) fn refuse(&self, end: EndOf<J>) {
        let is_result = match &end {
            AttemptEnd::Returned(outcome) => {
                matches!(outcome, AttemptOutcome::Done(_) | AttemptOutcome::Failed(_))
            }
            AttemptEnd::Panicked(_) => true,
            AttemptEnd::SpawnerPanicked(_) | AttemptEnd::Dropped => false,
        };
        if is_result {
            self.limits.policy.count_late();
        }
        discard(end);
    }

    /// Keeps an item for its next attempt, or returns it with its failure. `wait` tells the wait of
    /// the item, and may run code of the user.
    fn wait_or_fail(
        &self,
        mut entry: PendingEntry<J>,
        now: Instant,
        wait: impl FnOnce(&mut PendingEntry<J>) -> RetryWait,
        stop: Option<Stop>,
    ) -> Option<(PendingEntry<J>, OutcomeOf<J>)> {
        let mut why = NoRetry::Time;
        if stop.is_none() {
            match catch_unwind(AssertUnwindSafe(|| wait(&mut entry))) {
                Ok(wait) => {
                    let left = lock(&self.dispatcher).retry_later(now, entry, wait);
                    (entry, why) = left?;
                }
                Err(payload) => {
                    let panic = Panic::new(payload).at_attempt(entry.attempts);
                    return Some((entry, Err(Failure::Panicked(panic))));
                }
            }
        }
        // If the batch has ended meanwhile, the item ends as the waiting items did.
        let policy = &self.limits.policy;
        let stop = stop.or_else(|| policy.cancelled()).or_else(|| policy.closing());
        let failure = self.failure(&mut entry, stop, why);
        Some((entry, Err(failure)))
    }

    /// Returns the failure of an item that has no further attempt, because of `stop` or `why`.
    fn failure(
        &self,
        entry: &mut PendingEntry<J>,
        stop: Option<Stop>,
        why: NoRetry,
    ) -> Failure<J::Error> {
        if let Some(stop) = stop {
            return stopped(entry, stop);
        }
        match why {
            NoRetry::Exhausted => Failure::RetriesExhausted(unfinished(entry, 0)),
            NoRetry::Budget => Failure::RetryBudgetSpent(unfinished(entry, 0)),
            NoRetry::Time => {
                let closed = self.limiter.closed_in_all().saturating_sub(entry.closed_before);
                let within = self.retry.within.saturating_add(closed);
                Failure::RetryDeadline(unfinished(entry, whole_nanos(within)))
            }
        }
    }

    /// Gives its failure to an item that was waiting when its limits ended it.
    pub(super) fn complete_stopped(&self, mut entry: PendingEntry<J>, stop: Stop) {
        let failure = stopped(&mut entry, stop);
        self.output.complete_one(entry.payload.ticket, Err(failure));
        discard_entry(entry);
    }

    pub(super) fn finish_item(&self, entry: PendingEntry<J>, outcome: OutcomeOf<J>) {
        if let Some(log) = &self.limits.timing_log {
            log.note(entry.index, entry.started, Some(now()));
        }
        self.limits.note_attempts(entry.index, entry.attempts);
        let has_opened = self.output.complete_one(entry.payload.ticket, outcome);
        lock(&self.dispatcher).finish(entry.index);
        if has_opened {
            self.start_opened();
        }
        discard_entry(entry);
    }
}

/// Returns the attempts and the last error of an item.
fn unfinished<T, E>(entry: &mut Entry<PendingItem<T>, E>, detail: u64) -> Unfinished<E> {
    Unfinished::new(entry.attempts, detail, entry.error.take()).timed_out(entry.timed_out)
}

/// Returns the failure of an item that its limits ended.
fn stopped<T, E>(entry: &mut Entry<PendingItem<T>, E>, stop: Stop) -> Failure<E> {
    Failure::ended(stop, unfinished(entry, 0))
}
