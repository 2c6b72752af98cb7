//! Which item of a batch is dispatched next, and when: a state machine over what happens and when.
//!
//! An item is fresh in the source, *ready*, *running*, or *waiting* for its next attempt. One that waits keeps neither
//! a worker nor its permit of the concurrency.
//!
//! | from | to | when |
//! |---|---|---|
//! | fresh | ready | nothing else is ready, there is a permit, and there is room in the window |
//! | ready | running | there is a permit, and the limiter is open; the lowest index first |
//! | running | waiting | its job answered "again", and there is budget left for when it is due |
//! | running | over | its job gave any other answer, or the budget is used up |
//! | waiting | ready | it is due |
//! | waiting, ready again | over | its budget or its own deadline ends, or somebody gave up on it |
//!
//! Nothing here looks at a clock, waits, or runs code of the user's. What is fresh is asked for outside: the source
//! goes out, and comes back when it has been asked.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::time::{Duration, Instant};

use crate::observe::RequestStats;
use crate::requests::limiter::{Closed, Dispatch, RateLimiter};
use crate::requests::retry::Retry;

/// An item that was pulled and has no outcome.
#[derive(Debug)]
pub(crate) struct Entry<P, E> {
    pub(crate) index: u64,
    pub(crate) payload: P,
    /// How many attempts were dispatched.
    pub(crate) attempts: u32,
    /// When the first of them was.
    pub(crate) started: Option<Instant>,
    /// What the last one failed with.
    pub(crate) error: Option<E>,
}

struct Waiting<P, E> {
    entry: Entry<P, E>,
    due: Instant,
    /// From when on it is not dispatched any more.
    end: Option<Instant>,
}

enum Source<S> {
    Here(S),
    /// Somebody asks it.
    Out,
    Ended,
}

/// What is to be done next.
#[derive(Debug)]
pub(crate) enum Action<S, P, E> {
    /// Run an attempt.
    Start(Entry<P, E>, Dispatch),
    /// Give it its outcome: it has no time left.
    End(Entry<P, E>),
    /// Ask the source.
    Pull(S),
    /// Nothing, before the time that `Desk::look` tells, or something happens.
    Rest,
}

/// What would be next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    Start(u64),
    End(u64),
    Pull,
    Rest(Option<Instant>),
}

pub(crate) struct Dispatcher<S, P, E> {
    retry: Retry,
    item_timeout: Option<Duration>,
    concurrency: usize,
    /// How many items may be outstanding.
    window: u64,
    source: Source<S>,
    pulled: u64,
    finished: u64,
    running: usize,
    waiting: BTreeMap<u64, Waiting<P, E>>,
    /// Those of them that are not due.
    due: BTreeSet<(Instant, u64)>,
    /// The others, and those that have not run at all.
    ready: BTreeSet<u64>,
    ends: BTreeSet<(Instant, u64)>,
    is_closed: bool,
    /// Since when the limiter is closed to something that could be dispatched.
    blocked_since: Option<(Instant, Closed)>,
    stats: RequestStats,
}

impl<S, P, E> Dispatcher<S, P, E> {
    pub(crate) fn new(
        source: S,
        retry: Retry,
        item_timeout: Option<Duration>,
        concurrency: usize,
        window: u64,
    ) -> Self {
        Dispatcher {
            retry,
            item_timeout,
            concurrency,
            window,
            source: Source::Here(source),
            pulled: 0,
            finished: 0,
            running: 0,
            waiting: BTreeMap::new(),
            due: BTreeSet::new(),
            ready: BTreeSet::new(),
            ends: BTreeSet::new(),
            is_closed: false,
            blocked_since: None,
            stats: RequestStats::default(),
        }
    }

    /// What would be next, after so many items were delivered.
    pub(crate) fn decide(
        &mut self,
        now: Instant,
        limiter: &RateLimiter,
        delivered: u64,
    ) -> Decision {
        let (decide, closed) = self.choose(now, limiter, delivered);
        self.stats = self.stats_at(now);
        self.blocked_since = closed.map(|closed| (now, closed));
        decide
    }

    /// Does what is next, as far as it can be done here.
    pub(crate) fn take_action(
        &mut self,
        now: Instant,
        limiter: &RateLimiter,
        delivered: u64,
    ) -> Action<S, P, E> {
        match self.decide(now, limiter, delivered) {
            Decision::End(index) => self.take(index).map_or(Action::Rest, |entry| {
                self.running += 1;
                Action::End(entry)
            }),
            Decision::Start(index) => self.start(index, now, limiter),
            Decision::Pull => match mem::replace(&mut self.source, Source::Out) {
                Source::Here(source) => Action::Pull(source),
                other => {
                    self.source = other;
                    Action::Rest
                }
            },
            Decision::Rest(_) => Action::Rest,
        }
    }

    /// Also how long the limiter is closed, if that alone is in the way.
    fn choose(
        &mut self,
        now: Instant,
        limiter: &RateLimiter,
        delivered: u64,
    ) -> (Decision, Option<Closed>) {
        while let Some(&(_, index)) = self.due.first().filter(|&&(due, _)| due <= now) {
            self.due.pop_first();
            self.ready.insert(index);
        }
        let end = self.ends.first().copied();
        if let Some((_, index)) = end.filter(|&(end, _)| end <= now) {
            return (Decision::End(index), None);
        }
        let end = end.map(|(end, _)| end);
        if self.running >= self.concurrency || self.is_closed {
            return (Decision::Rest(end), None);
        }
        let Some(&ready) = self.ready.first() else {
            let has_room = self.pulled.saturating_sub(delivered) < self.window;
            if has_room && matches!(self.source, Source::Here(_)) {
                return (Decision::Pull, None);
            }
            let due = self.due.first().map(|&(due, _)| due);
            return (Decision::Rest(due.into_iter().chain(end).min()), None);
        };
        match limiter.check(now) {
            Ok(()) => (Decision::Start(ready), None),
            Err(closed) => {
                let at = end.map_or(closed.open, |end| end.min(closed.open));
                (Decision::Rest(Some(at)), Some(closed))
            }
        }
    }

    fn start(&mut self, index: u64, now: Instant, limiter: &RateLimiter) -> Action<S, P, E> {
        // Another batch may have been let through meanwhile.
        let dispatch = match limiter.dispatch(now) {
            Ok(dispatch) => dispatch,
            Err(closed) => {
                self.blocked_since = Some((now, closed));
                return Action::Rest;
            }
        };
        let Some(mut entry) = self.take(index) else { return Action::Rest };
        self.running += 1;
        self.stats.attempts += 1;
        entry.attempts += 1;
        entry.started.get_or_insert(now);
        Action::Start(entry, dispatch)
    }

    /// Takes one out that does not run.
    fn take(&mut self, index: u64) -> Option<Entry<P, E>> {
        let Waiting { entry, due, end } = self.waiting.remove(&index)?;
        self.ready.remove(&index);
        self.due.remove(&(due, index));
        if let Some(end) = end {
            self.ends.remove(&(end, index));
        }
        Some(entry)
    }

    /// Takes in what the source gave, unless there is nobody to give it to any more.
    pub(crate) fn pulled(&mut self, payload: P, now: Instant) -> Result<(), P> {
        if self.is_closed {
            return Err(payload);
        }
        let index = self.pulled;
        self.pulled += 1;
        let entry = Entry { index, payload, attempts: 0, started: None, error: None };
        self.waiting.insert(index, Waiting { entry, due: now, end: None });
        self.ready.insert(index);
        Ok(())
    }

    /// Counts one that has its outcome from the source.
    pub(crate) fn pulled_finished(&mut self) {
        self.pulled += 1;
        self.finished += 1;
    }

    /// Takes the source back, unless nobody will ask it any more.
    pub(crate) fn give_back(&mut self, source: S) -> Option<S> {
        if self.is_closed {
            self.source = Source::Ended;
            return Some(source);
        }
        self.source = Source::Here(source);
        None
    }

    pub(crate) fn source_ended(&mut self) {
        self.source = Source::Ended;
    }

    /// Keeps one that ran for its next attempt. It comes back if there is to be none.
    pub(crate) fn retry_later(
        &mut self,
        now: Instant,
        entry: Entry<P, E>,
        after: Option<Duration>,
    ) -> Option<Entry<P, E>> {
        let budget = entry.started.and_then(|start| start.checked_add(self.retry.budget()));
        let wait = self.retry.wait_after(entry.attempts).map(|wait| after.unwrap_or(wait));
        let due = wait.and_then(|wait| now.checked_add(wait));
        let Some(due) = due.filter(|&due| budget.is_none_or(|end| due < end) && !self.is_closed)
        else {
            return Some(entry);
        };
        let own = self.item_timeout.zip(entry.started);
        let own = own.and_then(|(timeout, start)| start.checked_add(timeout));
        let end = budget.into_iter().chain(own).min();
        self.running -= 1;
        self.due.insert((due, entry.index));
        self.ends.extend(end.map(|end| (end, entry.index)));
        self.waiting.insert(entry.index, Waiting { entry, due, end });
        None
    }

    /// Counts one that ran, or was to end, and has its outcome.
    pub(crate) fn finish(&mut self) {
        self.running -= 1;
        self.finished += 1;
    }

    /// Takes one out that somebody gave up on, unless it is running.
    pub(crate) fn skip(&mut self, index: u64) -> Option<Entry<P, E>> {
        let entry = self.take(index)?;
        self.finished += 1;
        Some(entry)
    }

    /// Notes an answer, and the delay of the limiter after it.
    pub(crate) fn record(&mut self, had_capacity: bool, delay: Duration) {
        self.stats.capacity_retries += u64::from(!had_capacity);
        self.stats.peak_delay = self.stats.peak_delay.max(delay);
    }

    /// Starts nothing any more, and gives out all that does not run.
    pub(crate) fn close(&mut self, now: Instant) -> (Option<S>, Vec<Entry<P, E>>) {
        self.is_closed = true;
        self.stats = self.stats_at(now);
        self.blocked_since = None;
        self.due.clear();
        self.ready.clear();
        self.ends.clear();
        let waiting = mem::take(&mut self.waiting);
        let source = match mem::replace(&mut self.source, Source::Ended) {
            Source::Here(source) => Some(source),
            other => {
                self.source = other;
                None
            }
        };
        (source, waiting.into_values().map(|waiting| waiting.entry).collect())
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed
    }

    pub(crate) fn is_running(&self) -> bool {
        self.running > 0
    }

    /// Whether all have their outcomes, and there will be no more.
    pub(crate) fn is_done(&self) -> bool {
        matches!(self.source, Source::Ended) && self.running == 0 && self.waiting.is_empty()
    }

    /// How many were pulled, and how many have their outcomes.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.pulled, self.finished)
    }

    /// With the wait that is under way.
    fn stats_at(&self, now: Instant) -> RequestStats {
        let mut stats = self.stats;
        if let Some((since, closed)) = self.blocked_since {
            stats.waited(since, now, closed.paced, closed.open);
        }
        stats
    }

    pub(crate) fn stats(&self, now: Instant, limiter: &RateLimiter) -> RequestStats {
        RequestStats { current_delay: limiter.delay(), ..self.stats_at(now) }
    }
}

#[cfg(test)]
mod tests;
