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
//! end of an attempt opens the limiter, [`RateLimiter::attempt_ended`] wakes the first batch.
//!
//! | file | contents |
//! |---|---|
//! | `limiter` | the schedule, and the queue of batches |
//! | `limiter/turn` | one batch in the queue |
//! | `limiter/control` | what users change while batches go through the limiter |
//! | `limiter/stats` | its statistics |
//! | `limiter/metrics` | publishes them by the crate `metrics`, if this feature is on |
//! | `limiter/builder` | its settings |
//! | `limiter/quota` | several quotas at once, and the limit that holds an attempt back |
//! | `limiter/closing` | what the server states: closings, and remaining attempts |

use std::collections::VecDeque;
use std::fmt;
#[cfg(feature = "metrics")]
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Weak};
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};

use crate::limiter::closing::Closing;
use crate::primitive::{Mutex, MutexGuard, lock};
use crate::stats::RequestStats;
use crate::throttle::Throttle;
use reorder_executor::dispatch::{SharedRunTime, SharedTimer, now};

mod builder;
mod closing;
mod control;
#[cfg(feature = "metrics")]
mod metrics;
mod quota;
mod stats;
mod turn;

pub use self::builder::RateLimiterBuilder;
pub(crate) use self::builder::random;
pub(crate) use self::closing::Answer;
use self::quota::Bucket;
pub use self::quota::{Limit, NotUntil, Quota};
pub use self::stats::LimiterStats;
pub(crate) use self::turn::Turn;

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
/// use reorder_requests::{RateLimiter, Throttle};
///
/// let throttle = Throttle::new(Duration::ZERO, Duration::from_secs(5), Duration::from_millis(10));
/// let pace = Duration::from_millis(20);
/// let limiter = RateLimiter::builder().pace(pace).throttle(throttle).build()?;
/// assert_eq!(limiter.delay(), Duration::ZERO);
/// # Ok::<(), reorder_requests::ThrottleError>(())
/// ```
#[derive(Clone)]
pub struct RateLimiter(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// The timer for the first batch in the queue.
    timer: SharedTimer,
    /// The run time of the batches that go through it.
    runtime: SharedRunTime,
    /// The counters of its statistics, if it has a name. It catches the panics of the recorder, so
    /// the feature takes no auto trait away.
    #[cfg(feature = "metrics")]
    metrics: AssertUnwindSafe<Option<metrics::Metrics>>,
}

struct State {
    settings: RateLimiterBuilder,
    /// One for each quota of the settings.
    buckets: Vec<Bucket>,
    /// Its counters. The other numbers are added when a user asks.
    stats: LimiterStats,
    /// The attempts in flight.
    in_flight: u64,
    /// The statistics that were published.
    #[cfg(feature = "metrics")]
    published: LimiterStats,
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
    waker: Option<Waker>,
    /// The cost of its next attempt.
    cost: u64,
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
pub(crate) struct Dispatched {
    round: u64,
    /// The number of closings before it.
    closing: u64,
    /// The length of these closings.
    pub(crate) closed: Duration,
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
    /// The limit that keeps the batch after the throttle has allowed it.
    pub(crate) limit: Limit,
}

impl RateLimiter {
    /// Returns a builder with default settings.
    pub fn builder() -> RateLimiterBuilder {
        RateLimiterBuilder::default()
    }

    /// Returns a limiter that allows everything.
    pub(crate) fn unlimited() -> RateLimiter {
        RateLimiter::with(RateLimiter::builder(), builder::random())
    }

    fn with(settings: RateLimiterBuilder, random: fastrand::Rng) -> RateLimiter {
        let delay = settings.throttle.as_ref().map_or(Duration::ZERO, Throttle::floor);
        let now = now();
        let bucket = |&(quota, is_of_cost): &(_, _)| Bucket::new(quota, is_of_cost, now);
        #[cfg(feature = "metrics")]
        let metrics = AssertUnwindSafe(settings.name.clone().map(metrics::Metrics::new));
        let state = State {
            buckets: settings.quotas.iter().map(bucket).collect(),
            settings,
            stats: LimiterStats::default(),
            in_flight: 0,
            #[cfg(feature = "metrics")]
            published: LimiterStats::default(),
            last: None,
            delay,
            not_before: None,
            closing: Closing::new(now),
            chance: 0.0,
            round: 0,
            random,
            queue: VecDeque::new(),
            places: 0,
            #[cfg(test)]
            asked: 0,
        };
        let (state, timer) = (Mutex::new(state), SharedTimer::default());
        RateLimiter(Arc::new(Shared {
            state,
            timer,
            runtime: SharedRunTime::default(),
            #[cfg(feature = "metrics")]
            metrics,
        }))
    }

    #[cfg(test)]
    pub(crate) fn without_jitter(self) -> RateLimiter {
        lock(&self.0.state).closing.without_jitter();
        self
    }

    #[cfg(test)]
    pub(crate) fn close_at(&self, until: Instant, now: Instant) {
        lock(&self.0.state).close(until, now);
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

    /// Returns the length of all closings so far, each with its longest jitter.
    pub(crate) fn closed_in_all(&self) -> Duration {
        lock(&self.0.state).closing.total
    }

    /// Returns the turns of a new batch among the batches that go through the limiter. The limiter
    /// wakes the batch when its turn has come.
    pub(crate) fn turn(&self, waker: Option<Waker>) -> Turn {
        let (counted, reported) = (RequestStats::default(), RequestStats::default());
        let limiter = self.clone();
        Turn { limiter, place: None, waker, cost: 1, told: Vec::new(), counted, reported }
    }

    /// Returns `true` if the system refused the thread of the timers: batches that wait have to
    /// look again.
    pub(crate) fn is_timer_lost(&self) -> bool {
        self.0.timer.is_lost()
    }

    /// Returns the run time of the batches at this limiter.
    pub(crate) fn run_time(&self) -> &SharedRunTime {
        &self.0.runtime
    }

    #[cfg(test)]
    pub(crate) fn ended(&self, dispatch: Dispatched, answer: Answer, now: Instant) -> Duration {
        self.attempt_ended(dispatch, answer, &RequestStats::default(), now)
    }

    /// Records the end of an attempt, and what its batch has counted since its last report. Returns
    /// the new delay.
    pub(crate) fn attempt_ended(
        &self,
        dispatch: Dispatched,
        answer: Answer,
        counted: &RequestStats,
        now: Instant,
    ) -> Duration {
        let mut state = lock(&self.0.state);
        let (before, was_full) = (state.delay, state.is_full());
        state.in_flight = state.in_flight.saturating_sub(1);
        state.stats.ended(answer);
        state.stats.add(counted);
        state.closing.ended(dispatch.closing, matches!(answer, Answer::Done | Answer::Failed));
        if let (Some(throttle), true) = (state.settings.throttle, dispatch.round == state.round) {
            match answer {
                Answer::Done => {
                    state.delay = throttle.shorter(before);
                    if state.delay < before {
                        state.open_from(now);
                    }
                }
                Answer::Retry | Answer::Closed(_) => {
                    state.delay = throttle.longer(before);
                    state.round += 1;
                    // A service without capacity gets no requests that make up for late ones.
                    if let Some(last) = &mut state.last {
                        last.due = last.at;
                    }
                }
                Answer::Failed | Answer::None => {}
            }
        }
        if let Answer::Closed(time) = answer {
            state.close(later(now, time), now);
        }
        let has_room = was_full && !state.is_full();
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
    /// Called after each change of the queue or of the schedule, without the lock of a dispatcher.
    fn serve(&self, state: MutexGuard<'_, State>, now: Instant) {
        self.arm(state, now).into_iter().for_each(Waker::wake);
    }

    /// Returns the batches whose turn it is, or arms the timer for that instant.
    ///
    /// The caller wakes these batches when it holds no lock. This takes locks of a scheduler, and
    /// runs the wakers of consumers.
    fn arm(&self, mut state: MutexGuard<'_, State>, now: Instant) -> Vec<Waker> {
        let (told, at) = self.next_turn(&mut state, now);
        if let Some(at) = at {
            let waker = || Waker::from(Arc::new(TurnWaker(Arc::downgrade(&self.0))));
            // The batches that wait look again if the timer is lost.
            _ = self.0.timer.set(at, now, waker);
        }
        told
    }

    /// Returns the batches whose turn it is now, and the instant at which to look again.
    fn next_turn(&self, state: &mut State, now: Instant) -> (Vec<Waker>, Option<Instant>) {
        let is_unlimited = self.is_unlimited(state, now);
        let is_full = state.is_full();
        while let Some(cost) = state.queue.front().map(|first| first.cost) {
            let open = self.opening(state, cost, now);
            let Some(first) = state.queue.front_mut() else { break };
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
            let told = if is_told { Vec::new() } else { vec![waker.clone()] };
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
            && state.buckets.is_empty()
            && state.settings.max_in_flight == u64::MAX
    }

    /// Returns the instant of the next slot in the schedule, if there was a dispatch.
    fn next_slot(&self, state: &State) -> Option<Instant> {
        let interval = self.interval(state);
        state.last.filter(|_| !interval.is_zero()).map(|last| later(last.due, interval))
    }

    /// Returns the limit that holds back an attempt of this cost for longest, and its instant. The
    /// instant is `None` if an attempt has to end before. It may have passed.
    fn latest(&self, state: &State, cost: u64) -> Option<NotUntil> {
        if state.is_full() {
            return Some(NotUntil { limit: Limit::InFlight, earliest: None });
        }
        let buckets = state.buckets.iter().map(|bucket| {
            let limit = if bucket.is_of_cost { Limit::CostQuota } else { Limit::Quota };
            (limit(bucket.quota), bucket.opening(cost))
        });
        let others = [
            (Limit::Pace, self.next_slot(state)),
            (Limit::Closed, state.not_before),
            (Limit::Remaining, state.closing.reset()),
        ];
        let (limit, earliest) = others.into_iter().chain(buckets).max_by_key(|&(_, at)| at)?;
        earliest.map(|_| NotUntil { limit, earliest })
    }

    /// Returns the instant from which on the limiter is open for this cost. It is far away if the
    /// limiter opens when an attempt ends, and `None` if nothing has closed it.
    fn opening(&self, state: &State, cost: u64, now: Instant) -> Option<Instant> {
        self.latest(state, cost).map(|it| it.earliest.unwrap_or_else(|| later(now, FAR)))
    }

    fn interval(&self, state: &State) -> Duration {
        let RateLimiterBuilder { pace, throttle, .. } = state.settings;
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

impl State {
    /// Notes that no slot before this instant was open.
    fn open_from(&mut self, at: Instant) {
        self.not_before = self.not_before.max(Some(at));
    }

    fn is_full(&self) -> bool {
        self.closing.is_full() || self.in_flight >= self.settings.max_in_flight
    }

    fn close(&mut self, until: Instant, now: Instant) {
        let State { closing, random, .. } = self;
        if let Some(open) = closing.close(until, now, || random.f64()) {
            self.open_from(open);
        }
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
        let made_up = interval.saturating_mul(state.settings.burst.get() - 1);
        let earliest = now.checked_sub(made_up).into_iter().chain(state.not_before).max();
        earliest.map_or(due, |earliest| due.max(earliest.min(now)))
    }
}

impl fmt::Debug for RateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A copy: the formatter may run user code, or block.
        f.debug_struct("RateLimiter").field("settings", &self.settings()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
