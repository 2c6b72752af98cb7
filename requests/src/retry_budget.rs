//! Bounds the extra load of retries, by the share of attempts that fail.
//!
//! The rule is that of gRPC's retry throttling (proposal A6): tokens, of which a failure takes one
//! and a success gives a part back.

use std::num::NonZeroU32;

/// A token counts as this many units, so that the arithmetic is exact.
const UNITS: u64 = 1000;

/// A budget of retries for all items of a batch of [`Requests`](crate::Requests). A service that
/// fails most attempts gets no retries on top, and recovers sooner.
///
/// The rule is that of retry throttling in gRPC:
///
/// * The batch begins with the maximum number of tokens.
/// * Each [`AttemptOutcome::Retry`](crate::AttemptOutcome::Retry) takes one token, down to zero. So
///   does each attempt that exceeds its [time-out](crate::Retry::attempt_timeout).
/// * Each [`AttemptOutcome::Done`](crate::AttemptOutcome::Done) gives `token_ratio` tokens back, up
///   to the maximum.
/// * While the number of tokens is at most half of the maximum, there are no retries. An item whose
///   attempt asks for another one then ends with
///   [`Failure::RetryBudgetSpent`](crate::Failure::RetryBudgetSpent). Items that wait for their
///   next attempt keep it.
/// * All other outcomes change nothing.
///
/// ```
/// use std::num::NonZeroU32;
/// use std::time::Duration;
/// use reorder_requests::{
///     AttemptOutcome, Executor, Failure, RequestStats, RequestsExt, Retry, RetryBudget,
/// };
///
/// let executor = Executor::builder().workers(1).build()?;
/// // Of the first failures, 4 are retried. Then 10 answers pay for one retry.
/// let budget = RetryBudget::new(NonZeroU32::new(10).unwrap(), 0.1);
/// let retry = Retry::new().wait(Duration::ZERO, Duration::ZERO).budget(budget);
/// let down = |_: &u32, _: &_| AttemptOutcome::<(), _>::Retry { error: "503", after: None };
/// let report = executor.batch(0..100).requests().retry(retry).submit(down)?.wait();
/// let stats = *report.stats::<RequestStats>().expect("they were requests");
/// assert_eq!(stats.attempts, 100 + 4);
/// let is_spent = |(_, failure): (_, &_)| matches!(failure, Failure::RetryBudgetSpent(_));
/// assert!(report.failures().all(is_spent));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "it is a setting"]
pub struct RetryBudget {
    /// In units.
    maximum: u64,
    ratio: u64,
}

impl RetryBudget {
    /// Returns a budget of `max_tokens` tokens, of which each success gives `token_ratio` back.
    ///
    /// The ratio has three decimal places. Negative numbers and NaN count as 0: then the batch gets
    /// no further retry after half of its tokens.
    pub fn new(max_tokens: NonZeroU32, token_ratio: f64) -> RetryBudget {
        let ratio = (token_ratio * UNITS as f64).round() as u64;
        RetryBudget { maximum: u64::from(max_tokens.get()) * UNITS, ratio }
    }
}

/// The tokens of a batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RetryTokens {
    budget: RetryBudget,
    /// In units.
    left: u64,
}

impl RetryTokens {
    pub(crate) fn new(budget: RetryBudget) -> RetryTokens {
        RetryTokens { budget, left: budget.maximum }
    }

    /// Counts an attempt that failed, and that another one may follow.
    pub(crate) fn failed(&mut self) {
        self.left = self.left.saturating_sub(UNITS);
    }

    /// Counts an attempt that brought a value.
    pub(crate) fn succeeded(&mut self) {
        self.left = self.left.saturating_add(self.budget.ratio).min(self.budget.maximum);
    }

    /// Returns `true` if further attempts are allowed.
    pub(crate) fn allow_retries(&self) -> bool {
        self.left > self.budget.maximum / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(maximum: u32, ratio: f64) -> RetryTokens {
        RetryTokens::new(RetryBudget::new(NonZeroU32::new(maximum).unwrap(), ratio))
    }

    #[test]
    fn retries_end_at_half_of_the_tokens() {
        for (maximum, expected) in [(1, 1), (2, 1), (9, 5), (10, 5), (11, 6), (1000, 500)] {
            let mut tokens = tokens(maximum, 0.5);
            let mut failures = 0;
            while tokens.allow_retries() {
                tokens.failed();
                failures += 1;
            }
            assert_eq!(failures, expected, "{maximum}");
        }
    }

    #[test]
    fn successes_give_their_ratio_back_up_to_the_maximum() {
        let mut tokens = tokens(10, 0.1);
        (0..100).for_each(|_| tokens.succeeded());
        (0..5).for_each(|_| tokens.failed());
        assert!(!tokens.allow_retries(), "it had 10, not more");
        tokens.succeeded();
        assert!(tokens.allow_retries());
        (0..100).for_each(|_| tokens.failed());
        (0..50).for_each(|_| tokens.succeeded());
        assert!(!tokens.allow_retries(), "they do not fall below zero");
        tokens.succeeded();
        assert!(tokens.allow_retries());
    }

    #[test]
    fn odd_ratios_are_bounded() {
        for ratio in [f64::NAN, -1.0, f64::NEG_INFINITY, 0.0004] {
            let mut tokens = tokens(2, ratio);
            tokens.failed();
            (0..10_000).for_each(|_| tokens.succeeded());
            assert!(!tokens.allow_retries(), "{ratio}");
        }
        let mut tokens = tokens(2, f64::INFINITY);
        tokens.failed();
        tokens.succeeded();
        assert!(tokens.allow_retries());
    }
}
