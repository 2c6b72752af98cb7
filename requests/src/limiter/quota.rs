//! Quotas of a service, as token buckets.
//!
//! A bucket counts what was spent, in tokens times nanoseconds of the period. So its arithmetic is
//! exact: in each nanosecond, as many units come back as the quota has tokens per period.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use crate::limiter::later;

/// A number of requests, or of tokens, per period of time.
///
/// A quota is a token bucket. It starts full, and holds as many tokens as its
/// [burst](Quota::allow_burst). In each span of time `t` at most `n * t / period + burst` are
/// taken, if no attempt costs more than the burst. A service that counts in windows of one period
/// may count up to `n + burst`. Choose both so that this sum is at most the limit of the service.
///
/// ```
/// use std::num::NonZeroU32;
/// use reorder_requests::{Quota, RateLimiter};
///
/// let n = |n| NonZeroU32::new(n).expect("it is not 0");
/// // At most 10 requests in any second, and 300 requests and 90,000 tokens in any minute.
/// let limiter = RateLimiter::builder()
///     .quota(Quota::per_second(n(8)).allow_burst(n(2)))
///     .quota(Quota::per_minute(n(270)).allow_burst(n(30)))
///     .cost_quota(Quota::per_minute(n(80_000)).allow_burst(n(10_000)))
///     .max_in_flight(n(16))
///     .build()?;
/// assert_eq!(limiter.not_until(500), None);
/// # Ok::<(), reorder_requests::ThrottleError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "it is a setting"]
pub struct Quota {
    amount: NonZeroU32,
    nanos: u64,
    burst: NonZeroU32,
}

impl Quota {
    /// Returns a quota of `n` per second, with a burst of `n`.
    pub fn per_second(n: NonZeroU32) -> Quota {
        Quota::of_nanos(n, 1_000_000_000)
    }

    /// Returns a quota of `n` per minute, with a burst of `n`.
    pub fn per_minute(n: NonZeroU32) -> Quota {
        Quota::of_nanos(n, 60_000_000_000)
    }

    /// Returns a quota of `n` per hour, with a burst of `n`.
    pub fn per_hour(n: NonZeroU32) -> Quota {
        Quota::of_nanos(n, 3_600_000_000_000)
    }

    /// Returns a quota of `n` in a period of 1 to 2^64 - 1 ns (584 years), with a burst of `n`.
    /// Returns `None` for another period.
    pub fn new(n: NonZeroU32, period: Duration) -> Option<Quota> {
        let nanos = u64::try_from(period.as_nanos()).ok().filter(|&nanos| nanos > 0)?;
        Some(Quota::of_nanos(n, nanos))
    }

    /// Sets the maximum that is taken at once, after a pause that is long enough.
    pub fn allow_burst(mut self, n: NonZeroU32) -> Quota {
        self.burst = n;
        self
    }

    fn of_nanos(amount: NonZeroU32, nanos: u64) -> Quota {
        Quota { amount, nanos, burst: amount }
    }

    /// Returns a number of tokens in the units of a bucket.
    fn units(&self, tokens: u64) -> u128 {
        u128::from(tokens) * u128::from(self.nanos)
    }
}

/// The state of a quota.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    pub(super) quota: Quota,
    /// `true` if it counts the costs of attempts, and not the attempts.
    pub(super) is_of_cost: bool,
    /// The units that were spent and have not come back at the instant.
    spent: u128,
    at: Instant,
}

impl Bucket {
    pub(super) fn new(quota: Quota, is_of_cost: bool, now: Instant) -> Bucket {
        Bucket { quota, is_of_cost, spent: 0, at: now }
    }

    /// Returns what an attempt of this cost takes from the bucket.
    fn price(&self, cost: u64) -> u64 {
        if self.is_of_cost { cost } else { 1 }
    }

    /// Returns the instant from which on the bucket has room for an attempt, or `None` if it always
    /// had. An attempt that costs more than the burst waits for a full bucket.
    pub(super) fn opening(&self, cost: u64) -> Option<Instant> {
        let burst = u64::from(self.quota.burst.get());
        let price = self.quota.units(self.price(cost).min(burst));
        let excess = self.spent.saturating_add(price).checked_sub(self.quota.units(burst))?;
        let nanos = excess.div_ceil(u128::from(self.quota.amount.get()));
        let wait = u64::try_from(nanos).map_or(Duration::MAX, Duration::from_nanos);
        (excess > 0).then(|| later(self.at, wait))
    }

    /// Takes the price of an attempt.
    pub(super) fn take(&mut self, cost: u64, now: Instant) {
        self.refill(now);
        self.spent = self.spent.saturating_add(self.quota.units(self.price(cost)));
    }

    /// Changes the cost of an attempt from `estimate` to `actual`.
    pub(super) fn correct(&mut self, estimate: u64, actual: u64, now: Instant) {
        self.refill(now);
        if self.is_of_cost {
            let spent = self.spent.saturating_add(self.quota.units(actual));
            self.spent = spent.saturating_sub(self.quota.units(estimate));
        }
    }

    /// Changes the quota, and keeps the spent tokens. A part of a token counts as well, or each
    /// change would give it back. It is rounded up.
    pub(super) fn change(&mut self, quota: Quota, now: Instant) {
        self.refill(now);
        let (old, new) = (u128::from(self.quota.nanos), u128::from(quota.nanos));
        let (tokens, part) = (self.spent / old, self.spent % old);
        self.quota = quota;
        self.spent = tokens.saturating_mul(new).saturating_add((part * new).div_ceil(old));
    }

    fn refill(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.at).as_nanos();
        let back = elapsed.saturating_mul(u128::from(self.quota.amount.get()));
        self.spent = self.spent.saturating_sub(back);
        self.at = self.at.max(now);
    }
}

/// The limit that holds an attempt back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Limit {
    /// The [pace](crate::RateLimiterBuilder::pace), or the delay of the throttle.
    Pace,
    /// The server has [closed](crate::RateLimiter::close_until) the service.
    Closed,
    /// The server [takes no more](crate::RateLimiter::set_remaining) before a reset.
    Remaining,
    /// A quota of requests.
    Quota(Quota),
    /// A quota of costs.
    CostQuota(Quota),
    /// As many attempts are in flight as are allowed, at most or after a closing.
    InFlight,
}

/// The answer of [`RateLimiter::not_until`](crate::RateLimiter::not_until).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NotUntil {
    /// The limit that opens last.
    pub limit: Limit,
    /// The instant at which it opens, or `None` if an attempt in flight has to end before.
    pub earliest: Option<Instant>,
}
