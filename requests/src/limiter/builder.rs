//! The settings of a rate limiter.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use crate::limiter::{Quota, RateLimiter};
use crate::throttle::{Throttle, ThrottleError};

/// The default of [`RateLimiterBuilder::burst`].
const BURST: NonZeroU32 = NonZeroU32::new(16).expect("it is not 0");

/// The settings of a [`RateLimiter`]. Made by [`RateLimiter::builder`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct RateLimiterBuilder {
    pub(super) pace: Duration,
    pub(super) burst: NonZeroU32,
    pub(super) throttle: Option<Throttle>,
    /// Each with `true` if it counts costs.
    pub(super) quotas: Vec<(Quota, bool)>,
    pub(super) max_in_flight: u64,
    pub(super) name: Option<Arc<str>>,
}

impl Default for RateLimiterBuilder {
    fn default() -> Self {
        RateLimiterBuilder {
            pace: Duration::ZERO,
            burst: BURST,
            throttle: None,
            quotas: Vec::new(),
            max_in_flight: u64::MAX,
            name: None,
        }
    }
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
    /// # use reorder_requests::RateLimiter;
    /// let strict = RateLimiter::builder().pace(Duration::from_millis(20)).burst(NonZeroU32::MIN);
    /// # strict.build()?;
    /// # Ok::<(), reorder_requests::ThrottleError>(())
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

    /// Adds a quota of requests. An attempt starts when all quotas have room for it.
    /// [`Quota`] has an example.
    pub fn quota(mut self, quota: Quota) -> Self {
        self.quotas.push((quota, false));
        self
    }

    /// Adds a quota of costs, such as tokens per minute.
    /// [`Requests::cost`](crate::Requests::cost) sets the cost of an attempt. An attempt that costs
    /// more than the burst starts when the quota is full, and later attempts wait until all of its
    /// cost has come back. [`Quota`] has an example.
    pub fn cost_quota(mut self, quota: Quota) -> Self {
        self.quotas.push((quota, true));
        self
    }

    /// Sets the maximum number of attempts in flight, for all batches. There is none by default.
    /// [`Quota`] has an example.
    ///
    /// An attempt that never ends keeps its place. A job must not wait for attempts through the
    /// same limiter, because they may wait for its end.
    pub fn max_in_flight(mut self, attempts: NonZeroU32) -> Self {
        self.max_in_flight = attempts.get().into();
        self
    }

    /// Sets the name of the service. [`Debug`](std::fmt::Debug) shows it.
    ///
    /// With the feature `metrics`, a limiter with a name publishes its
    /// [statistics](crate::LimiterStats) by the crate [`metrics`](https://docs.rs/metrics), to the
    /// recorder that is installed when [`build`](RateLimiterBuilder::build) is called. The label
    /// `limiter` is the name. Limiters of the same name add up.
    ///
    /// | name, after `reorder_requests_` | kind | label | counts |
    /// |---|---|---|---|
    /// | `attempts_total` | counter | | attempts that were dispatched |
    /// | `ended_total` | counter | `answer`: `done`, `failed`, `retry`, `closed`, `none` | attempts that ended |
    /// | `timed_out_total` | counter | | attempts that exceeded their time-out |
    /// | `hedges_total` | counter | | hedges that were dispatched |
    /// | `hedges_ended_total` | counter | `result`: `won`, `wasted` | hedges that ended |
    /// | `closings_total` | counter | | closings of the service |
    /// | `waited_milliseconds_total` | counter | `cause`: `pace`, `throttle`, `quota`, `closing`, `in_flight`, `retry` | waits of the batches; for `retry`, of the items |
    /// | `in_flight` | gauge | | attempts that have not ended |
    ///
    /// They change when an attempt starts or ends, and when a batch ends.
    ///
    /// ```
    /// # use reorder_requests::RateLimiter;
    /// let limiter = RateLimiter::builder().name("geocoder").build()?;
    /// # Ok::<(), reorder_requests::ThrottleError>(())
    /// ```
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Builds the limiter.
    ///
    /// # Errors
    ///
    /// [`ThrottleError`] if the throttle would never back off, or never recover.
    pub fn build(self) -> Result<RateLimiter, ThrottleError> {
        self.throttle.as_ref().map_or(Ok(()), Throttle::check)?;
        Ok(RateLimiter::with(self, random()))
    }
}

/// Returns the random numbers of a new limiter or batch.
pub(crate) fn random() -> fastrand::Rng {
    // Schedules repeat themselves.
    let seed = cfg!(reorder_shuttle).then_some(0);
    seed.map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed)
}
