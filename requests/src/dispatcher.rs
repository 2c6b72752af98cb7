//! Decides which item of a batch is dispatched next, and when: a state machine over (now, event).
//!
//! An item is *fresh* in the source, *ready*, *running*, or *waiting* for its next attempt. A
//! waiting item keeps neither a worker nor a permit of the concurrency.
//!
//! | from | to | when |
//! |---|---|---|
//! | fresh | ready | no item is ready, there is a permit, and the window and the budget have space |
//! | ready | running | there is a permit, and the limiter allows it; the lowest index first |
//! | running | waiting | its job returned `Retry`, and the budgets allow the next attempt |
//! | running | waiting | the same, if the attempt has exceeded its time-out |
//! | running | running | the first item without an outcome gets a hedge, or loses one of two attempts |
//! | running | ready | its job returned `Closed`: the limiter keeps it |
//! | running | over | its job returned another outcome, or the budget is used up |
//! | waiting | ready | it is due |
//! | running, waiting, ready again | over | the consumer skips it |
//! | waiting, ready again | over | its budget or deadline ends |
//!
//! An attempt is known by the index of its item and its own number. The item stays here while its
//! attempts run: one, or one and its hedge. An attempt *counts* while its item is running, and the
//! attempt is within its time-out. The result of any other attempt is refused. Such an attempt
//! keeps its permit until it ends.
//!
//! The state machine reads no clock, does not block, and runs no user code. It hands the source out
//! to be pulled, and takes it back.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::task::Waker;
use std::time::{Duration, Instant};

use crate::hedge::{Hedge, HedgeDelay};
use crate::limiter::{Answer, Closed, RateLimiter, Turn, random};
use crate::retry::{Retry, RetryWait};
use crate::retry_budget::RetryTokens;
use crate::stats::RequestStats;
use reorder_executor::ConcurrencyLimit;
use reorder_executor::dispatch::State;

mod action;
mod ends;
mod item;
mod running;
mod source;

use self::action::NextHedge;
pub(crate) use self::action::{Action, AttemptId, Attempts, Decision, Ended, Start, Verdict};
use self::item::Waiting;
pub(crate) use self::item::{Entry, NoRetry};
use self::running::RunningItems;
use self::source::Source;

/// The settings of a batch of requests.
#[derive(Clone)]
pub(crate) struct RequestConfig {
    pub(crate) retry: Retry,
    pub(crate) hedge: Option<Hedge>,
    pub(crate) limiter: RateLimiter,
    /// The cost of each attempt.
    pub(crate) cost: u64,
    /// The maximum number of attempts that run at once.
    pub(crate) concurrency: ConcurrencyLimit,
}

/// Tells whether it makes sense to pull a source that waits.
type SourceCheck = Box<dyn Fn() -> bool + Send + Sync>;

pub(crate) struct Dispatcher<S, P, E> {
    config: RequestConfig,
    turn: Turn,
    item_timeout: Option<Duration>,
    /// The maximum number of outstanding items.
    window: u64,
    source: Source<S>,
    /// Returns `true` if a source that waits may have an item, and room for its weight.
    may_have_item: SourceCheck,
    pulled: u64,
    finished: u64,
    /// The number of attempts that run, also of those that do not count.
    attempts: usize,
    running: RunningItems<P, E>,
    /// The attempts that run after their time-out.
    timed_out: BTreeSet<AttemptId>,
    /// The items whose end a thread decides.
    ending: BTreeSet<u64>,
    /// The number of ended attempts whose results threads are refusing.
    refusing: usize,
    waiting: BTreeMap<u64, Waiting<P, E>>,
    /// The waiting items that are not due, by the instant at which they are.
    due: BTreeSet<(Instant, u64)>,
    /// The waiting items that are due, and the items without an attempt.
    ready: BTreeSet<u64>,
    ends: BTreeSet<(Instant, u64)>,
    is_closed: bool,
    /// Since when there is a permit for an attempt, and none was started.
    idle_since: Option<Instant>,
    /// Since when the limiter keeps an item from being dispatched.
    blocked_since: Option<(Instant, Closed)>,
    /// The retry budget of the batch, if it has one.
    tokens: Option<RetryTokens>,
    /// The delay of hedges, if there are any.
    hedge: Option<HedgeDelay>,
    /// The jitter of the waits.
    random: fastrand::Rng,
    stats: RequestStats,
}

impl<S, P: Clone, E> Dispatcher<S, P, E> {
    pub(crate) fn new(
        source: S,
        config: RequestConfig,
        item_timeout: Option<Duration>,
        window: u64,
        waker: Option<Waker>,
    ) -> Self {
        let delay = config.limiter.delay();
        Dispatcher {
            turn: config.limiter.turn(waker).with_cost(config.cost),
            tokens: config.retry.budget.map(RetryTokens::new),
            hedge: config.hedge.map(HedgeDelay::new),
            random: random(),
            config,
            item_timeout,
            window,
            source: Source::Here(source),
            may_have_item: Box::new(|| true),
            pulled: 0,
            finished: 0,
            attempts: 0,
            running: RunningItems::new(),
            timed_out: BTreeSet::new(),
            ending: BTreeSet::new(),
            refusing: 0,
            waiting: BTreeMap::new(),
            due: BTreeSet::new(),
            ready: BTreeSet::new(),
            ends: BTreeSet::new(),
            is_closed: false,
            idle_since: None,
            blocked_since: None,
            stats: RequestStats { current_delay: delay, ..RequestStats::default() },
        }
    }

    /// Sets how to find out whether a source that waits may have an item.
    pub(crate) fn with_source_check(
        mut self,
        may_have_item: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Self {
        self.may_have_item = Box::new(may_have_item);
        self
    }

    /// Changes the maximum number of outstanding items.
    pub(crate) fn set_window(&mut self, window: u64) {
        self.window = window;
    }

    /// Returns the batches whose turn at the limiter has come. After each call that decides or
    /// closes, the caller wakes them when it holds no lock.
    pub(crate) fn take_told(&mut self) -> Vec<Waker> {
        self.turn.take_told()
    }

    /// Returns the next action, after `delivered` items were delivered.
    pub(crate) fn decide(&mut self, now: Instant, delivered: u64) -> Decision {
        self.end_wait(now);
        if let Some(id) = self.overdue(now) {
            return Decision::TimeOut(id);
        }
        while let Some(&(_, index)) = self.due.first().filter(|&&(due, _)| due <= now) {
            self.due.pop_first();
            self.ready.insert(index);
        }
        while let Some(&(end, index)) = self.ends.first().filter(|&&(end, _)| end <= now) {
            if !self.extend(index, end) {
                return Decision::End(index);
            }
        }
        let end = self.ends.first().map(|&(end, _)| end);
        let end = end.into_iter().chain(self.next_timeout()).min();
        if self.busy() >= self.config.concurrency.get() || self.is_closed {
            self.idle_since = None;
            self.turn.leave(now);
            return Decision::Rest { at: end, turn: None };
        }
        self.idle_since.get_or_insert(now);
        let hedge = self.next_hedge(now);
        if let Some(NextHedge { index, until, .. }) = hedge.filter(|hedge| hedge.at <= now) {
            let end = end.into_iter().chain(until).min();
            return self.decide_start(now, end, Decision::Hedge(index));
        }
        let end = end.into_iter().chain(hedge.map(|hedge| hedge.at)).min();
        let Some(&ready) = self.ready.first() else {
            let has_space = self.pulled.saturating_sub(delivered) < self.window;
            if has_space && self.may_pull() {
                return Decision::Pull;
            }
            self.turn.leave(now);
            let due = self.due.first().map(|&(due, _)| due);
            return Decision::Rest { at: due.into_iter().chain(end).min(), turn: None };
        };
        self.decide_start(now, end, Decision::Start(ready))
    }

    /// Returns `start` if the limiter allows an attempt.
    fn decide_start(&mut self, now: Instant, end: Option<Instant>, start: Decision) -> Decision {
        self.turn.count(self.counted());
        match self.turn.check(now) {
            Ok(()) => start,
            Err(closed) => {
                self.blocked_since = Some((now, closed));
                Decision::Rest { at: end, turn: Some(closed.open) }
            }
        }
    }

    /// Returns the number of permits that are in use: by attempts, and by items whose end a thread
    /// decides.
    fn busy(&self) -> usize {
        self.attempts + self.ending.len()
    }

    /// Returns an attempt that has exceeded its time-out.
    fn overdue(&self, now: Instant) -> Option<AttemptId> {
        self.running.first_timeout().filter(|&(at, _)| at <= now).map(|(_, id)| id)
    }

    /// Returns the earliest end of the time of an attempt.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        self.running.first_timeout().map(|(at, _)| at)
    }

    /// Takes an attempt that has exceeded its time-out, for a batch that takes no other actions.
    pub(crate) fn take_overdue(&mut self, now: Instant) -> Option<Action<S, P, E>> {
        let id = self.overdue(now)?;
        Some(self.time_out(id))
    }

    fn time_out(&mut self, id: AttemptId) -> Action<S, P, E> {
        self.timed_out.insert(id);
        Action::TimeOut(id, self.end_overdue(id))
    }

    /// Counts an attempt that has exceeded its time-out. Returns its item if the attempt was its
    /// last one.
    fn end_overdue(&mut self, id: AttemptId) -> Option<Entry<P, E>> {
        self.stats.timed_out += 1;
        if let Some(tokens) = &mut self.tokens {
            tokens.failed();
        }
        let mut entry = self.running.end(id, Verdict::Open)?.entry;
        entry.may_retry = self.allows_retries();
        self.ending.insert(id.index);
        Some(entry)
    }

    /// Takes the next action. Returns `None` if there is nothing to do now.
    pub(crate) fn take_action(&mut self, now: Instant, delivered: u64) -> Option<Action<S, P, E>> {
        match self.decide(now, delivered) {
            Decision::End(index) => {
                let entry = self.take(index)?;
                self.ending.insert(index);
                Some(Action::End(entry))
            }
            Decision::TimeOut(id) => Some(self.time_out(id)),
            Decision::Hedge(index) => self.start(index, now, true),
            Decision::Start(index) => self.start(index, now, false),
            Decision::Pull => self.take_source(Source::Out).map(Action::Pull),
            Decision::Rest { .. } => None,
        }
    }

    fn start(&mut self, index: u64, now: Instant, is_hedge: bool) -> Option<Action<S, P, E>> {
        self.turn.count(self.counted());
        // Another batch may have been dispatched meanwhile.
        let dispatch = match self.turn.dispatch(now) {
            Ok(dispatch) => dispatch,
            Err(closed) => {
                self.blocked_since = Some((now, closed));
                return None;
            }
        };
        let timeout = self.config.retry.attempt_timeout.and_then(|it| now.checked_add(it));
        let (id, payload, started) = if is_hedge {
            let (id, entry) = self.running.hedge(index, timeout)?;
            self.stats.hedges += 1;
            (id, entry.payload.clone(), entry.started?)
        } else {
            let mut entry = self.take(index)?;
            if entry.started.is_none() {
                entry.closed_before = dispatch.closed;
            }
            let (payload, started) = (entry.payload.clone(), *entry.started.get_or_insert(now));
            (self.running.insert(entry, now, timeout), payload, started)
        };
        self.idle_since = None;
        self.stats.attempts += 1;
        self.attempts += 1;
        self.stats.peak_concurrency = self.stats.peak_concurrency.max(self.attempts);
        Some(Action::Start(Start { id, payload, started, timeout, is_hedge, dispatch }))
    }

    /// Removes an item that does not run.
    fn take(&mut self, index: u64) -> Option<Entry<P, E>> {
        let Waiting { entry, due, end } = self.waiting.remove(&index)?;
        self.ready.remove(&index);
        self.due.remove(&(due, index));
        if let Some(end) = end {
            self.ends.remove(&(end, index));
        }
        Some(entry)
    }

    /// Keeps an item for its next attempt. If there is to be none, gives it back with the reason.
    pub(crate) fn retry_later(
        &mut self,
        now: Instant,
        mut entry: Entry<P, E>,
        wait: RetryWait,
    ) -> Option<(Entry<P, E>, NoRetry)> {
        let is_closed = wait == RetryWait::Closed;
        let wait = match wait {
            RetryWait::For(wait) => wait,
            RetryWait::UpTo(longest) => {
                let nanos = u64::try_from(longest.as_nanos()).unwrap_or(u64::MAX);
                Duration::from_nanos(self.random.u64(..=nanos))
            }
            RetryWait::Closed => {
                entry.refused += 1;
                Duration::ZERO
            }
            RetryWait::Never => return Some((entry, NoRetry::Exhausted)),
        };
        let budget = self.end_of_budget(&entry);
        let due = now.checked_add(wait).filter(|&due| budget.is_none_or(|end| due < end));
        let Some(due) = due.filter(|_| !self.is_closed) else {
            return Some((entry, NoRetry::Time));
        };
        if !entry.may_retry && !is_closed {
            return Some((entry, NoRetry::Budget));
        }
        if !is_closed {
            self.stats.waited_for_retry += wait;
        }
        let end = self.end_of_waiting(&entry);
        self.ending.remove(&entry.index);
        self.due.insert((due, entry.index));
        self.ends.extend(end.map(|end| (end, entry.index)));
        self.waiting.insert(entry.index, Waiting { entry, due, end });
        None
    }

    /// Counts an item that was ending, and has its outcome.
    pub(crate) fn finish(&mut self, index: u64) {
        self.ending.remove(&index);
        self.finished += 1;
    }

    /// Removes an item that the consumer has skipped, unless a thread decides its end. Also returns
    /// its attempts, which do not count any more.
    pub(crate) fn skip(&mut self, index: u64) -> Option<(Entry<P, E>, Attempts)> {
        let running = self.running.take(index).map(|taken| (taken.entry, taken.others));
        let skipped = running.or_else(|| Some((self.take(index)?, Attempts::new())))?;
        self.finished += 1;
        Some(skipped)
    }

    /// Returns `true` if the result of this attempt counts.
    pub(crate) fn counts_attempt(&self, id: AttemptId) -> bool {
        self.running.counts(id)
    }

    /// Counts an attempt that has ended. If its result does not count, the caller calls
    /// [`refused`](Dispatcher::refused) when it has dropped the result.
    pub(crate) fn attempt_ended(
        &mut self,
        id: AttemptId,
        now: Instant,
        verdict: Verdict,
        answer: Answer,
    ) -> Ended<P, E> {
        self.attempts -= 1;
        let ended = self.end_of_attempt(id, now, verdict, answer);
        self.refusing += usize::from(ended.is_refused());
        ended
    }

    /// Notes that a result that does not count was dropped.
    pub(crate) fn refused(&mut self) {
        self.refusing -= 1;
    }

    fn end_of_attempt(
        &mut self,
        id: AttemptId,
        now: Instant,
        verdict: Verdict,
        answer: Answer,
    ) -> Ended<P, E> {
        if !self.running.counts(id) {
            return if self.timed_out.remove(&id) { Ended::TimedOut } else { Ended::Late };
        }
        if self.running.is_overdue(id, now) {
            let entry = self.end_overdue(id);
            return entry.map_or(Ended::Beside { is_overdue: true }, Ended::Overdue);
        }
        self.count(answer);
        let Some(mut taken) = self.running.end(id, verdict) else {
            return Ended::Beside { is_overdue: false };
        };
        taken.entry.may_retry = self.allows_retries();
        if let (Some(hedge), Verdict::Value) = (&mut self.hedge, verdict) {
            hedge.note(now.saturating_duration_since(taken.started));
        }
        self.ending.insert(id.index);
        Ended::Counts(taken.entry, taken.others)
    }

    /// Keeps the error of an attempt beside which another one goes on. Returns the error before it,
    /// or this one if the item is over.
    pub(crate) fn keep_error(&mut self, index: u64, error: E) -> Option<E> {
        let Some(entry) = self.running.entry(index) else { return Some(error) };
        entry.error.replace(error)
    }

    /// Returns `true` if a thread is deciding whether this item ends. If it does, its outcome comes
    /// soon.
    pub(crate) fn is_ending(&self, index: u64) -> bool {
        self.ending.contains(&index)
    }

    /// Counts the answer of an attempt that counts.
    fn count(&mut self, answer: Answer) {
        match answer {
            Answer::Done => self.tokens.iter_mut().for_each(RetryTokens::succeeded),
            Answer::Retry => {
                self.tokens.iter_mut().for_each(RetryTokens::failed);
                self.stats.capacity_retries += 1;
            }
            Answer::Closed(_) => self.stats.refused_as_closed += 1,
            Answer::Failed | Answer::None => {}
        }
    }

    /// Returns `true` if the retry budget of the batch allows another attempt.
    fn allows_retries(&self) -> bool {
        self.tokens.is_none_or(|tokens| tokens.allow_retries())
    }

    /// Notes the delay of the limiter after an attempt, unless its answer changes no delay.
    pub(crate) fn note_delay(&mut self, answer: Answer, delay: Duration) {
        if matches!(answer, Answer::Failed | Answer::None) {
            return;
        }
        self.stats.peak_delay = self.stats.peak_delay.max(delay);
        self.stats.current_delay = delay;
    }

    /// Closes the batch. Returns the source and all items that do not run.
    pub(crate) fn close(&mut self, now: Instant) -> (Option<S>, Vec<Entry<P, E>>) {
        self.is_closed = true;
        self.turn.leave(now);
        self.end_wait(now);
        self.turn.count(self.counted());
        self.turn.report();
        self.due.clear();
        self.ready.clear();
        self.ends.clear();
        let waiting = mem::take(&mut self.waiting).into_values();
        (self.take_source(Source::Ended), waiting.map(|waiting| waiting.entry).collect())
    }

    /// Returns how far the batch has come.
    pub(crate) fn state(&self) -> State {
        State {
            pulled: self.pulled,
            finished: self.finished,
            running: self.busy() + self.refusing,
            waiting: self.waiting.len(),
            is_source_ended: matches!(self.source, Source::Ended),
        }
    }

    /// Returns since when the next attempt could have started, if it could start now.
    pub(crate) fn due_since(&self, now: Instant) -> Option<Instant> {
        let ready = self.ready.first().and_then(|index| self.waiting.get(index));
        let due = ready.map(|waiting| waiting.due);
        let due = due.or_else(|| self.due.first().map(|&(due, _)| due))?;
        let since = due.max(self.idle_since?);
        let since = self.turn.opening(now).map_or(since, |open| since.max(open));
        (since <= now).then_some(since)
    }

    /// Adds the wait that is under way to the statistics, and ends it.
    fn end_wait(&mut self, now: Instant) {
        if let Some((since, closed)) = self.blocked_since.take() {
            closed.add_wait(&mut self.stats, since, now);
        }
    }

    /// Returns the statistics without the wait that is under way.
    fn counted(&self) -> RequestStats {
        let (hedges_won, hedges_wasted) = (self.running.won, self.running.wasted);
        RequestStats { hedges_won, hedges_wasted, ..self.stats }
    }

    /// Returns what was counted since the last report to the limiter. The caller reports it.
    pub(crate) fn take_new_counts(&mut self) -> RequestStats {
        self.turn.count(self.counted());
        self.turn.take_new()
    }

    /// Returns the statistics, including the wait that is under way.
    pub(crate) fn stats(&self, now: Instant) -> RequestStats {
        let mut stats = self.counted();
        if let Some((since, closed)) = self.blocked_since {
            closed.add_wait(&mut stats, since, now);
        }
        stats
    }
}

#[cfg(test)]
mod tests;
