//! Streams as iterators of results whose errors name their item.

use std::fmt;
use std::iter::FusedIterator;

use crate::outcome::ItemError;
use crate::stream::ordered::Ordered;

impl<'a, U: Send, E: Send> Ordered<'a, U, E> {
    /// Returns an iterator of results. A failure becomes an [`ItemError`], which has the index of
    /// its item.
    ///
    /// The iterator goes on after a failure, as the stream does. A consumer that stops there, as by
    /// `?`, drops the stream.
    ///
    /// ```
    /// # use std::error::Error;
    /// # use reorder_executor::Executor;
    /// fn sum(executor: &Executor, texts: Vec<&'static str>) -> Result<u32, Box<dyn Error>> {
    ///     let numbers = executor.batch(texts).stream(|text, _| text.parse::<u32>())?;
    ///     let mut sum = 0;
    ///     for number in numbers.item_results() {
    ///         sum += number?;
    ///     }
    ///     Ok(sum)
    /// }
    /// # let executor = Executor::builder().workers(1).build()?;
    /// assert_eq!(sum(&executor, vec!["1", "2"])?, 3);
    /// let error = sum(&executor, vec!["1", "two"]).unwrap_err();
    /// assert_eq!(error.to_string(), "item 1: the job failed: invalid digit found in string");
    /// # Ok::<(), Box<dyn Error>>(())
    /// ```
    ///
    /// # Progress
    ///
    /// Wait-free.
    pub fn item_results(self) -> ItemResults<'a, U, E> {
        ItemResults(self)
    }
}

/// The results of a stream, in the order of the source. Made by [`Ordered::item_results`].
///
/// An index on a target with 32 bits is at most `usize::MAX`.
///
/// # Progress
///
/// As [`Ordered`].
///
/// # Panics
///
/// As [`Ordered`].
#[must_use = "dropping a stream stops it"]
pub struct ItemResults<'a, U: Send, E: Send>(Ordered<'a, U, E>);

impl<U: Send, E: Send> Iterator for ItemResults<'_, U, E> {
    type Item = Result<U, ItemError<E>>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let outcome = self.0.next()?;
        Some(outcome.map_err(|failure| ItemError::at(self.0.index() - 1, failure)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }

    #[inline]
    fn fold<B, F>(self, init: B, mut f: F) -> B
    where
        F: FnMut(B, Self::Item) -> B,
    {
        let mut index = self.0.index();
        self.0.fold(init, |folded, outcome| {
            index += 1;
            f(folded, outcome.map_err(|failure| ItemError::at(index - 1, failure)))
        })
    }
}

impl<U: Send, E: Send> FusedIterator for ItemResults<'_, U, E> {}

impl<U: Send, E: Send> fmt::Debug for ItemResults<'_, U, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ItemResults").field(&self.0).finish()
    }
}
