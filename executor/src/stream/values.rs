//! Streams as iterators of plain values: a panic takes the place of a missing value.

use std::fmt;
use std::iter::FusedIterator;

use crate::outcome::{Failure, ItemError, Outcome};
use crate::stream::ordered::Ordered;

impl<'a, U: Send> Ordered<'a, U> {
    /// Returns an iterator of the plain values, which resumes a panic at the place of its item.
    ///
    /// ```
    /// # use reorder_executor::Executor;
    /// let executor = Executor::builder().workers(2).build()?;
    /// let squares: Vec<u64> = executor.stream(1..=4, |n| n * n).values().collect();
    /// assert_eq!(squares, [1, 4, 9, 16]);
    /// # Ok::<(), reorder_executor::BuildError>(())
    /// ```
    ///
    /// # Progress
    ///
    /// Wait-free.
    pub fn values(self) -> Values<'a, U> {
        Values(self)
    }
}

/// The values of a stream whose job returns no errors, in the order of the source.
///
/// Made by [`Ordered::values`] and [`IteratorExt::ordered_map`](crate::IteratorExt::ordered_map).
/// [`Ordered`] says when its thread runs items, and what happens when it is dropped.
///
/// For many small values, `for_each`, `fold` and `count` are faster than a `for` loop.
///
/// # Progress
///
/// As [`Ordered`].
///
/// # Panics
///
/// * If the job panicked on the next item, or the source panicked, `next` resumes that panic, with
///   its payload. After a panic of the job, the iterator goes on with the item that follows.
/// * If the stream has [limits](crate::BatchBuilder::stream), and one of them has ended the next
///   item. The message says which. Take outcomes instead of values from such streams.
#[must_use = "dropping a stream stops it"]
pub struct Values<'a, U: Send>(Ordered<'a, U>);

fn value<U>(outcome: Outcome<U>) -> U {
    outcome.unwrap_or_else(|failure| raise(failure))
}

#[cold]
fn raise(failure: Failure) -> ! {
    match failure {
        Failure::Panicked(panic)
        | Failure::SourcePanicked(panic)
        | Failure::SpawnerPanicked(panic) => panic.resume(),
        failure => panic!("a stream of values has an item without one: {failure}"),
    }
}

impl<U: Send> Iterator for Values<'_, U> {
    type Item = U;

    #[inline]
    fn next(&mut self) -> Option<U> {
        self.0.next().map(value)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }

    #[inline]
    fn fold<B, F>(self, init: B, mut f: F) -> B
    where
        F: FnMut(B, U) -> B,
    {
        self.0.fold(init, |folded, outcome| f(folded, value(outcome)))
    }
}

impl<U: Send> FusedIterator for Values<'_, U> {}

impl<U: Send> fmt::Debug for Values<'_, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Values").field(&self.0).finish()
    }
}

/// The results of a job that may fail, in the order of the source, up to the first error.
///
/// Made by [`IteratorExt::try_ordered_map`](crate::IteratorExt::try_ordered_map). The iterator ends
/// after the first error in the order of the source, and its stream stops: the source is dropped,
/// and no further item starts. Jobs that run go on, and their results are dropped.
///
/// # Progress
///
/// As [`Ordered`].
///
/// # Panics
///
/// As [`Values`].
#[must_use = "dropping a stream stops it"]
pub struct TryValues<'a, U: Send, E: Send> {
    /// `None` after the first error.
    values: Option<Values<'a, Result<U, E>>>,
}

impl<'a, U: Send, E: Send> TryValues<'a, U, E> {
    pub(crate) fn new(values: Values<'a, Result<U, E>>) -> Self {
        TryValues { values: Some(values) }
    }

    /// Returns the same iterator with other errors: an [`ItemError`] has the index of its item in
    /// the source.
    ///
    /// It ends after the first error, as this iterator does. The iterator of
    /// [`Ordered::item_results`] goes on after a failure.
    ///
    /// ```
    /// use reorder_executor::{IteratorExt, ItemError};
    /// use std::num::ParseIntError;
    ///
    /// fn sum(text: &'static str) -> Result<u32, ItemError<ParseIntError>> {
    ///     text.lines().try_ordered_map(|line| line.parse::<u32>()).item_results().sum()
    /// }
    /// assert_eq!(sum("3\n4")?, 7);
    /// let error = sum("3\n4\nfive\n6").unwrap_err();
    /// assert_eq!(error.index, 2);
    /// assert_eq!(error.to_string(), "item 2: the job failed: invalid digit found in string");
    /// # Ok::<(), ItemError<ParseIntError>>(())
    /// ```
    ///
    /// # Progress
    ///
    /// Wait-free.
    pub fn item_results(self) -> impl FusedIterator<Item = Result<U, ItemError<E>>> + Send {
        let first = self.values.as_ref().map_or(0, |values| values.0.index());
        (first..).zip(self).map(|(index, result)| {
            result.map_err(|error| ItemError::at(index, Failure::failed(error, 1)))
        })
    }
}

impl<U: Send, E: Send> Iterator for TryValues<'_, U, E> {
    type Item = Result<U, E>;

    #[inline]
    fn next(&mut self) -> Option<Result<U, E>> {
        let result = self.values.as_mut()?.next();
        if !matches!(result, Some(Ok(_))) {
            self.values = None;
        }
        result
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let Some(values) = &self.values else { return (0, Some(0)) };
        let (least, most) = values.size_hint();
        // The first result may be an error.
        (least.min(1), most)
    }
}

impl<U: Send, E: Send> FusedIterator for TryValues<'_, U, E> {}

impl<U: Send, E: Send> fmt::Debug for TryValues<'_, U, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TryValues").field("values", &self.values).finish()
    }
}
