//! The rate limiter that the batches of one service share.
//!
//! The limiter keeps a schedule: the next slot is the last slot plus the interval. So a thread that
//! comes late does not push back all later slots. A slot counts as late only while a batch waits.
//! An idle limiter begins a new schedule at the next dispatch.
//!
//! Batches that wait stand in a queue, and only the first is let through. It goes to the back after
//! its dispatch. So batches take turns, whatever their attempts cost, and only one timer fires for
//! each slot. A first batch that does not come for [`GRACE`] after its slot loses its place.

use std::collections::VecDeque;
use std::fmt;
use std::num::NonZeroU32;
use std::ptr;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::primitive::{Mutex, lock};
use crate::requests::throttle::{Throttle, ThrottleError};
use crate::scheduler::{RunTime, Scheduler};

/// The duration that stands for "never". Every clock can represent this instant.
const FAR: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// The time that other batches leave to the batch whose turn it is.
const GRACE: Duration = Duration::from_millis(2);

/// The default of [`RateLimiterBuilder::burst`].
const BURST: NonZeroU32 = NonZeroU32::new(16).expect("it is not 0");

/// Returns `at + by`, or `at` if the clock cannot represent it.
pub(crate) fn later(at: Instant, by: Duration) -> Instant {
    at.checked_add(by.min(FAR)).unwrap_or(at)
}

/// Limits the rate of attempts at one service, for all batches that go
/// [through](crate::Requests::through) it. Clones are the same limiter.
///
/// Dispatches follow a schedule. The interval between two slots is the pace or the delay of the
/// [`Throttle`], whichever is longer. If a dispatch is late although a batch waited for it, the
/// next ones follow immediately, up to the [burst](RateLimiterBuilder::burst), so that the rate is
/// kept. An idle limiter saves nothing up: there is no burst at the start or after a pause. The
/// wait of a retry runs at the same time as the wait at the limiter.
///
/// Batches that wait take turns, one dispatch each, whatever time their attempts take. For the
/// [fair share](crate::Executor) of the workers' time, the batches of one executor that go through
/// the same limiter count as one call.
///
/// ```
/// use std::time::Duration;
/// use reorder_executor::{RateLimiter, Throttle};
///
/// let throttle = Throttle::new(Duration::ZERO, Duration::from_secs(5), Duration::from_millis(10));
/// let pace = Duration::from_millis(20);
/// let limiter = RateLimiter::builder().pace(pace).throttle(throttle).build()?;
/// assert_eq!(limiter.delay(), Duration::ZERO);
/// # Ok::<(), reorder_executor::ThrottleError>(())
/// ```
#[derive(Clone)]
pub struct RateLimiter(Arc<Shared>);

struct Shared {
    settings: RateLimiterBuilder,
    state: Mutex<State>,
    /// The schedulers whose batches go through it, and the run time of those batches.
    schedulers: Mutex<Vec<(Weak<Scheduler>, Arc<RunTime>)>>,
}

struct State {
    last: Option<Slot>,
    delay: Duration,
    /// When the delay became shorter: no slot before this instant was open.
    shortened: Option<Instant>,
    /// The share of the jitter that the next delay has, from 0 to 1.
    chance: f64,
    /// The number of times that the throttle has backed off.
    round: u64,
    random: fastrand::Rng,
    /// The batches that wait for a slot, in the order of their turns.
    queue: VecDeque<Waiting>,
    /// The number of turns that were made.
    turns: u64,
}

/// A dispatch that was made.
#[derive(Clone, Copy)]
struct Slot {
    /// Its instant in the schedule.
    due: Instant,
    /// The instant of the dispatch, `due` or later.
    at: Instant,
}

/// A batch that waits for a slot.
struct Waiting {
    turn: u64,
    since: Instant,
    /// When a thread last looked whether the batch may dispatch.
    asked: Instant,
}

/// The settings of a [`RateLimiter`]. Made by [`RateLimiter::builder`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct RateLimiterBuilder {
    pace: Duration,
    burst: NonZeroU32,
    throttle: Option<Throttle>,
}

impl Default for RateLimiterBuilder {
    fn default() -> Self {
        RateLimiterBuilder { pace: Duration::ZERO, burst: BURST, throttle: None }
    }
}

/// An attempt that was let through, for the answer to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dispatch {
    round: u64,
}

/// Until when nothing is let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closed {
    /// The instant at which the pace allows the dispatch.
    pub(crate) paced: Instant,
    /// The instant at which the batch asks again.
    pub(crate) open: Instant,
}

impl RateLimiterBuilder {
    /// Sets the interval between two dispatches: `n` dispatches take `(n - 1) * pace` or longer,
    /// except for the [burst](RateLimiterBuilder::burst). The default is zero.
    ///
    /// A service that counts requests in windows of time `t` may count up to `t / pace + burst`
    /// requests in one window. Choose the pace and the burst so that this number is below the
    /// service's limit.
    pub fn pace(mut self, pace: Duration) -> Self {
        self.pace = pace;
        self
    }

    /// Sets the maximum number of dispatches that may follow each other without an interval, to
    /// make up for late ones. The default is 16.
    ///
    /// Threads of a busy machine are late by milliseconds. A higher burst keeps the rate on such a
    /// machine, also with a short pace. A burst of 1 makes up for nothing: the interval between two
    /// dispatches is never shorter than the pace, and the rate is lower.
    ///
    /// In each span of time `t` there are at most `t / pace + burst` dispatches.
    ///
    /// ```
    /// # use std::num::NonZeroU32;
    /// # use std::time::Duration;
    /// # use reorder_executor::RateLimiter;
    /// let strict = RateLimiter::builder().pace(Duration::from_millis(20)).burst(NonZeroU32::MIN);
    /// # strict.build()?;
    /// # Ok::<(), reorder_executor::ThrottleError>(())
    /// ```
    pub fn burst(mut self, dispatches: NonZeroU32) -> Self {
        self.burst = dispatches;
        self
    }

    /// Sets a throttle, which adapts the interval between two dispatches to the outcomes of
    /// attempts. By default there is no throttle.
    pub fn throttle(mut self, throttle: Throttle) -> Self {
        self.throttle = Some(throttle);
        self
    }

    /// Builds the limiter.
    ///
    /// # Errors
    ///
    /// [`ThrottleError`] if the throttle would never back off, or never recover.
    pub fn build(self) -> Result<RateLimiter, ThrottleError> {
        self.throttle.as_ref().map_or(Ok(()), Throttle::check)?;
        Ok(RateLimiter::with(self, fastrand::Rng::new()))
    }
}

impl RateLimiter {
    /// Returns a builder with default settings.
    pub fn builder() -> RateLimiterBuilder {
        RateLimiterBuilder::default()
    }

    /// Returns a limiter that allows everything.
    pub(crate) fn unlimited() -> RateLimiter {
        RateLimiter::with(RateLimiter::builder(), fastrand::Rng::with_seed(0))
    }

    fn with(settings: RateLimiterBuilder, random: fastrand::Rng) -> RateLimiter {
        let delay = settings.throttle.as_ref().map_or(Duration::ZERO, Throttle::floor);
        let state = State {
            last: None,
            delay,
            shortened: None,
            chance: 0.0,
            round: 0,
            random,
            queue: VecDeque::new(),
            turns: 0,
        };
        let (state, schedulers) = (Mutex::new(state), Mutex::default());
        RateLimiter(Arc::new(Shared { settings, state, schedulers }))
    }

    /// Returns the current delay of the throttle between two dispatches, without jitter. It is zero
    /// if there is no throttle.
    ///
    /// # Progress
    ///
    /// Blocking: it takes a lock that is held for a few instructions.
    pub fn delay(&self) -> Duration {
        lock(&self.0.state).delay
    }

    /// Returns the place of a new batch among the batches that go through the limiter.
    pub(crate) fn turn(&self) -> Turn {
        let mut state = lock(&self.0.state);
        state.turns += 1;
        Turn { id: state.turns, is_waiting: false, limiter: self.clone() }
    }

    /// Registers a scheduler, before its first batch goes through the limiter. Returns the run time
    /// of its batches at this limiter.
    pub(crate) fn register(&self, scheduler: &Arc<Scheduler>) -> Arc<RunTime> {
        let mut schedulers = lock(&self.0.schedulers);
        schedulers.retain(|(known, _)| known.strong_count() > 0);
        let is_it = |known: &Weak<Scheduler>| ptr::eq(known.as_ptr(), Arc::as_ptr(scheduler));
        if let Some((_, runtime)) = schedulers.iter().find(|(known, _)| is_it(known)) {
            return Arc::clone(runtime);
        }
        let runtime = Arc::<RunTime>::default();
        schedulers.push((Arc::downgrade(scheduler), Arc::clone(&runtime)));
        runtime
    }

    /// Records whether the service had capacity for an attempt. Returns the new delay.
    pub(crate) fn record(&self, dispatch: Dispatch, had_capacity: bool, now: Instant) -> Duration {
        let mut state = lock(&self.0.state);
        let before = state.delay;
        if let (Some(throttle), true) = (&self.0.settings.throttle, dispatch.round == state.round) {
            if had_capacity {
                state.delay = throttle.shorter(before);
                if state.delay < before {
                    state.shortened = state.shortened.max(Some(now));
                }
            } else {
                state.delay = throttle.longer(before);
                state.round += 1;
                // A service without capacity gets no requests that make up for late ones.
                if let Some(last) = &mut state.last {
                    last.due = last.at;
                }
            }
        }
        let delay = state.delay;
        drop(state);
        if delay < before {
            self.notify();
        }
        delay
    }

    /// Notifies all workers: the limiter opens earlier than the timers of waiting batches assume.
    fn notify(&self) {
        let schedulers: Vec<_> =
            lock(&self.0.schedulers).iter().filter_map(|(known, _)| known.upgrade()).collect();
        schedulers.iter().for_each(|scheduler| scheduler.idle.notify_work());
    }

    fn interval(&self, state: &State) -> Duration {
        let RateLimiterBuilder { pace, throttle, .. } = self.0.settings;
        let delay = throttle.map_or(Duration::ZERO, |it| it.jittered(state.delay, state.chance));
        delay.max(pace)
    }
}

/// The place of a batch among the batches that go through one limiter.
pub(crate) struct Turn {
    limiter: RateLimiter,
    id: u64,
    /// `true` if the batch is in the queue. It may have lost its place there.
    is_waiting: bool,
}

impl Turn {
    /// Returns `Ok` if the batch may dispatch an attempt now. Otherwise the batch waits in the
    /// queue, until it dispatches or leaves.
    pub(crate) fn check(&mut self, now: Instant) -> Result<(), Closed> {
        let limiter = self.limiter.clone();
        let result = self.ask(&mut lock(&limiter.0.state), now);
        self.is_waiting |= result.is_err();
        result
    }

    fn ask(&self, state: &mut State, now: Instant) -> Result<(), Closed> {
        let (pace, interval) = (self.limiter.0.settings.pace, self.limiter.interval(state));
        let Some(last) = state.last.filter(|_| !interval.is_zero()) else { return Ok(()) };
        let open = later(last.due, interval).max(state.shortened.unwrap_or(last.due));
        let mut place = state.queue.iter().position(|waiting| waiting.turn == self.id);
        if let Some(place) = place {
            state.queue[place].asked = now;
        }
        let turn = match state.queue.front() {
            // A batch whose worker looks at it will dispatch in a moment.
            Some(first) if first.turn != self.id => later(open.max(first.asked), GRACE),
            _ => open,
        };
        if turn <= now {
            return Ok(());
        }
        let place = *place.get_or_insert_with(|| {
            state.queue.push_back(Waiting { turn: self.id, since: now, asked: now });
            state.queue.len() - 1
        });
        let earlier = u32::try_from(place).unwrap_or(u32::MAX);
        let own = Some(later(open, interval.saturating_mul(earlier))).filter(|&own| own > now);
        let open = own.unwrap_or(turn);
        // Without a throttle, all of the wait is for the pace, that for other turns included.
        let by_pace = later(last.due, pace.saturating_mul(earlier.saturating_add(1)));
        let paced = if interval == pace { open } else { by_pace };
        Err(Closed { paced, open })
    }

    /// Dispatches an attempt, if the limiter allows it now.
    pub(crate) fn dispatch(&mut self, now: Instant) -> Result<Dispatch, Closed> {
        let limiter = self.limiter.clone();
        let mut state = lock(&limiter.0.state);
        if let Err(closed) = self.ask(&mut state, now) {
            self.is_waiting = true;
            return Err(closed);
        }
        let due = limiter.slot(&state, now);
        // A first batch that did not come loses its place, so that the others need not wait again.
        if state.queue.front().is_some_and(|first| first.turn != self.id) {
            state.queue.pop_front();
        }
        state.queue.retain(|waiting| waiting.turn != self.id);
        self.is_waiting = false;
        state.last = Some(Slot { due, at: now });
        if limiter.0.settings.throttle.as_ref().is_some_and(Throttle::has_jitter) {
            state.chance = state.random.f64();
        }
        let dispatch = Dispatch { round: state.round };
        let is_late = !state.queue.is_empty() && later(due, limiter.interval(&state)) <= now;
        drop(state);
        if is_late {
            limiter.notify();
        }
        Ok(dispatch)
    }

    /// Leaves the queue, because the batch has no attempt to dispatch.
    pub(crate) fn leave(&mut self) {
        if std::mem::take(&mut self.is_waiting) {
            let mut state = lock(&self.limiter.0.state);
            state.queue.retain(|waiting| waiting.turn != self.id);
            let is_empty = state.queue.is_empty();
            drop(state);
            if !is_empty {
                self.limiter.notify();
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.leave();
    }
}

impl RateLimiter {
    /// Returns the instant in the schedule of an attempt that is dispatched now.
    fn slot(&self, state: &State, now: Instant) -> Instant {
        let interval = self.interval(state);
        let Some(last) = state.last.filter(|_| !interval.is_zero()) else { return now };
        let open = later(last.due, interval);
        let due = if now <= later(last.at, interval) {
            // It follows the last dispatch without a pause, and the schedule goes on.
            open
        } else {
            // The slot was open while a batch waited, or there was none to use it.
            let waited = state.queue.iter().map(|waiting| waiting.since).min();
            open.max(waited.unwrap_or(now))
        };
        let made_up = interval.saturating_mul(self.0.settings.burst.get() - 1);
        let earliest = now.checked_sub(made_up).into_iter().chain(state.shortened).max();
        earliest.map_or(due, |earliest| due.max(earliest.min(now)))
    }
}

impl fmt::Debug for RateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimiter")
            .field("pace", &self.0.settings.pace)
            .field("throttle", &self.0.settings.throttle)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::primitive::{Parker, now};
    use crate::scheduler::{ThreadSettings, WorkerThread};

    #[test]
    fn workers_are_told_when_it_opens_earlier_than_they_know() {
        let parker = Parker::new();
        let scheduler = Scheduler::new(ThreadSettings::default(), false);
        let worker = WorkerThread::new(0, parker.unparker(), scheduler.monitor.clone());
        let throttle =
            Throttle::new(Duration::ZERO, Duration::from_secs(9), Duration::from_secs(3));
        let limiter = RateLimiter::builder().throttle(throttle).build().unwrap();
        limiter.register(&scheduler);
        limiter.register(&scheduler);
        assert_eq!(lock(&limiter.0.schedulers).len(), 1);
        let start = now();
        let mut turn = limiter.turn();
        let first = turn.dispatch(start).unwrap();
        let record = |dispatch, had_capacity| limiter.record(dispatch, had_capacity, start);
        assert_eq!(record(first, false), Duration::from_secs(3));
        assert_eq!(record(first, true), Duration::from_secs(3), "that is of an earlier round");
        scheduler.idle.start_searching();
        assert!(scheduler.try_sleep(&worker));
        let second = turn.dispatch(start + Duration::from_secs(3)).unwrap();
        assert!(scheduler.idle.should_wake(), "nobody was told yet");
        assert_eq!(record(second, true), Duration::ZERO);
        assert!(!scheduler.idle.should_wake(), "the one who slept is on its way");
    }

    const MS: Duration = Duration::from_millis(1);

    /// Returns a limiter with a pace of 10 ms.
    fn paced(burst: u32) -> RateLimiter {
        let burst = NonZeroU32::new(burst).unwrap();
        RateLimiter::builder().pace(10 * MS).burst(burst).build().unwrap()
    }

    /// Returns the number of dispatches that a batch makes at this instant, and leaves it waiting.
    fn dispatches(turn: &mut Turn, at: Instant) -> usize {
        std::iter::from_fn(|| turn.dispatch(at).ok()).count()
    }

    #[test]
    fn a_late_thread_does_not_push_back_the_schedule() {
        let (start, limiter) = (now(), paced(16));
        let mut turn = limiter.turn();
        let mut made = 0;
        // The thread comes 1 to 8 ms late each time.
        for slot in 0..100 {
            made += dispatches(&mut turn, start + 10 * slot * MS + (slot * 5 % 8 + 1) * MS);
        }
        assert_eq!(made, 100, "the lateness does not add up");
        // It comes 57 ms late once.
        assert_eq!(dispatches(&mut turn, start + 1058 * MS), 6);
        assert_eq!(dispatches(&mut turn, start + 1060 * MS), 0);
        assert_eq!(dispatches(&mut turn, start + 1061 * MS), 1, "the old schedule holds");
    }

    #[test]
    fn a_burst_bounds_what_is_made_up_for() {
        for burst in [1, 2, 5] {
            let (start, limiter) = (now(), paced(burst));
            let mut turn = limiter.turn();
            assert_eq!(dispatches(&mut turn, start), 1);
            assert_eq!(dispatches(&mut turn, start + 1000 * MS), burst as usize);
            assert_eq!(dispatches(&mut turn, start + 1009 * MS), 0);
            assert_eq!(dispatches(&mut turn, start + 1010 * MS), 1);
        }
    }

    #[test]
    fn an_idle_limiter_saves_nothing_up() {
        let (start, limiter) = (now(), paced(16));
        let mut turn = limiter.turn();
        assert!(turn.dispatch(start).is_ok());
        // No batch waits. That the slots pass is no lateness.
        for pause in [25, 100, 3_600_000] {
            assert_eq!(dispatches(&mut turn, start + pause * MS), 1, "{pause}");
            turn.leave();
        }
        // A batch that waited and has left does not count as waiting either.
        let at = start + 4_000_000 * MS;
        assert_eq!(dispatches(&mut turn, at), 1);
        turn.leave();
        assert_eq!(dispatches(&mut limiter.turn(), at + 1000 * MS), 1);
    }

    #[test]
    fn a_back_off_forgets_lateness() {
        let throttle = Throttle::new(Duration::ZERO, 100 * MS, MS);
        let limiter = RateLimiter::builder().pace(10 * MS).throttle(throttle).build().unwrap();
        let (start, mut turn) = (now(), limiter.turn());
        assert_eq!(dispatches(&mut turn, start), 1);
        let late = turn.dispatch(start + 95 * MS).unwrap();
        limiter.record(late, false, start + 96 * MS);
        assert_eq!(dispatches(&mut turn, start + 104 * MS), 0, "the service has no capacity");
        assert_eq!(dispatches(&mut turn, start + 105 * MS), 1);
    }

    #[test]
    fn waiting_batches_take_turns() {
        let (start, limiter) = (now(), paced(16));
        let mut turns = [limiter.turn(), limiter.turn(), limiter.turn()];
        let mut order = Vec::new();
        for time in 0..90 {
            // The third asks first, as the timers and workers of its executor may have it.
            for batch in (0..3).rev() {
                if turns[batch].dispatch(start + time * MS).is_ok() {
                    order.push(batch);
                }
            }
        }
        assert_eq!(order, [2, 1, 0, 2, 1, 0, 2, 1, 0]);
    }

    #[test]
    fn each_waiting_batch_has_a_slot_of_its_own_to_wake_for() {
        let (start, limiter) = (now(), paced(16));
        assert!(limiter.turn().dispatch(start).is_ok());
        let mut turns: Vec<Turn> = (0..4).map(|_| limiter.turn()).collect();
        let wakes = |turn: &mut Turn| turn.check(start).unwrap_err().open - start;
        assert!(turns.iter_mut().map(wakes).eq([10 * MS, 20 * MS, 30 * MS, 40 * MS]));
        // A batch that leaves makes room for those behind it.
        turns.remove(1);
        assert!(turns.iter_mut().map(wakes).eq([10 * MS, 20 * MS, 30 * MS]));
    }

    #[test]
    fn a_batch_that_misses_its_turn_stops_no_other() {
        let (start, limiter) = (now(), paced(16));
        let (mut stuck, mut other) = (limiter.turn(), limiter.turn());
        assert!(other.dispatch(start).is_ok());
        assert!(stuck.check(start).is_err());
        let mut at = start + 10 * MS;
        let closed = other.check(at).unwrap_err();
        assert!(closed.open > at, "it is the turn of the stuck one");
        assert!(other.dispatch(at + GRACE).is_ok());
        // From then on, the other need not wait for it again.
        at += 10 * MS;
        assert!(other.dispatch(at).is_ok());
        at += 10 * MS;
        // A batch that a thread looks at keeps its turn, however late that thread is.
        assert!(stuck.check(at - MS).is_err());
        assert!(stuck.check(at + 15 * MS).is_ok());
        let closed = other.dispatch(at + 15 * MS).unwrap_err();
        assert_eq!(closed.open, at + 15 * MS + GRACE);
        assert_eq!(closed.paced, closed.open, "there is no throttle to wait for");
        assert!(stuck.dispatch(at + 16 * MS).is_ok());
    }
}
