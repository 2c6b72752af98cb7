//! The report of a batch: an outcome for each item.

use std::convert::Infallible;

use crate::limits::{Timing, timing};
use crate::outcome::{Failure, ItemError, Outcome};
use crate::stream::AnyStats;

/// The outcome of every item of a batch, in the order of the input.
///
/// Returned by [`Executor::execute_batch`](crate::Executor::execute_batch),
/// [`BatchBuilder::run`](crate::BatchBuilder::run) and
/// [`BatchHandle::wait`](crate::BatchHandle::wait). Every item has its outcome, so no method waits.
///
/// ```
/// use reorder_executor::Executor;
///
/// let executor = Executor::builder().workers(2).build()?;
/// let report = executor.execute_batch(["7", "x", "9"], |text| text.parse::<u32>().unwrap());
/// let values: Vec<u32> = report.into_iter().filter_map(Result::ok).collect();
/// assert_eq!(values, [7, 9]);
/// # Ok::<(), reorder_executor::BuildError>(())
/// ```
#[derive(Debug)]
#[must_use = "an outcome may be a failure"]
pub struct BatchReport<U, E = Infallible> {
    outcomes: Vec<Outcome<U, E>>,
    late: usize,
    /// One for each outcome, or empty.
    timings: Vec<Timing>,
    /// The statistics of the dispatcher, if the batch had one.
    stats: Option<Box<dyn AnyStats>>,
    /// The maximum number of jobs that ran at the same time, if a dispatcher has counted it.
    peak_concurrency: Option<usize>,
    /// One for each outcome, or empty.
    attempts: Vec<u32>,
    /// The index of the item whose failure ended the batch, if it fails fast.
    cause: Option<u64>,
}

impl<U, E> BatchReport<U, E> {
    pub(crate) fn new(outcomes: Vec<Outcome<U, E>>, late: usize, mut timings: Vec<Timing>) -> Self {
        timing::note_waits(&mut timings);
        BatchReport {
            outcomes,
            late,
            timings,
            stats: None,
            peak_concurrency: None,
            attempts: Vec::new(),
            cause: None,
        }
    }

    pub(crate) fn with_cause(mut self, cause: Option<u64>) -> Self {
        self.cause = cause;
        self
    }

    /// Adds what a dispatcher has counted.
    pub(crate) fn with_stats(
        mut self,
        stats: Option<Box<dyn AnyStats>>,
        peak_concurrency: Option<usize>,
        attempts: Vec<u32>,
    ) -> Self {
        (self.stats, self.peak_concurrency) = (stats, peak_concurrency);
        self.attempts = attempts;
        self
    }

    /// Returns the [statistics](crate::dispatch::Dispatch::Stats) of the
    /// [dispatcher](crate::dispatch) that ran the batch. Returns `None` if there was none, or its
    /// statistics are of another type.
    pub fn stats<T: 'static>(&self) -> Option<&T> {
        (**self.stats.as_ref()?).as_any().downcast_ref()
    }

    /// Returns the number of attempts at each item, by its index, as [`Failure::attempts`] does for
    /// a failure. The slice is empty if no [dispatcher](crate::dispatch) ran the batch.
    pub fn attempts(&self) -> &[u32] {
        &self.attempts
    }

    /// Returns when each item ran, by its index. The slice is empty if the batch was not
    /// [timed](crate::BatchBuilder::timed).
    ///
    /// ```
    /// use std::convert::Infallible;
    /// # let executor = reorder_executor::Executor::builder().workers(1).build()?;
    /// let batch = executor.batch(["a", "bc"]).timed();
    /// let report = batch.run(|text, _| Ok::<_, Infallible>(text.len()));
    /// for timing in report.timings() {
    ///     assert!(timing.submitted() <= timing.started().expect("all have run"));
    ///     assert!(timing.started() <= timing.completed());
    /// }
    /// assert!((1..=2).contains(&report.peak_concurrency().expect("it was timed")));
    /// # Ok::<(), reorder_executor::BuildError>(())
    /// ```
    pub fn timings(&self) -> &[Timing] {
        &self.timings
    }

    /// Returns the maximum number of items that ran at the same time. A
    /// [dispatcher](crate::dispatch) may count its jobs instead: an item that waits for another job
    /// does not run.
    ///
    /// `None` if the batch was not timed, or had no items.
    pub fn peak_concurrency(&self) -> Option<usize> {
        let counted = self.peak_concurrency;
        self.is_timed().then(|| counted.unwrap_or_else(|| timing::peak_concurrency(&self.timings)))
    }

    /// Returns the smallest window in which the batch could have run as it did: the maximum number
    /// of items from the first missing item to the last started item.
    ///
    /// `None` if the batch was not timed, or had no items.
    pub fn window_high_water(&self) -> Option<usize> {
        self.is_timed().then(|| timing::window_high_water(&self.timings))
    }

    fn is_timed(&self) -> bool {
        !self.timings.is_empty()
    }

    /// Returns the number of results that were dropped because they came too late: after a
    /// deadline, or after the consumer gave up on their item. [`BatchBuilder`](crate::BatchBuilder)
    /// has an example.
    pub fn late_results(&self) -> usize {
        self.late
    }

    /// Returns the outcomes. The outcome at an index belongs to the item at that index.
    ///
    /// ```
    /// # let executor = reorder_executor::Executor::builder().workers(1).build()?;
    /// let report = executor.execute_batch([8, 0], |n| 8 / n);
    /// let failed = report.outcomes().iter().filter(|outcome| outcome.is_err()).count();
    /// assert_eq!(failed, 1);
    /// # Ok::<(), reorder_executor::BuildError>(())
    /// ```
    pub fn outcomes(&self) -> &[Outcome<U, E>] {
        &self.outcomes
    }

    /// Returns the outcomes by value.
    ///
    /// ```
    /// # let executor = reorder_executor::Executor::builder().workers(1).build()?;
    /// let outcomes = executor.execute_batch(["a", "b"], str::to_owned).into_outcomes();
    /// assert_eq!(outcomes.into_iter().map(Result::unwrap).collect::<String>(), "ab");
    /// # Ok::<(), reorder_executor::BuildError>(())
    /// ```
    pub fn into_outcomes(self) -> Vec<Outcome<U, E>> {
        self.outcomes
    }

    /// Returns the failures, each with the index of its item.
    ///
    /// ```
    /// # let executor = reorder_executor::Executor::builder().workers(1).build()?;
    /// let report = executor.batch(["8", "six", "9"]).run(|text, _| text.parse::<u32>());
    /// for (index, failure) in report.failures() {
    ///     eprintln!("item {index}, after {} attempt(s): {failure}", failure.attempts());
    /// }
    /// assert!(report.failures().map(|(index, _)| index).eq([1]));
    /// # Ok::<(), reorder_executor::BuildError>(())
    /// ```
    pub fn failures(&self) -> impl Iterator<Item = (usize, &Failure<E>)> {
        let outcomes = self.outcomes.iter().enumerate();
        outcomes.filter_map(|(index, outcome)| Some((index, outcome.as_ref().err()?)))
    }

    /// Returns all values, or the first failure with the index of its item.
    ///
    /// ```
    /// # let executor = reorder_executor::Executor::builder().workers(1).build()?;
    /// let report = executor.batch(["8", "six"]).run(|text, _| text.parse::<u32>());
    /// let error = report.into_values().unwrap_err();
    /// assert_eq!(error.index, 1);
    /// assert_eq!(error.to_string(), "item 1: the job failed: invalid digit found in string");
    /// # Ok::<(), reorder_executor::BuildError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ItemError`] if an item has a failure. If several have one, the error is chosen in this
    /// order:
    ///
    /// * In a batch that fails fast, the failure that ended the batch.
    /// * The failure of the lowest index that is neither a cancellation nor a shutdown, because
    ///   these do not tell why the batch failed.
    /// * The failure of the lowest index.
    pub fn into_values(self) -> Result<Vec<U>, ItemError<E>> {
        let (mut values, mut first) = (Vec::with_capacity(self.outcomes.len()), None);
        let rank = |(index, failure): &(usize, Failure<E>)| match failure {
            _ if self.cause == Some(*index as u64) => 0,
            Failure::Cancelled(_) | Failure::ShutDown(_) => 2,
            _ => 1,
        };
        for (index, outcome) in self.outcomes.into_iter().enumerate() {
            match outcome {
                Ok(value) => values.push(value),
                Err(failure) => {
                    let failed = (index, failure);
                    if first.as_ref().is_none_or(|first| rank(&failed) < rank(first)) {
                        first = Some(failed);
                    }
                }
            }
        }
        first.map_or(Ok(values), |(index, failure)| Err(ItemError::new(index, failure)))
    }
}

impl<U, E> IntoIterator for BatchReport<U, E> {
    type Item = Outcome<U, E>;
    type IntoIter = std::vec::IntoIter<Outcome<U, E>>;

    fn into_iter(self) -> Self::IntoIter {
        self.outcomes.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Stop;

    #[test]
    fn the_first_failure_is_a_cause() {
        let first = |outcomes| BatchReport::<u8, &str>::new(outcomes, 0, Vec::new()).into_values();
        assert!(matches!(first(vec![Ok(1), Ok(2)]).as_deref(), Ok([1, 2])));
        let cancelled = || Err(Stop::Cancelled { cause: None }.into());
        let error = first(vec![Ok(1), cancelled(), Err(Failure::failed("why", 1))]).unwrap_err();
        assert!(matches!(
            error,
            ItemError { index: 2, failure: Failure::Failed { error: "why", .. } }
        ));
        let error = first(vec![Ok(1), cancelled(), cancelled()]).unwrap_err();
        assert!(matches!(error, ItemError { index: 1, failure: Failure::Cancelled(_) }));
    }
}
