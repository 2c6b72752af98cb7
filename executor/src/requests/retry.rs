//! The budget of an item, in time and attempts.

use std::num::NonZeroU32;
use std::time::Duration;

/// The budget of each item of [`Requests`](crate::Requests) in time and attempts, and the waits
/// between attempts.
///
/// An item whose job returns [`AttemptOutcome::Retry`](crate::AttemptOutcome::Retry) ends
///
/// * with [`Failure::RetriesExhausted`](crate::Failure::RetriesExhausted) after its last attempt
/// * with [`Failure::RetryDeadline`](crate::Failure::RetryDeadline) if the next attempt would not
///   start within the budget of time.
///
/// An attempt that starts within the budget counts whenever it ends.
///
/// ```
/// use std::num::NonZeroU32;
/// use std::time::Duration;
/// use reorder_executor::Retry;
///
/// // What ends first: a minute, or 9 attempts.
/// let both = Retry::new().within(Duration::from_secs(60)).retries(8);
/// // 9 attempts, however long they take.
/// let attempts = Retry::attempts(NonZeroU32::new(9).unwrap());
/// assert_eq!(attempts, both.within(Duration::MAX));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "it is a setting"]
pub struct Retry {
    pub(super) within: Duration,
    retries: u32,
    wait: Duration,
    longest_wait: Duration,
}

impl Retry {
    /// Returns a budget of 30 seconds and any number of attempts, with waits of 100 ms, 200 ms, and
    /// so on up to 10 s.
    pub fn new() -> Retry {
        Retry {
            within: Duration::from_secs(30),
            retries: u32::MAX,
            wait: Duration::from_millis(100),
            longest_wait: Duration::from_secs(10),
        }
    }

    /// Returns a budget of up to `attempts` attempts, the first one included, in any time. The
    /// waits are those of [`Retry::new`].
    pub fn attempts(attempts: NonZeroU32) -> Retry {
        Retry::new().within(Duration::MAX).retries(attempts.get() - 1)
    }

    /// Returns a budget of one attempt.
    pub fn never() -> Retry {
        Retry::new().retries(0)
    }

    /// Sets the budget in time. An item starts no further attempt once this time has passed since
    /// its first attempt started.
    pub fn within(mut self, budget: Duration) -> Retry {
        self.within = budget;
        self
    }

    /// Sets the maximum number of attempts after the first one.
    ///
    /// The budget in time stays: 30 seconds, unless [`within`](Retry::within) sets another one. For
    /// a bound of attempts alone, add `.within(Duration::MAX)`, or use [`Retry::attempts`].
    pub fn retries(mut self, retries: u32) -> Retry {
        self.retries = retries;
        self
    }

    /// Sets the wait before the second attempt, unless the job returns another one. Each further
    /// wait is twice as long as the one before, up to `longest`.
    ///
    /// If `longest` is below `first`, every wait is `longest`. The waits have no jitter. The wait
    /// that a job returns is taken as it is: `longest` does not bound it. For clients that were
    /// refused together, a [`Throttle`](crate::Throttle::jitter) has jitter.
    pub fn wait(mut self, first: Duration, longest: Duration) -> Retry {
        self.wait = first;
        self.longest_wait = longest;
        self
    }

    /// Returns the wait after `attempts` attempts, or `None` if no further attempt is allowed.
    pub(crate) fn wait_after(&self, attempts: u32) -> Option<Duration> {
        (attempts <= self.retries).then(|| {
            let doublings = attempts.saturating_sub(1).min(31);
            self.wait.saturating_mul(1 << doublings).min(self.longest_wait)
        })
    }
}

impl Default for Retry {
    fn default() -> Self {
        Retry::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let retry = Retry::new().retries(50);
        let waits: Vec<_> = (1..=9).map(|n| retry.wait_after(n).unwrap().as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
        assert_eq!(retry.wait_after(50), Some(Duration::from_secs(10)));
        assert_eq!(retry.wait_after(51), None);
        assert_eq!(Retry::never().wait_after(1), None);
    }

    #[test]
    fn attempts_alone_bound_a_budget() {
        for attempts in [1, 2, 9, u32::MAX] {
            let retry = Retry::attempts(NonZeroU32::new(attempts).unwrap());
            assert_eq!(retry.within, Duration::MAX);
            assert!(attempts == 1 || retry.wait_after(attempts - 1).is_some());
            assert_eq!(retry.wait_after(attempts), None);
        }
    }

    #[test]
    fn a_first_wait_beyond_the_longest_is_that() {
        let retry = Retry::new().wait(Duration::MAX, Duration::from_secs(1));
        assert_eq!(retry.wait_after(2), Some(Duration::from_secs(1)));
    }
}
