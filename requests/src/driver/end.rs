//! Decides whether an item gets another attempt, and gives items their outcomes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crate::attempt::AttemptOutcome;
use crate::dispatcher::{Entry, NoRetry};
use crate::driver::Driver;
use crate::driver::in_flight::{AttemptEnd, EndOf, Jobs, PendingEntry, PendingItem, discard_entry};
use crate::primitive::lock;
use crate::retry::RetryWait;
use reorder_executor::dispatch::{Call, Stop, discard, now};
use reorder_executor::{Failure, Outcome, Panic, Unfinished};

type OutcomeOf<J> = Outcome<<J as Jobs>::Value, <J as Jobs>::Error>;

impl<J: Jobs> Driver<J> {
    /// Gives its outcome to an item that waited until its time was over.
    pub(super) fn end(&self, call: &Call<Self>, mut entry: PendingEntry<J>, now: Instant) {
        let stop = call.overdue(entry.started, now);
        let failure = self.failure(&mut entry, stop, NoRetry::Time);
        self.finish_item(call, entry, Err(failure));
    }

    /// Keeps an item for its next attempt, or returns its outcome.
    pub(super) fn retry_or_end(
        &self,
        call: &Call<Self>,
        mut entry: PendingEntry<J>,
        end: EndOf<J>,
    ) -> Option<(PendingEntry<J>, OutcomeOf<J>)> {
        let now = now();
        let overdue = call.overdue(entry.started, now);
        let outcome = match (end, overdue) {
            (AttemptEnd::Returned(AttemptOutcome::Done(value)), None) => Ok(value),
            (AttemptEnd::Returned(AttemptOutcome::Failed(error)), stop) => {
                if stop.is_some() {
                    call.count_late();
                }
                Err(match stop.or_else(|| call.reaction(entry.index)) {
                    Some(stop) => {
                        Failure::ended(stop, Unfinished::new(entry.attempts, Some(error)))
                    }
                    None => Failure::failed(error, entry.attempts),
                })
            }
            (AttemptEnd::Returned(AttemptOutcome::Retry { error, after }), stop) => {
                entry.note_error(error);
                return self.wait_or_fail(
                    call,
                    entry,
                    now,
                    |entry| self.own_wait(entry, after),
                    stop,
                );
            }
            (AttemptEnd::Returned(AttemptOutcome::Closed { error, .. }), stop) => {
                entry.note_error(error);
                return self.wait_or_fail(call, entry, now, |_| RetryWait::Closed, stop);
            }
            (end, Some(stop)) => {
                if let AttemptEnd::Returned(_) = end {
                    call.count_late();
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
            (AttemptEnd::Dropped, None) => Err(match call.cancelled() {
                Some(stop) => stopped(&mut entry, stop),
                None => Failure::FutureDropped(unfinished(&mut entry)),
            }),
        };
        Some((entry, outcome))
    }

    /// Keeps an item for its next attempt, or returns its outcome: its attempt has exceeded its
    /// time-out.
    pub(super) fn retry_timed_out(
        &self,
        call: &Call<Self>,
        mut entry: PendingEntry<J>,
    ) -> Option<(PendingEntry<J>, OutcomeOf<J>)> {
        let now = now();
        let stop = call.overdue(entry.started, now);
        entry.timed_out = true;
        self.wait_or_fail(call, entry, now, |entry| self.own_wait(entry, None), stop)
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
    pub(super) fn finish_or_keep(
        &self,
        call: &Call<Self>,
        over: Option<(PendingEntry<J>, OutcomeOf<J>)>,
    ) {
        if let Some((entry, outcome)) = over {
            self.finish_item(call, entry, outcome);
        }
    }

    /// Keeps an item for its next attempt, or returns it with its failure. `wait` tells the wait of
    /// the item, and may run code of the user.
    fn wait_or_fail(
        &self,
        call: &Call<Self>,
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
        let stop = stop.or_else(|| call.cancelled()).or_else(|| call.closing());
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
            NoRetry::Exhausted => Failure::RetriesExhausted(unfinished(entry)),
            NoRetry::Budget => Failure::RetryBudgetSpent(unfinished(entry)),
            NoRetry::Time => {
                let closed = self.limiter.closed_in_all().saturating_sub(entry.closed_before);
                let within = self.retry.within.saturating_add(closed);
                Failure::RetryDeadline(unfinished(entry).within(within))
            }
        }
    }

    fn finish_item(&self, call: &Call<Self>, entry: PendingEntry<J>, outcome: OutcomeOf<J>) {
        let ticket = entry.payload.ticket;
        call.note_end(ticket, entry.started, entry.attempts);
        call.complete(ticket, outcome);
        lock(&self.dispatcher).finish(entry.index);
        discard_entry(entry);
    }
}

/// Counts and drops the result of an attempt that does not count.
pub(super) fn refuse<J: Jobs>(call: &Call<Driver<J>>, end: EndOf<J>) {
    let is_result = match &end {
        AttemptEnd::Returned(outcome) => {
            matches!(outcome, AttemptOutcome::Done(_) | AttemptOutcome::Failed(_))
        }
        AttemptEnd::Panicked(_) => true,
        AttemptEnd::SpawnerPanicked(_) | AttemptEnd::Dropped => false,
    };
    if is_result {
        call.count_late();
    }
    discard(end);
}

/// Gives its failure to an item that was waiting when its limits ended it.
pub(super) fn complete_stopped<J: Jobs>(
    call: &Call<Driver<J>>,
    mut entry: PendingEntry<J>,
    stop: Stop,
) {
    let failure = stopped(&mut entry, stop);
    call.complete(entry.payload.ticket, Err(failure));
    discard_entry(entry);
}

/// Returns the attempts and the last error of an item.
fn unfinished<T, E>(entry: &mut Entry<PendingItem<T>, E>) -> Unfinished<E> {
    Unfinished::new(entry.attempts, entry.error.take()).timed_out(entry.timed_out)
}

/// Returns the failure of an item that its limits ended.
fn stopped<T, E>(entry: &mut Entry<PendingItem<T>, E>, stop: Stop) -> Failure<E> {
    Failure::ended(stop, unfinished(entry))
}
