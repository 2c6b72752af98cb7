//! What `execute_batch` returns.

use crate::failure::{Failure, Outcome};

/// The outcome of every item of a batch, in the order of the input.
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
    pub fn outcomes(&self) -> &[Outcome<U>] {
        &self.outcomes
    }

    /// The outcomes, by value.
    pub fn into_outcomes(self) -> Vec<Outcome<U>> {
        self.outcomes
    }

    /// All values, or the first failure with the index of its item.
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
