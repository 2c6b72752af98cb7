//! The items that run, and those of their attempts that count.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use arrayvec::ArrayVec;

use crate::dispatcher::action::{AttemptId, Attempts, Verdict};
use crate::dispatcher::item::Entry;

pub(super) struct RunningItems<P, E> {
    items: BTreeMap<u64, Running<P, E>>,
    /// The attempts that have a time-out, by its instant.
    timeouts: BTreeSet<(Instant, AttemptId)>,
    /// The hedges whose results were used, and the others that have ended or count no more.
    pub(super) won: u64,
    pub(super) wasted: u64,
}

struct Running<P, E> {
    entry: Entry<P, E>,
    attempts: ArrayVec<Attempt, 2>,
    /// When the first of the two attempts started.
    started: Instant,
    was_hedged: bool,
}

struct Attempt {
    id: AttemptId,
    timeout: Option<Instant>,
    is_hedge: bool,
}

/// An item that does not run any more.
pub(super) struct Taken<P, E> {
    pub(super) entry: Entry<P, E>,
    pub(super) started: Instant,
    /// The attempts that do not count any more.
    pub(super) others: Attempts,
}

impl<P, E> RunningItems<P, E> {
    pub(super) fn new() -> Self {
        RunningItems { items: BTreeMap::new(), timeouts: BTreeSet::new(), won: 0, wasted: 0 }
    }

    /// Adds an item, with its next attempt.
    pub(super) fn insert(
        &mut self,
        mut entry: Entry<P, E>,
        now: Instant,
        timeout: Option<Instant>,
    ) -> AttemptId {
        entry.attempts += 1;
        entry.timed_out = false;
        let id = AttemptId { index: entry.index, number: entry.attempts };
        self.timeouts.extend(timeout.map(|at| (at, id)));
        let attempts = [Attempt { id, timeout, is_hedge: false }].into_iter().collect();
        let running = Running { entry, attempts, started: now, was_hedged: false };
        self.items.insert(id.index, running);
        id
    }

    /// Adds the hedge of an attempt.
    pub(super) fn hedge(
        &mut self,
        index: u64,
        timeout: Option<Instant>,
    ) -> Option<(AttemptId, &Entry<P, E>)> {
        let running = self.items.get_mut(&index)?;
        running.was_hedged = true;
        running.entry.attempts += 1;
        running.entry.hedges += 1;
        let id = AttemptId { index, number: running.entry.attempts };
        running.attempts.push(Attempt { id, timeout, is_hedge: true });
        self.timeouts.extend(timeout.map(|at| (at, id)));
        Some((id, &running.entry))
    }

    /// Returns the first item, and when its attempt started, if the attempt may get a hedge.
    pub(super) fn first_without_hedge(&self) -> Option<(&Entry<P, E>, Instant)> {
        let (_, running) = self.items.first_key_value()?;
        (!running.was_hedged).then_some((&running.entry, running.started))
    }

    fn attempt(&self, id: AttemptId) -> Option<&Attempt> {
        self.items.get(&id.index)?.attempts.iter().find(|attempt| attempt.id == id)
    }

    /// Returns `true` if the result of this attempt counts.
    pub(super) fn counts(&self, id: AttemptId) -> bool {
        self.attempt(id).is_some()
    }

    /// Returns `true` if the attempt counts, and has exceeded its time-out.
    pub(super) fn is_overdue(&self, id: AttemptId, now: Instant) -> bool {
        self.attempt(id).and_then(|attempt| attempt.timeout).is_some_and(|at| at <= now)
    }

    /// Returns the attempt that exceeds its time-out first, and the instant.
    pub(super) fn first_timeout(&self) -> Option<(Instant, AttemptId)> {
        self.timeouts.first().copied()
    }

    /// Returns the entry of an item.
    pub(super) fn entry(&mut self, index: u64) -> Option<&mut Entry<P, E>> {
        Some(&mut self.items.get_mut(&index)?.entry)
    }

    /// Removes an attempt that counts. Also removes its item, if the attempt decides about it, or
    /// is its last one.
    pub(super) fn end(&mut self, id: AttemptId, verdict: Verdict) -> Option<Taken<P, E>> {
        let running = self.items.get_mut(&id.index)?;
        let place = running.attempts.iter().position(|attempt| attempt.id == id)?;
        let Attempt { timeout, is_hedge, .. } = running.attempts.swap_remove(place);
        if let Some(at) = timeout {
            self.timeouts.remove(&(at, id));
        }
        let decides = verdict != Verdict::Open;
        if is_hedge {
            *if decides { &mut self.won } else { &mut self.wasted } += 1;
        }
        let is_over = decides || running.attempts.is_empty();
        is_over.then(|| self.take(id.index)).flatten()
    }

    /// Removes an item. Its attempts do not count any more.
    pub(super) fn take(&mut self, index: u64) -> Option<Taken<P, E>> {
        let Running { entry, attempts, started, .. } = self.items.remove(&index)?;
        for Attempt { id, timeout, is_hedge } in &attempts {
            if let Some(at) = *timeout {
                self.timeouts.remove(&(at, *id));
            }
            self.wasted += u64::from(*is_hedge);
        }
        let others = attempts.iter().map(|attempt| attempt.id).collect();
        Some(Taken { entry, started, others })
    }
}
