//! The statistics of a limiter.

#[cfg(feature = "metrics")]
use std::mem;
use std::time::{Duration, Instant};

use crate::limiter::closing::Answer;
use crate::limiter::{Closed, Limit, RateLimiter, State};
use crate::primitive::lock;
use crate::stats::RequestStats;

/// The statistics of a limiter since it was made, for all batches of all executors that go through
/// it. Returned by [`RateLimiter::stats`].
///
/// The batches count hedges, time-outs and waits, and report them with their next attempt, or when
/// an attempt or the batch ends. So the counts never fall, and all of a batch is in them when its
/// last attempt has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LimiterStats {
    /// The number of attempts that were dispatched, retries and hedges included.
    pub attempts: u64,
    /// The number of attempts that have not ended.
    pub in_flight: u64,
    /// The number of attempts that ended with
    /// [`AttemptOutcome::Done`](crate::AttemptOutcome::Done).
    pub done: u64,
    /// The number of attempts that ended with
    /// [`AttemptOutcome::Failed`](crate::AttemptOutcome::Failed).
    pub failed: u64,
    /// The number of attempts that ended with
    /// [`AttemptOutcome::Retry`](crate::AttemptOutcome::Retry), or exceeded their
    /// [time-out](crate::Retry::attempt_timeout).
    pub capacity_retries: u64,
    /// The number of attempts that ended with
    /// [`AttemptOutcome::Closed`](crate::AttemptOutcome::Closed).
    pub refused_as_closed: u64,
    /// The number of attempts that ended without an answer: they panicked, were dropped, or were
    /// given up.
    pub unanswered: u64,
    /// The number of attempts that exceeded their [time-out](crate::Retry::attempt_timeout). Their
    /// ends count above, too.
    pub timed_out: u64,
    /// The number of attempts that were [hedges](crate::Hedge).
    pub hedges: u64,
    /// The number of hedges that gave their items the result.
    pub hedges_won: u64,
    /// The number of hedges that did not. Hedges that still run are not counted.
    pub hedges_wasted: u64,
    /// The number of times that an answer or [`RateLimiter::close_until`] closed the service. A
    /// call that only makes a closing longer is not counted.
    pub closings: u64,
    /// The number of batches that wait for their turn.
    pub waiting_batches: usize,
    /// The time for which batches waited for the pace, added up over the batches. A wait is counted
    /// when it ends.
    pub waited_for_pace: Duration,
    /// The further time for which batches waited for the throttle.
    pub waited_for_throttle: Duration,
    /// The further time for which batches waited for a quota.
    pub waited_for_quota: Duration,
    /// The further time for which batches waited for the end of a closing, or for the reset of
    /// [remaining](RateLimiter::set_remaining) requests.
    pub waited_for_closing: Duration,
    /// The further time for which batches waited for the end of other attempts.
    pub waited_for_in_flight: Duration,
    /// The waits of [`Retry`](crate::Retry), added up over the items.
    pub waited_for_retry: Duration,
    /// The instants of the first and of the last dispatch.
    pub(super) dispatched: Option<(Instant, Instant)>,
}

impl LimiterStats {
    /// Returns the achieved rate, in attempts per second, from the first dispatch to the last.
    /// Returns `None` if there were fewer than two attempts, or all at the same instant.
    ///
    /// The rate includes the times without work. For the rate of a period, take the statistics at
    /// its begin and at its end, and divide the difference of the attempts by the time between.
    pub fn rate(&self) -> Option<f64> {
        let (first, last) = self.dispatched?;
        let seconds = last.saturating_duration_since(first).as_secs_f64();
        (seconds > 0.0).then(|| self.attempts.saturating_sub(1) as f64 / seconds)
    }

    pub(super) fn dispatched(&mut self, now: Instant) {
        self.attempts += 1;
        let (first, last) = self.dispatched.unwrap_or((now, now));
        self.dispatched = Some((first, last.max(now)));
    }

    pub(super) fn ended(&mut self, answer: Answer) {
        let counter = match answer {
            Answer::Done => &mut self.done,
            Answer::Failed => &mut self.failed,
            Answer::Retry => &mut self.capacity_retries,
            Answer::Closed(_) => &mut self.refused_as_closed,
            Answer::None => &mut self.unanswered,
        };
        *counter += 1;
    }

    /// Adds what a batch has counted since its last report.
    pub(super) fn add(&mut self, new: &RequestStats) {
        self.timed_out += new.timed_out;
        self.hedges += new.hedges;
        self.hedges_won += new.hedges_won;
        self.hedges_wasted += new.hedges_wasted;
        for (sum, wait) in [
            (&mut self.waited_for_pace, new.waited_for_pace),
            (&mut self.waited_for_throttle, new.waited_for_throttle),
            (&mut self.waited_for_quota, new.waited_for_quota),
            (&mut self.waited_for_closing, new.waited_for_closing),
            (&mut self.waited_for_in_flight, new.waited_for_in_flight),
            (&mut self.waited_for_retry, new.waited_for_retry),
        ] {
            *sum = sum.saturating_add(wait);
        }
    }
}

impl Closed {
    /// Adds a wait of a batch, during which the limiter was closed like this.
    pub(crate) fn add_wait(&self, stats: &mut RequestStats, mut since: Instant, until: Instant) {
        let mut none = Duration::ZERO;
        let by_limit = match self.limit {
            Limit::Quota(_) | Limit::CostQuota(_) => &mut stats.waited_for_quota,
            Limit::Closed | Limit::Remaining => &mut stats.waited_for_closing,
            Limit::InFlight => &mut stats.waited_for_in_flight,
            Limit::Pace => &mut none,
        };
        // The waits for the pace and the throttle come first. A wait for the turn of another batch
        // is part of them.
        for (sum, end) in [
            (&mut stats.waited_for_pace, self.paced),
            (&mut stats.waited_for_throttle, self.throttled),
            (by_limit, self.open),
        ] {
            let end = end.min(until);
            *sum += end.saturating_duration_since(since);
            since = since.max(end);
        }
    }
}

impl RateLimiter {
    /// Returns the statistics of the limiter so far. Each batch also has [its
    /// own](crate::RequestStats).
    ///
    /// ```
    /// use reorder_requests::{AttemptOutcome, Executor, RateLimiter, RequestsExt};
    ///
    /// let executor = Executor::builder().workers(2).build()?;
    /// let limiter = RateLimiter::builder().build()?;
    /// let job = |&n: &u32, _: &_| AttemptOutcome::<u32, ()>::Done(n);
    /// executor.batch(0..8).requests().through(&limiter).submit(job)?.wait();
    /// executor.batch(0..4).requests().through(&limiter).submit(job)?.wait();
    /// let stats = limiter.stats();
    /// assert_eq!((stats.attempts, stats.done, stats.in_flight), (12, 12, 0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Progress
    ///
    /// Blocking: it takes a lock that is held for a few instructions.
    pub fn stats(&self) -> LimiterStats {
        lock(&self.0.state).all_stats()
    }

    /// Publishes what is new in the statistics. The caller holds no lock, because this runs code of
    /// the user.
    pub(crate) fn publish(&self) {
        #[cfg(feature = "metrics")]
        if let Some(metrics) = &*self.0.metrics {
            let mut state = lock(&self.0.state);
            let new = state.all_stats();
            let old = mem::replace(&mut state.published, new);
            drop(state);
            metrics.publish(&old, &new);
        }
    }
}

impl State {
    fn all_stats(&self) -> LimiterStats {
        LimiterStats {
            in_flight: self.in_flight,
            closings: self.closing.number,
            waiting_batches: self.queue.len(),
            ..self.stats
        }
    }
}
