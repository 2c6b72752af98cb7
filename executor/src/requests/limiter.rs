//! The rate limiter that the batches of one service share.
//!
//! The limiter keeps a schedule: the next slot is the last slot plus the interval. So a thread that
//! comes late does not push back all later slots. A slot counts as late only while a batch waits.
//! An idle limiter begins a new schedule at the next dispatch.
//!
//! Batches that wait stand in a queue, and only the first is let through. It goes to the back after
//! its dispatch. So batches take turns, whatever their attempts cost.
//!
//! The limiter has one timer, for the slot of the first batch. It [wakes](BatchWaker) that batch.
//! No thread looks at the other batches, so a dispatch costs the same for any number of them. A
//! first batch that does not come for [`GRACE`] after its slot loses its place. If only the
//! end of an attempt opens the limiter, [`RateLimiter::ended`] wakes the first batch.
//!
//! | file | contents |
//! |---|---|
//! | `limiter` | the schedule, and the queue of batches |
//! | `limiter/builder` | its settings |
//! | `limiter/closing` | what the server states: closings, and remaining attempts |

use std::collections::VecDeque;
use std::fmt;
use std::ptr;
use std::sync::{Arc, Weak};
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};

use crate::limits::SharedTimer;
use crate::primitive::{Mutex, MutexGuard, lock, now};
use crate::requests::batch_waker::BatchWaker;
use crate::requests::limiter::closing::Closing;
use crate::requests::throttle::Throttle;
use crate::scheduler::{RunTime, Scheduler};

mod builder;
mod closing;

pub use self::builder::RateLimiterBuilder;
pub(crate) use self::closing::Answer;

/// The duration that stands for "never". Every clock can represent this instant.
const FAR: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// The time that other batches leave to the batch whose turn it is. In random schedules, batches
/// also miss their turns.
const GRACE: Duration = Duration::from_micros(if cfg!(reorder_shuttle) { 20 } else { 2000 });

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
    /// The timer for the first batch in the queue.
    timer: SharedTimer,
    /// The schedulers whose batches go through it, and the run time of those batches.
    schedulers: Mutex<Vec<(Weak<Scheduler>, Arc<RunTime>)>>,
}

struct State {
    last: Option<Slot>,
    delay: Duration,
    /// No slot before this instant was open: the delay became shorter, the service was closed, or
    /// too many attempts were in flight.
    not_before: Option<Instant>,
    closing: Closing,
    /// The share of the jitter that the next delay has, from 0 to 1.
    chance: f64,
    /// The number of times that the throttle has backed off.
    round: u64,
    random: fastrand::Rng,
    /// The batches that wait for a slot, in the order of their turns.
    queue: VecDeque<Waiting>,
    /// The number of places in the queue that were taken.
    places: u64,
    /// The number of times that a batch has asked.
    #[cfg(test)]
    asked: u64,
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
    /// The number of its place. The numbers of a queue increase.
    place: u64,
    since: Instant,
    /// When a thread last looked whether the batch may dispatch.
    asked: Instant,
    /// When the batch was told that its slot is open.
    told: Option<Instant>,
    /// Wakes the batch at its slot.
    waker: Option<Arc<BatchWaker>>,
}

impl Waiting {
    /// Returns the instant from which on other batches do not wait for this one, which is the first
    /// of the queue. The limiter is open from `open` on.
    fn is_late_at(&self, open: Option<Instant>) -> Instant {
        later(open.map_or(self.asked, |open| open.max(self.asked)), GRACE)
    }
}

/// An attempt that was let through, for the answer to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dispatch {
    round: u64,
    /// The number of closings before it.
    closing: u64,
}

/// Until when nothing is let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Closed {
    /// The instant at which the pace allows the dispatch.
    pub(crate) paced: Instant,
    /// The instant at which the throttle allows it, too.
    pub(crate) throttled: Instant,
    /// The instant at which the batch asks again. It is far away if the limiter opens by an event.
    pub(crate) open: Instant,
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
            not_before: None,
            closing: Closing::new(now()),
            chance: 0.0,
            round: 0,
            random,
            queue: VecDeque::new(),
            places: 0,
            #[cfg(test)]
            asked: 0,
        };
        let (state, timer) = (Mutex::new(state), SharedTimer::default());
        RateLimiter(Arc::new(Shared { settings, state, timer, schedulers: Mutex::default() }))
    }

    #[cfg(test)]
    pub(crate) fn without_jitter(self) -> RateLimiter {
        lock(&self.0.state).closing.without_jitter();
        self
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

    /// Closes the service until this instant, for all batches of all executors that go through the
    /// limiter. No attempt starts before it. Attempts that run go on. Call it if the server bans
    /// its clients, such as by a `Retry-After`. An attempt whose answer says so returns
    /// [`AttemptOutcome::Closed`](crate::AttemptOutcome::Closed) instead, which does the same.
    ///
    /// * An instant before the end of an earlier closing, or in the past, changes nothing.
    /// * The service opens a random time later: at most a 32nd of the time of the closing.
    /// * Then one attempt starts. After its answer there are up to 2 attempts in flight, and so on:
    ///   each answer allows one more. An attempt that never ends holds up this slow start, so give
    ///   your attempts a time-out.
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    /// use reorder_executor::RateLimiter;
    ///
    /// let limiter = RateLimiter::builder().build()?;
    /// // The server said `Retry-After: 30`.
    /// limiter.close_until(Instant::now() + Duration::from_secs(30));
    /// # Ok::<(), reorder_executor::ThrottleError>(())
    /// ```
    ///
    /// # Progress
    ///
    /// Blocking: it takes a lock that is held for a few instructions.
    pub fn close_until(&self, until: Instant) {
        lock(&self.0.state).close(until, now());
    }

    /// Sets the number of requests that the server takes until `reset`, as its rate-limit headers
    /// state them: `RateLimit-Remaining` and `RateLimit-Reset`. After that many attempts, the
    /// limiter starts none before `reset`. From `reset` on, the number has no effect.
    ///
    /// Call it in the job, for each answer with such headers: the latest call counts. The server
    /// may not have counted the other attempts in flight, so the limiter subtracts them.
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    /// use reorder_executor::{AttemptOutcome, Executor, RateLimiter};
    ///
    /// let executor = Executor::builder().workers(2).build()?;
    /// let limiter = RateLimiter::builder().build()?;
    /// let headers = limiter.clone();
    /// let job = move |&n: &u32, _: &_| {
    ///     // The answer says `RateLimit-Remaining: 99` and `RateLimit-Reset: 60`.
    ///     headers.set_remaining(99, Instant::now() + Duration::from_secs(60));
    ///     AttemptOutcome::<u32, ()>::Done(n)
    /// };
    /// let handle = executor.batch(0..3).requests().through(&limiter).submit(job)?;
    /// assert_eq!(handle.wait().into_values().unwrap(), [0, 1, 2]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Progress
    ///
    /// Blocking: it takes a lock that is held for a few instructions.
    pub fn set_remaining(&self, requests: u64, reset: Instant) {
        let mut state = lock(&self.0.state);
        state.closing.set_remaining(requests, reset);
        self.serve(state, now());
    }

    /// Returns the turns of a new batch among the batches that go through the limiter. The limiter
    /// wakes the batch when its turn has come.
    pub(crate) fn turn(&self, waker: Option<Arc<BatchWaker>>) -> Turn {
        Turn { limiter: self.clone(), place: None, waker }
    }

    /// Returns `true` if the system refused the thread of the timers: batches that wait have to
    /// look again.
    pub(crate) fn is_timer_lost(&self) -> bool {
        self.0.timer.is_lost()
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

    /// Records the end of an attempt. Returns the new delay.
    pub(crate) fn ended(&self, dispatch: Dispatch, answer: Answer, now: Instant) -> Duration {
        let mut state = lock(&self.0.state);
        let (before, was_full) = (state.delay, state.closing.is_full());
        state.closing.ended(dispatch.closing, matches!(answer, Answer::Done | Answer::Failed));
        if let (Some(throttle), true) = (&self.0.settings.throttle, dispatch.round == state.round) {
            match answer {
                Answer::Done => {
                    state.delay = throttle.shorter(before);
                    if state.delay < before {
                        state.open_from(now);
                    }
                }
                Answer::Retry => {
                    state.delay = throttle.longer(before);
                    state.round += 1;
                    // A service without capacity gets no requests that make up for late ones.
                    if let Some(last) = &mut state.last {
                        last.due = last.at;
                    }
                }
                Answer::Failed | Answer::Closed(_) | Answer::None => {}
            }
        }
        if let Answer::Closed(time) = answer {
            state.close(later(now, time), now);
        }
        let has_room = was_full && !state.closing.is_full();
        if has_room {
            state.open_from(now);
        }
        let delay = state.delay;
        if delay < before || has_room {
            self.serve(state, now);
        }
        delay
    }

    /// Tells the batch whose turn it is, or arms the timer for that instant.
    ///
    /// Called after each change of the queue or of the schedule.
    fn serve(&self, mut state: MutexGuard<'_, State>, now: Instant) {
        let (told, at) = self.next_turn(&mut state, now);
        if let Some(at) = at {
            let waker = || Waker::from(Arc::new(TurnWaker(Arc::downgrade(&self.0))));
            // The batches that wait look again if the timer is lost.
            _ = self.0.timer.set(at, now, waker);
        }
        // Not under the lock, because this takes locks of a scheduler.
        drop(state);
        told.iter().for_each(|batch| batch.wake());
    }

    /// Returns the batches whose turn it is now, and the instant at which to look again.
    fn next_turn(
        &self,
        state: &mut State,
        now: Instant,
    ) -> (Vec<Arc<BatchWaker>>, Option<Instant>) {
        let open = self.opening(state, now);
        let is_unlimited = self.is_unlimited(state, now);
        let is_full = state.closing.is_full();
        while let Some(first) = state.queue.front_mut() {
            let Some(waker) = &first.waker else { break };
            if is_unlimited {
                let told = state.queue.drain(..).filter_map(|waiting| waiting.waker);
                return (told.collect(), None);
            }
            if is_full {
                return (Vec::new(), None);
            }
            if let Some(open) = open.filter(|&open| now < open) {
                return (Vec::new(), Some(open));
            }
            let is_told = first.told.is_some_and(|told| open.is_none_or(|open| open <= told));
            let told = if is_told { Vec::new() } else { vec![Arc::clone(waker)] };
            if !is_told {
                first.told = Some(now);
                first.asked = first.asked.max(now);
            }
            let late = later(first.asked, GRACE);
            if state.queue.len() == 1 {
                return (told, None);
            }
            if now < late {
                return (told, Some(late));
            }
            // The batch did not come, and loses its place.
            state.queue.pop_front();
        }
        (Vec::new(), None)
    }

    /// Returns `true` if nothing keeps any number of attempts from being dispatched.
    fn is_unlimited(&self, state: &State, now: Instant) -> bool {
        self.interval(state).is_zero()
            && state.not_before.is_none_or(|it| it <= now)
            && state.closing.is_unlimited()
    }

    /// Returns the instant of the next slot in the schedule, if there was a dispatch.
    fn next_slot(&self, state: &State) -> Option<Instant> {
        let interval = self.interval(state);
        state.last.filter(|_| !interval.is_zero()).map(|last| later(last.due, interval))
    }

    /// Returns the instant from which on the limiter is open. It is far away if the limiter opens
    /// when an attempt ends, and `None` if nothing has closed it.
    fn opening(&self, state: &State, now: Instant) -> Option<Instant> {
        let slot = self.next_slot(state).max(state.not_before).max(state.closing.reset());
        if state.closing.is_full() { Some(later(now, FAR)) } else { slot }
    }

    fn interval(&self, state: &State) -> Duration {
        let RateLimiterBuilder { pace, throttle, .. } = self.0.settings;
        let delay = throttle.map_or(Duration::ZERO, |it| it.jittered(state.delay, state.chance));
        delay.max(pace)
    }
}

/// Serves the queue when the timer of a limiter fires.
struct TurnWaker(Weak<Shared>);

impl Wake for TurnWaker {
    fn wake(self: Arc<Self>) {
        if let Some(shared) = self.0.upgrade() {
            let limiter = RateLimiter(shared);
            let state = lock(&limiter.0.state);
            // A batch whose thread read the clock before may take the timer for armed.
            limiter.0.timer.clear();
            let now = now();
            limiter.serve(state, now);
        }
    }
}

/// The turns of a batch among the batches that go through one limiter.
pub(crate) struct Turn {
    limiter: RateLimiter,
    /// The number of its place in the queue. It may have lost the place.
    place: Option<u64>,
    waker: Option<Arc<BatchWaker>>,
}

impl State {
    /// Notes that no slot before this instant was open.
    fn open_from(&mut self, at: Instant) {
        self.not_before = self.not_before.max(Some(at));
    }

    fn close(&mut self, until: Instant, now: Instant) {
        let State { closing, random, .. } = self;
        if let Some(open) = closing.close(until, now, || random.f64()) {
            self.open_from(open);
        }
    }
}

impl Turn {
    /// Returns `Ok` if the batch may dispatch an attempt now. Otherwise the batch waits in the
    /// queue, until it dispatches or leaves.
    pub(crate) fn check(&mut self, now: Instant) -> Result<(), Closed> {
        let limiter = self.limiter.clone();
        let mut state = lock(&limiter.0.state);
        let result = self.ask(&mut state, now);
        if result.is_err() {
            limiter.serve(state, now);
        }
        result
    }

    /// Returns the number of batches before this one in the queue, if it is there.
    fn earlier(&self, state: &State) -> Option<usize> {
        let own = self.place?;
        state.queue.binary_search_by_key(&own, |waiting| waiting.place).ok()
    }

    fn ask(&mut self, state: &mut State, now: Instant) -> Result<(), Closed> {
        #[cfg(test)]
        {
            state.asked += 1;
        }
        if self.limiter.is_unlimited(state, now) {
            return Ok(());
        }
        let open = self.limiter.opening(state, now);
        let earlier = self.earlier(state);
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
        let (pace, interval) = (self.limiter.0.settings.pace, self.limiter.interval(state));
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
        Closed { paced: paced.min(throttled), throttled, open: at }
    }

    /// Returns the instant from which on the batch may dispatch, unless another batch does so
    /// before. Returns `None` if the limiter does not keep the batch.
    pub(crate) fn opening(&self, now: Instant) -> Option<Instant> {
        let limiter = &self.limiter;
        let state = lock(&limiter.0.state);
        if limiter.is_unlimited(&state, now) {
            return None;
        }
        let open = limiter.opening(&state, now);
        let others = state.queue.front().filter(|_| self.earlier(&state) != Some(0));
        others.map_or(open, |first| Some(first.is_late_at(open)))
    }

    /// Enters the queue. Returns the number of batches before this one.
    fn enter(&mut self, state: &mut State, now: Instant) -> usize {
        state.places += 1;
        self.place = Some(state.places);
        let (place, waker) = (state.places, self.waker.clone());
        state.queue.push_back(Waiting { place, since: now, asked: now, told: None, waker });
        state.queue.len() - 1
    }

    /// Dispatches an attempt, if the limiter allows it now.
    pub(crate) fn dispatch(&mut self, now: Instant) -> Result<Dispatch, Closed> {
        let limiter = self.limiter.clone();
        let mut state = lock(&limiter.0.state);
        if let Err(closed) = self.ask(&mut state, now) {
            limiter.serve(state, now);
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
        if let Some(reset) = state.closing.dispatched(now) {
            state.open_from(reset);
        }
        if limiter.0.settings.throttle.as_ref().is_some_and(Throttle::has_jitter) {
            state.chance = state.random.f64();
        }
        let dispatch = Dispatch { round: state.round, closing: state.closing.number };
        limiter.serve(state, now);
        // The timer may be late, and that batch may still rest. It has to ask for another place.
        told.iter().for_each(|batch| batch.wake());
        Ok(dispatch)
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
            limiter.serve(state, now);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.leave(now());
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
            let waited = state.queue.front().map_or(now, |first| first.since);
            open.max(waited)
        };
        let made_up = interval.saturating_mul(self.0.settings.burst.get() - 1);
        let earliest = now.checked_sub(made_up).into_iter().chain(state.not_before).max();
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
mod tests;
