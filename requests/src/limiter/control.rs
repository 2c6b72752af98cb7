//! The methods that change a limiter while batches go through it.

use std::time::{Duration, Instant};

use crate::limiter::quota::Bucket;
use crate::limiter::{Limit, NotUntil, RateLimiter, RateLimiterBuilder, State};
use crate::primitive::lock;
use crate::throttle::{Throttle, ThrottleError};
use reorder_executor::dispatch::now;

impl RateLimiter {
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
    /// use reorder_requests::RateLimiter;
    ///
    /// let limiter = RateLimiter::builder().build()?;
    /// // The server said `Retry-After: 30`.
    /// limiter.close_until(Instant::now() + Duration::from_secs(30));
    /// # Ok::<(), reorder_requests::ThrottleError>(())
    /// ```
    ///
    /// # Progress
    ///
    /// Blocking: it takes a lock that is held for a few instructions.
    pub fn close_until(&self, until: Instant) {
        let (mut state, now) = (lock(&self.0.state), now());
        state.close(until, now);
        // A batch that waited for the end of an attempt may wait for this instant now.
        self.serve(state, now);
        self.publish();
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
    /// use reorder_requests::{AttemptOutcome, Executor, RateLimiter, RequestsExt};
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

    /// Returns the limit that holds back an attempt of this cost now, and until when. If several
    /// limits do, it is the last that opens. Returns `None` if the attempt could start, or waits
    /// only for the turns of other batches. [`Quota`](crate::Quota) has an example.
    ///
    /// # Progress
    ///
    /// Blocking: it takes a lock that is held for a few instructions per quota.
    pub fn not_until(&self, cost: u64) -> Option<NotUntil> {
        self.not_until_at(&lock(&self.0.state), cost, now())
    }

    pub(super) fn not_until_at(&self, state: &State, cost: u64, now: Instant) -> Option<NotUntil> {
        // A service that is closed takes no attempt, however many are in flight.
        let closed = state.not_before.filter(|&at| now < at);
        match self.latest(state, cost).filter(|it| it.earliest.is_none_or(|at| now < at)) {
            Some(NotUntil { limit: Limit::InFlight, .. }) if closed.is_some() => {
                Some(NotUntil { limit: Limit::Closed, earliest: closed })
            }
            other => other,
        }
    }

    /// Corrects the cost of an attempt in the [cost quotas](RateLimiterBuilder::cost_quota), from
    /// the estimate of its [batch](crate::Requests::cost) to the actual cost. Call it when the
    /// answer tells the actual cost.
    ///
    /// ```
    /// # use reorder_requests::RateLimiter;
    /// # let limiter = RateLimiter::builder().build()?;
    /// // The batch has an estimate of 500 tokens. The answer took 120.
    /// limiter.correct_cost(500, 120);
    /// # Ok::<(), reorder_requests::ThrottleError>(())
    /// ```
    ///
    /// # Progress
    ///
    /// Blocking: it takes a lock that is held for a few instructions per quota.
    pub fn correct_cost(&self, estimate: u64, actual: u64) {
        let (mut state, now) = (lock(&self.0.state), now());
        state.buckets.iter_mut().for_each(|bucket| bucket.correct(estimate, actual, now));
        self.serve(state, now);
    }

    /// Returns the settings, from which other ones can be made for
    /// [`reconfigure`](RateLimiter::reconfigure).
    ///
    /// # Progress
    ///
    /// Blocking: it takes a lock that is held for a few instructions.
    pub fn settings(&self) -> RateLimiterBuilder {
        lock(&self.0.state).settings.clone()
    }

    /// Changes the settings, while batches go through the limiter. Attempts in flight go on. The
    /// n-th quota keeps what was spent of the n-th quota before, if both count the same. The name
    /// stays.
    ///
    /// ```
    /// use std::time::Duration;
    /// use reorder_requests::RateLimiter;
    ///
    /// let limiter = RateLimiter::builder().pace(Duration::from_millis(20)).build()?;
    /// limiter.reconfigure(limiter.settings().pace(Duration::from_millis(50)))?;
    /// # Ok::<(), reorder_requests::ThrottleError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ThrottleError`](crate::ThrottleError) as for [`RateLimiterBuilder::build`]. Then nothing
    /// has changed.
    ///
    /// # Progress
    ///
    /// Blocking: it takes a lock that is held for a few instructions per quota.
    pub fn reconfigure(&self, settings: RateLimiterBuilder) -> Result<(), ThrottleError> {
        settings.throttle.as_ref().map_or(Ok(()), Throttle::check)?;
        self.change(settings, now());
        Ok(())
    }

    pub(super) fn change(&self, settings: RateLimiterBuilder, now: Instant) {
        let mut state = lock(&self.0.state);
        let quotas = settings.quotas.iter().enumerate();
        let buckets = quotas.map(|(place, &(quota, is_of_cost))| {
            let known = state.buckets.get(place).filter(|known| known.is_of_cost == is_of_cost);
            let mut bucket = known.copied().unwrap_or(Bucket::new(quota, is_of_cost, now));
            bucket.change(quota, now);
            bucket
        });
        state.buckets = buckets.collect();
        let floor = settings.throttle.as_ref().map_or(Duration::ZERO, Throttle::floor);
        state.delay = settings.throttle.map_or(floor, |it| it.clamped(state.delay));
        let name = state.settings.name.take();
        state.settings = RateLimiterBuilder { name, ..settings };
        state.open_from(now);
        self.serve(state, now);
    }
}
