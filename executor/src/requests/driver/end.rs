//! Decides whether an item gets another attempt, and gives items their outcomes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

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
                let wait = |entry: &mut PendingEntry<J>| {
                    self.retry.wait_after(entry.counted(), after, &mut entry.waits)
                };
                return self.wait_or_fail(entry, now, error, wait, stop);
            }
            (AttemptEnd::Returned(AttemptOutcome::Closed { error, after }), stop) => {
                return self.wait_or_fail(entry, now, error, |_| RetryWait::Closed(after), stop);
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
                None => {
                    let error = entry.error.take();
                    Failure::FutureDropped(Unfinished::new(entry.attempts, 0, error))
                }
            }),
        };
        Some((entry, outcome))
    }

    /// Keeps an item for its next attempt, or returns it with its failure. `wait` tells the wait of
    /// the item, and may run code of the user.
    fn wait_or_fail(
        &self,
        mut entry: PendingEntry<J>,
        now: Instant,
        error: J::Error,
        wait: impl FnOnce(&mut PendingEntry<J>) -> RetryWait,
        stop: Option<Stop>,
    ) -> Option<(PendingEntry<J>, OutcomeOf<J>)> {
        discard(entry.error.replace(error));
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
        let mut unfinished = |detail| Unfinished::new(entry.attempts, detail, entry.error.take());
        match why {
            NoRetry::Exhausted => Failure::RetriesExhausted(unfinished(0)),
            NoRetry::Budget => Failure::RetryBudgetSpent(unfinished(0)),
            NoRetry::Time => {
                let within = self.retry.within.saturating_add(entry.closed);
                Failure::RetryDeadline(unfinished(whole_nanos(within)))
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
        self.output.complete_one(entry.payload.ticket, outcome);
        lock(&self.dispatcher).finish(entry.index);
        discard_entry(entry);
    }
}

/// Returns the failure of an item that its limits ended.
fn stopped<T, E>(entry: &mut Entry<PendingItem<T>, E>, stop: Stop) -> Failure<E> {
    Failure::stopped(stop, entry.attempts, entry.error.take())
}
