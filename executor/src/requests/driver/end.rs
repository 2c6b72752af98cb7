//! Decides whether an item gets another attempt, and gives items their outcomes.

use std::time::Instant;

use crate::outcome::{Failure, Panic, Stop, Unfinished};
use crate::primitive::{lock, now, whole_nanos};
use crate::requests::attempt::AttemptOutcome;
use crate::requests::dispatcher::RetryWait;
use crate::requests::driver::{Driver, OutcomeOf};
use crate::requests::in_flight::{AttemptEnd, EndOf, Jobs, PendingEntry, discard_entry};
use crate::unwind::discard;

impl<J: Jobs> Driver<J> {
    /// Gives its outcome to an item that waited until its time was over.
    pub(super) fn end(&self, mut entry: PendingEntry<J>, now: Instant) {
        let stop = self.limits.policy.overdue(entry.started, Some(now));
        let failure = self.failure(&mut entry, stop);
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
                return self.wait_or_fail(entry, now, (error, RetryWait::Own(after)), stop);
            }
            (AttemptEnd::Returned(AttemptOutcome::Closed { error, after }), stop) => {
                return self.wait_or_fail(entry, now, (error, RetryWait::Closed(after)), stop);
            }
            (end, Some(stop)) => {
                if let AttemptEnd::Returned(_) = end {
                    policy.count_late();
                }
                discard(end);
                Err(self.failure(&mut entry, Some(stop)))
            }
            (AttemptEnd::Panicked(payload), None) => {
                Err(Failure::Panicked(Panic::new(payload).at_attempt(entry.attempts)))
            }
            (AttemptEnd::SpawnerPanicked(payload), None) => {
                Err(Failure::SpawnerPanicked(Panic::new(payload).at_attempt(entry.attempts)))
            }
            (AttemptEnd::Dropped, None) => Err(match policy.cancelled() {
                Some(stop) => self.failure(&mut entry, Some(stop)),
                None => {
                    let error = entry.error.take();
                    Failure::FutureDropped(Unfinished::new(entry.attempts, 0, error))
                }
            }),
        };
        Some((entry, outcome))
    }

    /// Keeps an item for its next attempt, or returns it with its failure.
    pub(super) fn wait_or_fail(
        &self,
        mut entry: PendingEntry<J>,
        now: Instant,
        (error, wait): (J::Error, RetryWait),
        stop: Option<Stop>,
    ) -> Option<(PendingEntry<J>, OutcomeOf<J>)> {
        discard(entry.error.replace(error));
        if stop.is_none() {
            entry = lock(&self.dispatcher).retry_later(now, entry, wait)?;
        }
        // If the batch has ended meanwhile, the item ends as the waiting items did.
        let policy = &self.limits.policy;
        let stop = stop.or_else(|| policy.cancelled()).or_else(|| policy.closing());
        let failure = self.failure(&mut entry, stop);
        Some((entry, Err(failure)))
    }

    /// Returns the failure of an item that has no further attempt, because of `stop` or of its
    /// budget.
    pub(super) fn failure(
        &self,
        entry: &mut PendingEntry<J>,
        stop: Option<Stop>,
    ) -> Failure<J::Error> {
        let (attempts, error) = (entry.attempts, entry.error.take());
        match stop {
            Some(stop) => Failure::stopped(stop, attempts, error),
            None if self.retry.wait_after(entry.counted()).is_none() => {
                Failure::RetriesExhausted(Unfinished::new(attempts, 0, error))
            }
            None => {
                let within = whole_nanos(self.retry.within.saturating_add(entry.closed));
                Failure::RetryDeadline(Unfinished::new(attempts, within, error))
            }
        }
    }

    /// Gives its failure to an item that was waiting when its limits ended it.
    pub(super) fn complete_stopped(&self, mut entry: PendingEntry<J>, stop: Stop) {
        let failure = self.failure(&mut entry, Some(stop));
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
