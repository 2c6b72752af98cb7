//! The statistics of a limiter.

use std::time::{Duration, Instant};

use crate::limiter::RateLimiter;
use crate::limiter::closing::Answer;
use crate::primitive::lock;

/// The statistics of a limiter since it was made, for all batches of all executors that go through
/// it. Returned by [`RateLimiter::stats`].
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
    /// The further time for which batches waited for a quota, for the end of a closing, or for the
    /// end of other attempts.
    pub waited_for_service: Duration,
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

    /// Adds the waits of a batch for the pace, the throttle and the service.
    pub(super) fn waited(&mut self, waits: [Duration; 3]) {
        let sums = [
            &mut self.waited_for_pace,
            &mut self.waited_for_throttle,
            &mut self.waited_for_service,
        ];
        for (sum, wait) in sums.into_iter().zip(waits) {
            *sum = sum.saturating_add(wait);
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
        let state = lock(&self.0.state);
        LimiterStats {
            in_flight: state.in_flight,
            closings: state.closing.number,
            waiting_batches: state.queue.len(),
            ..state.stats
        }
    }
}
