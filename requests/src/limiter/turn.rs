//! One batch in the queue of a rate limiter.

use std::iter;
use std::mem;
use std::task::Waker;
use std::time::Instant;

use crate::limiter::{Closed, Dispatched, FAR, Limit, RateLimiter, Slot, State, Waiting, later};
use crate::primitive::lock;
use crate::stats::RequestStats;
use crate::throttle::Throttle;
use reorder_executor::dispatch::now;

/// The turns of a batch among the batches that go through one limiter.
pub(crate) struct Turn {
    pub(super) limiter: RateLimiter,
    /// The number of its place in the queue. It may have lost the place.
    pub(super) place: Option<u64>,
    pub(super) waker: Option<Waker>,
    /// The cost of each attempt.
    pub(super) cost: u64,
    /// The batches whose turn has come, and that nothing has woken.
    pub(super) told: Vec<Waker>,
    /// The counts of the batch, and the part of them that the limiter has.
    pub(super) counted: RequestStats,
    pub(super) reported: RequestStats,
}

impl Turn {
    /// Sets the cost of each attempt.
    pub(crate) fn with_cost(mut self, cost: u64) -> Turn {
        self.cost = cost;
        self
    }

    /// Returns the batches whose turn has come. After each other method that takes `&mut self`, the
    /// caller wakes them when it holds no lock.
    pub(crate) fn take_told(&mut self) -> Vec<Waker> {
        mem::take(&mut self.told)
    }

    /// Returns `Ok` if the batch may dispatch an attempt now. Otherwise the batch waits in the
    /// queue, until it dispatches or leaves.
    pub(crate) fn check(&mut self, now: Instant) -> Result<(), Closed> {
        let limiter = self.limiter.clone();
        let mut state = lock(&limiter.0.state);
        let result = self.ask(&mut state, now);
        if result.is_err() {
            self.told.extend(limiter.arm(state, now));
        }
        result
    }

    /// Returns the number of batches before this one in the queue, if it is there.
    fn earlier(&self, state: &State) -> Option<usize> {
        let own = self.place?;
        state.queue.binary_search_by_key(&own, |waiting| waiting.place).ok()
    }

    /// Returns the instant from which on the limiter is open for the batch, and also for the first
    /// batch of the queue. Otherwise cheap attempts would overtake a costly one again and again.
    fn own_opening(&self, state: &State, earlier: Option<usize>, now: Instant) -> Option<Instant> {
        let first = state.queue.front().filter(|_| earlier != Some(0));
        let first = first.and_then(|first| self.limiter.opening(state, first.cost, now));
        self.limiter.opening(state, self.cost, now).max(first)
    }

    fn ask(&mut self, state: &mut State, now: Instant) -> Result<(), Closed> {
        state.stats.add(&self.take_new());
        #[cfg(test)]
        {
            state.asked += 1;
        }
        if self.limiter.is_unlimited(state, now) {
            return Ok(());
        }
        let earlier = self.earlier(state);
        let open = self.own_opening(state, earlier, now);
        if let Some(earlier) = earlier {
            state.queue[earlier].asked = now;
        }
        let turn = match state.queue.front() {
            // A batch whose worker looks at it will dispatch in a moment.
            Some(first) if earlier != Some(0) => first.is_late_at(open),
            _ => open.unwrap_or(now),
        };
        if turn <= now {
            return Ok(());
        }
        let earlier = earlier.unwrap_or_else(|| self.enter(state, now));
        // The batch may rest from now on.
        state.queue[earlier].told = None;
        Err(self.closed(state, (open, turn), earlier, now))
    }

    /// Returns until when the limiter is closed for a batch behind `earlier` other batches.
    fn closed(
        &self,
        state: &State,
        (open, turn): (Option<Instant>, Instant),
        earlier: usize,
        now: Instant,
    ) -> Closed {
        let (pace, interval) = (state.settings.pace, self.limiter.interval(state));
        let earlier = u32::try_from(earlier).unwrap_or(u32::MAX);
        let own = |open: Instant| later(open, interval.saturating_mul(earlier));
        let at = open.map(own).filter(|&own| own > now).unwrap_or(turn);
        let slot = self.limiter.next_slot(state);
        let is_scheduled = open.is_none_or(|open| open <= slot.map_or(now, |slot| slot.max(now)));
        let throttled = if is_scheduled { at } else { slot.map_or(now, own).min(at) };
        // Without a throttle, all of the wait is for the pace, that for other turns included.
        let by_pace = |last: Slot| later(last.due, pace.saturating_mul(earlier.saturating_add(1)));
        let is_paced = interval == pace;
        let paced = if is_paced { throttled } else { state.last.map_or(now, by_pace) };
        let limit = self.limit(state, earlier, now);
        Closed { paced: paced.min(throttled), throttled, open: at, limit }
    }

    /// Returns the limit that keeps the batch, or the first batch of the queue, for longest.
    fn limit(&self, state: &State, earlier: u32, now: Instant) -> Limit {
        let first = state.queue.front().filter(|_| earlier != 0).map(|first| first.cost);
        let costs = iter::once(self.cost).chain(first);
        let limits = costs.filter_map(|cost| self.limiter.not_until_at(state, cost, now));
        let last = limits.max_by_key(|it| it.earliest.unwrap_or_else(|| later(now, FAR)));
        last.map_or(Limit::Pace, |it| it.limit)
    }

    /// Returns the instant from which on the batch may dispatch, unless another batch does so
    /// before. Returns `None` if the limiter does not keep the batch.
    pub(crate) fn opening(&self, now: Instant) -> Option<Instant> {
        let limiter = &self.limiter;
        let state = lock(&limiter.0.state);
        if limiter.is_unlimited(&state, now) {
            return None;
        }
        let earlier = self.earlier(&state);
        let open = self.own_opening(&state, earlier, now);
        let others = state.queue.front().filter(|_| earlier != Some(0));
        others.map_or(open, |first| Some(first.is_late_at(open)))
    }

    /// Enters the queue. Returns the number of batches before this one.
    fn enter(&mut self, state: &mut State, now: Instant) -> usize {
        state.places += 1;
        self.place = Some(state.places);
        let (place, waker) = (state.places, self.waker.clone());
        state.queue.push_back(Waiting {
            place,
            since: now,
            asked: now,
            told: None,
            waker,
            cost: self.cost,
        });
        state.queue.len() - 1
    }

    /// Dispatches an attempt, if the limiter allows it now.
    pub(crate) fn dispatch(&mut self, now: Instant) -> Result<Dispatched, Closed> {
        let limiter = self.limiter.clone();
        let mut state = lock(&limiter.0.state);
        if let Err(closed) = self.ask(&mut state, now) {
            self.told.extend(limiter.arm(state, now));
            return Err(closed);
        }
        let due = limiter.slot(&state, now);
        let (earlier, mut told) = (self.earlier(&state), None);
        if let Some(earlier) = earlier {
            _ = state.queue.remove(earlier);
        }
        if earlier != Some(0) {
            // A first batch that did not come loses its place: the others need not wait again.
            told = state.queue.pop_front().and_then(|first| first.waker);
        }
        self.place = None;
        state.last = Some(Slot { due, at: now });
        state.in_flight += 1;
        state.stats.dispatched(now);
        state.buckets.iter_mut().for_each(|bucket| bucket.take(self.cost, now));
        if let Some(reset) = state.closing.dispatched(now) {
            state.open_from(reset);
        }
        if state.settings.throttle.as_ref().is_some_and(Throttle::has_jitter) {
            state.chance = state.random.f64();
        }
        let (closing, closed) = (state.closing.number, state.closing.total);
        let dispatch = Dispatched { round: state.round, closing, closed };
        self.told.extend(limiter.arm(state, now));
        // The timer may be late, and that batch may still rest. It has to ask for another place.
        self.told.extend(told);
        Ok(dispatch)
    }

    /// Notes the counts of the batch. The limiter gets what is new of them when the batch asks.
    pub(crate) fn count(&mut self, counted: RequestStats) {
        self.counted = counted;
    }

    /// Returns the counts that the limiter does not have yet. The caller reports them.
    pub(crate) fn take_new(&mut self) -> RequestStats {
        self.counted.since(&mem::replace(&mut self.reported, self.counted))
    }

    /// Reports the counts that the limiter does not have yet, if there are any.
    pub(crate) fn report(&mut self) {
        let new = self.take_new();
        if new != RequestStats::default() {
            lock(&self.limiter.0.state).stats.add(&new);
        }
    }

    /// Leaves the queue, because the batch has no attempt to dispatch.
    pub(crate) fn leave(&mut self, now: Instant) {
        if self.place.is_none() {
            return;
        }
        let limiter = self.limiter.clone();
        let mut state = lock(&limiter.0.state);
        let earlier = self.earlier(&state);
        self.place = None;
        if let Some(earlier) = earlier {
            _ = state.queue.remove(earlier);
        }
        if earlier == Some(0) {
            self.told.extend(limiter.arm(state, now));
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.leave(now());
        self.take_told().into_iter().for_each(Waker::wake);
    }
}
