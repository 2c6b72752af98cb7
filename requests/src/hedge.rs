//! When the first item without an outcome gets a second attempt, beside the first one.

use std::collections::VecDeque;
use std::time::Duration;

/// The number of answers whose times count for a quantile.
const SAMPLES: usize = 1000;

/// The number of answers after which a quantile is known, unless the user chooses another.
const MIN_SAMPLES: usize = 30;

/// A second attempt at the item that holds up all others. Set by
/// [`Requests::hedge`](crate::Requests::hedge).
///
/// In ordered results, one slow attempt holds up all items behind it. If the attempt at the first
/// item without an outcome takes too long, its item gets a *hedge*: a second attempt, which runs
/// beside the first one. The first result wins, and the other attempt is given up.
///
/// * A future that loses is dropped on its runtime.
/// * A job that blocks and loses goes on until it returns. It learns by
///   [`should_stop`](crate::Attempt::should_stop) that it has lost. Its result is dropped, and
///   counts in [`late_results`](crate::BatchReport::late_results).
/// * [`Done`](crate::AttemptOutcome::Done), [`Failed`](crate::AttemptOutcome::Failed) and a panic
///   are results. After any other end of an attempt, the other attempt decides. If both end without
///   a result, the item is retried once, as [`Retry`](crate::Retry) says, with the outcome of the
///   later one.
/// * A hedge counts in [`Attempt::number`](crate::Attempt::number) and in the attempts of an
///   outcome. It does not count in [`Retry::retries`](crate::Retry::retries).
/// * A hedge needs a permit of the concurrency, and its turn at the
///   [`RateLimiter`](crate::RateLimiter), as each attempt does. While a
///   [`RetryBudget`](crate::RetryBudget) allows no retries, there are no hedges.
/// * Each attempt has at most one hedge.
/// * If the outcomes are in order [by key](crate::Requests::ordered_by_key), the first item is that
///   of the lowest index, and a job that blocks does not learn that it has lost.
///
/// Only hedge requests that the service may carry out twice.
///
/// ```
/// use std::thread;
/// use std::time::Duration;
/// use reorder_requests::{Attempt, AttemptOutcome, Executor, Hedge, RequestStats, RequestsExt};
///
/// let executor = Executor::builder().workers(2).build()?;
/// // The first attempt at item 1 gets no answer.
/// let call = |&n: &u32, attempt: &Attempt| {
///     while n == 1 && attempt.number() == 1 && !attempt.should_stop() {
///         thread::yield_now();
///     }
///     AttemptOutcome::<_, ()>::Done(n)
/// };
/// let batch = executor.batch(0..9).requests().hedge(Hedge::after(Duration::from_millis(100)));
/// let report = batch.submit(call)?.wait();
/// assert_eq!(report.stats::<RequestStats>().expect("they were requests").hedges_won, 1);
/// assert_eq!(report.into_values().unwrap(), [0, 1, 2, 3, 4, 5, 6, 7, 8]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[must_use = "it is a setting"]
pub struct Hedge {
    delay: Delay,
    min_samples: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Delay {
    Fixed(Duration),
    Quantile(f64),
}

impl Hedge {
    /// Hedges an attempt that has taken this time.
    pub fn after(delay: Duration) -> Hedge {
        Hedge { delay: Delay::Fixed(delay), min_samples: MIN_SAMPLES }
    }

    /// Hedges an attempt that has taken longer than this share of the attempts before it: a number
    /// from 0 to 1, such as 0.95. Numbers outside of this range count as the nearest of the two,
    /// and NaN as 1.
    ///
    /// The last 1000 values of the batch count. If an item had a hedge, its time counts from the
    /// start of the first of the two attempts. There is no hedge before 30 values, see
    /// [`min_samples`](Hedge::min_samples).
    ///
    /// At most about `1 - quantile` of all items get a hedge, because only the first item without
    /// an outcome does.
    pub fn at_quantile(quantile: f64) -> Hedge {
        let quantile = if quantile.is_nan() { 1.0 } else { quantile.clamp(0.0, 1.0) };
        Hedge { delay: Delay::Quantile(quantile), min_samples: MIN_SAMPLES }
    }

    /// Sets the number of values of the batch, from 1 to 1000, before which
    /// [`at_quantile`](Hedge::at_quantile) makes no hedge.
    pub fn min_samples(mut self, values: usize) -> Hedge {
        self.min_samples = values.clamp(1, SAMPLES);
        self
    }
}

/// The times of the last answers of a batch, and the delay of a hedge that follows from them.
pub(crate) struct HedgeDelay {
    hedge: Hedge,
    /// In the order of the answers.
    times: VecDeque<Duration>,
    sorted: Vec<Duration>,
}

impl HedgeDelay {
    pub(crate) fn new(hedge: Hedge) -> HedgeDelay {
        HedgeDelay { hedge, times: VecDeque::new(), sorted: Vec::new() }
    }

    /// Notes the time of an answer.
    pub(crate) fn note(&mut self, time: Duration) {
        if let Delay::Fixed(_) = self.hedge.delay {
            return;
        }
        if self.times.len() == SAMPLES {
            if let Some(Ok(place)) =
                self.times.pop_front().map(|oldest| self.sorted.binary_search(&oldest))
            {
                self.sorted.remove(place);
            }
        }
        self.times.push_back(time);
        let place = self.sorted.partition_point(|&known| known <= time);
        self.sorted.insert(place, time);
    }

    /// Returns the time after which an attempt is hedged, if it is known.
    pub(crate) fn get(&self) -> Option<Duration> {
        match self.hedge.delay {
            Delay::Fixed(delay) => Some(delay),
            Delay::Quantile(_) if self.sorted.len() < self.hedge.min_samples => None,
            Delay::Quantile(quantile) => {
                // A product that is an integer may be rounded up a little.
                let rank = (quantile * self.sorted.len() as f64 - 1e-6).ceil() as usize;
                // An attempt that takes exactly this time is not longer.
                let time = self.sorted.get(rank.max(1) - 1)?;
                Some(time.saturating_add(Duration::from_nanos(1)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const NS: Duration = Duration::from_nanos(1);

    fn delay(hedge: Hedge, times: impl IntoIterator<Item = u32>) -> Option<Duration> {
        let mut delay = HedgeDelay::new(hedge);
        times.into_iter().for_each(|time| delay.note(time * MS));
        delay.get()
    }

    #[test]
    fn a_quantile_is_that_of_the_last_answers() {
        let at = |quantile| Hedge::at_quantile(quantile).min_samples(1);
        let shuffled = || (0..100).map(|n| n * 37 % 100 + 1);
        for (quantile, expected) in [(0.0, 1), (0.01, 1), (0.5, 50), (0.95, 95), (1.0, 100)] {
            assert_eq!(delay(at(quantile), shuffled()), Some(expected * MS + NS), "{quantile}");
        }
        assert_eq!(delay(at(f64::NAN), shuffled()), Some(100 * MS + NS));
        assert_eq!(delay(at(7.0), shuffled()), Some(100 * MS + NS));
        assert_eq!(delay(at(-7.0), shuffled()), Some(MS + NS));
        let old = [9999; 500].into_iter().chain([7; 300]).chain([8; 700]);
        assert_eq!(delay(at(1.0), old.clone()), Some(8 * MS + NS), "the old ones are forgotten");
        assert_eq!(delay(at(0.3), old), Some(7 * MS + NS));
    }

    #[test]
    fn there_is_no_quantile_of_few_answers() {
        let some = |count| delay(Hedge::at_quantile(0.5), vec![5; count]).is_some();
        assert_eq!([0, 29, 30].map(some), [false, false, true]);
        let hedge = Hedge::at_quantile(0.5).min_samples(0);
        assert_eq!((delay(hedge, []), delay(hedge, [3])), (None, Some(3 * MS + NS)));
        assert_eq!(delay(Hedge::after(4 * MS), [1, 2]), Some(4 * MS));
    }
}
