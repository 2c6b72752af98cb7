//! What `execute_batch` returns.

use crate::failure::{Failure, Outcome};

/// The outcome of every item of a batch, in the order of the input.
///
/// From [`Executor::execute_batch`](crate::Executor::execute_batch). All items have run; nothing
/// here waits for anything.
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
pub struct BatchReport<U> {
    outcomes: Vec<Outcome<U>>,
}

impl<U> BatchReport<U> {
    pub(crate) fn new(outcomes: Vec<Outcome<U>>) -> Self {
        BatchReport { outcomes }
    }

    /// The outcomes: the one at `index` is that of the input at `index`.
    ///
    /// ```
    /// # let executor = reorder_executor::Executor::builder().workers(1).build()?;
    /// let report = executor.execute_batch([8, 0], |n| 8 / n);
    /// let failed = report.outcomes().iter().filter(|outcome| outcome.is_err()).count();
    /// assert_eq!(failed, 1);
    /// # Ok::<(), reorder_executor::BuildError>(())
    /// ```
    pub fn outcomes(&self) -> &[Outcome<U>] {
        &self.outcomes
    }

    /// The outcomes, by value.
    ///
    /// ```
    /// # let executor = reorder_executor::Executor::builder().workers(1).build()?;
    /// let outcomes = executor.execute_batch(["a", "b"], str::to_owned).into_outcomes();
    /// assert_eq!(outcomes.into_iter().map(Result::unwrap).collect::<String>(), "ab");
    /// # Ok::<(), reorder_executor::BuildError>(())
    /// ```
    pub fn into_outcomes(self) -> Vec<Outcome<U>> {
        self.outcomes
    }

    /// All values, or the first failure with the index of its item.
    ///
    /// ```
    /// # let executor = reorder_executor::Executor::builder().workers(1).build()?;
    /// let report = executor.execute_batch([4, 2, 0, 0], |n| 8 / n);
    /// let (index, _failure) = report.into_values().unwrap_err();
    /// assert_eq!(index, 2);
    /// # Ok::<(), reorder_executor::BuildError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The failure with the lowest index, if there is one.
    pub fn into_values(self) -> Result<Vec<U>, (usize, Failure)> {
        let indexed = self.outcomes.into_iter().enumerate();
        indexed.map(|(index, outcome)| outcome.map_err(|failure| (index, failure))).collect()
    }
}

impl<U> IntoIterator for BatchReport<U> {
    type Item = Outcome<U>;
    type IntoIter = std::vec::IntoIter<Outcome<U>>;

    fn into_iter(self) -> Self::IntoIter {
        self.outcomes.into_iter()
    }
}
