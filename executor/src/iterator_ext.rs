//! The calls that are methods of iterators.

use crate::executor::Executor;
use crate::scope::Scope;
use crate::stream::{TryValues, Values};

/// Runs a job on the items of an iterator in parallel, and yields its values in order.
///
/// | call | source and job | runs on |
/// |---|---|---|
/// | [`ordered_map`](IteratorExt::ordered_map) | `'static` | [`Executor::global`] |
/// | [`ordered_map_in`](IteratorExt::ordered_map_in) | `'static` | an executor of your own |
/// | [`ordered_map_scoped`](IteratorExt::ordered_map_scoped) | may borrow | the executor of a [`Scope`] |
///
/// Each call has a form whose job may fail, with `try_` before its name. That form ends after the
/// first error in the order of the source.
///
/// ```
/// use reorder_executor::IteratorExt;
///
/// let numbers = "3 1 4 1 5".split(' ').ordered_map(|word| word.parse::<u32>().unwrap());
/// assert_eq!(numbers.collect::<Vec<_>>(), [3, 1, 4, 1, 5]);
///
/// let numbers = "3 1 four 1 5".split(' ').try_ordered_map(|word| word.parse::<u32>());
/// assert!(numbers.collect::<Result<Vec<_>, _>>().is_err());
/// ```
///
/// Each call is an [`Executor::stream`] with [`Ordered::values`](crate::Ordered::values). So the
/// workers start at the call, the source may be endless, and no more items are outstanding than the
/// window. Jobs may make such calls, too.
///
/// A source or a job that borrows needs a scope. Here, the source borrows mutably:
///
/// ```
/// use reorder_executor::{Executor, IteratorExt};
///
/// let mut numbers = vec![3, 1, 2, 9, 8, 7];
/// let smallest: Vec<i32> = Executor::global().scope(|scope| {
///     let chunks = numbers.chunks_mut(3);
///     let smallest = chunks.ordered_map_scoped(scope, |chunk| {
///         chunk.sort();
///         chunk[0]
///     });
///     smallest.collect()
/// });
/// assert_eq!(smallest, [1, 7]);
/// assert_eq!(numbers, [1, 2, 3, 7, 8, 9]);
/// ```
///
/// Without a scope, the same source does not compile:
///
/// ```compile_fail,E0597
/// use reorder_executor::IteratorExt;
///
/// let mut numbers = vec![3, 1, 2, 9, 8, 7];
/// let smallest = numbers.chunks_mut(3).ordered_map(|chunk| {
///     chunk.sort();
///     chunk[0]
/// });
/// assert_eq!(smallest.collect::<Vec<_>>(), [1, 7]);
/// ```
///
/// A job that borrows does not compile either, and neither does a stream that leaves its scope:
///
/// ```compile_fail,E0597
/// use reorder_executor::IteratorExt;
///
/// let factor = 3;
/// let times = (0..9).ordered_map(|n| n * &factor);
/// assert_eq!(times.max(), Some(24));
/// ```
///
/// ```compile_fail
/// use reorder_executor::{Executor, IteratorExt};
///
/// let factor = 3;
/// let global = Executor::global();
/// let times = global.scope(|scope| (0..9).ordered_map_scoped(scope, |n| n * &factor));
/// assert_eq!(times.max(), Some(24));
/// ```
pub trait IteratorExt: Iterator + Send + Sized {
    /// Runs `job` on the items, on the workers of [`Executor::global`], and yields the values in
    /// the order of the items.
    ///
    /// A panic of the job is resumed at the place of its item, as [`Values`] describes. Dropping
    /// the iterator stops the jobs that have not started.
    ///
    /// ```
    /// use reorder_executor::IteratorExt;
    ///
    /// for (n, square) in (0..10_u64).zip((0..10_u64).ordered_map(|n| n * n)) {
    ///     assert_eq!(square, n * n);
    /// }
    /// // A job may call it again.
    /// let sums = (0..4_u64).ordered_map(|n| (0..n).ordered_map(|n| n * n).sum::<u64>());
    /// assert_eq!(sums.collect::<Vec<_>>(), [0, 0, 1, 5]);
    /// ```
    ///
    /// # Panics
    ///
    /// As [`Executor::global`] and [`Executor::stream`].
    ///
    /// # Progress
    ///
    /// As [`Executor::global`]. It does not wait for any item.
    fn ordered_map<U, F>(self, job: F) -> Values<'static, U>
    where
        Self: 'static,
        Self::Item: Send,
        U: Send + 'static,
        F: Fn(Self::Item) -> U + Send + Sync + 'static,
    {
        self.ordered_map_in(Executor::global(), job)
    }

    /// Does the same as [`ordered_map`](IteratorExt::ordered_map), on the workers of `executor`.
    ///
    /// ```
    /// use reorder_executor::{Executor, IteratorExt};
    ///
    /// let executor = Executor::builder().workers(2).window(16).build()?;
    /// let lengths = ["one", "three"].into_iter().ordered_map_in(&executor, str::len);
    /// assert_eq!(lengths.collect::<Vec<_>>(), [3, 5]);
    /// # Ok::<(), reorder_executor::BuildError>(())
    /// ```
    ///
    /// # Panics
    ///
    /// As [`Executor::stream`].
    ///
    /// # Progress
    ///
    /// It does not wait for any item.
    fn ordered_map_in<U, F>(self, executor: &Executor, job: F) -> Values<'static, U>
    where
        Self: 'static,
        Self::Item: Send,
        U: Send + 'static,
        F: Fn(Self::Item) -> U + Send + Sync + 'static,
    {
        executor.stream(self, job).values()
    }

    /// Does the same as [`ordered_map`](IteratorExt::ordered_map), for a source and a job that
    /// borrow from outside of the scope.
    ///
    /// ```
    /// use reorder_executor::{Executor, IteratorExt};
    ///
    /// let text = String::from("the ring keeps");
    /// let stop_words = ["the", "keeps"];
    /// let found: Vec<bool> = Executor::global().scope(|scope| {
    ///     let words = text.split_whitespace();
    ///     words.ordered_map_scoped(scope, |word| stop_words.contains(&word)).collect()
    /// });
    /// assert_eq!(found, [true, false, true]);
    /// ```
    ///
    /// # Panics
    ///
    /// As [`Executor::stream`].
    ///
    /// # Progress
    ///
    /// It does not wait for any item.
    fn ordered_map_scoped<'scope, U, F>(
        self,
        scope: &'scope Scope<'scope, '_>,
        job: F,
    ) -> Values<'scope, U>
    where
        Self: 'scope,
        Self::Item: Send,
        U: Send + 'scope,
        F: Fn(Self::Item) -> U + Send + Sync + 'scope,
    {
        scope.stream(self, job).values()
    }

    /// Does the same as [`ordered_map`](IteratorExt::ordered_map), for a job that may fail. It
    /// yields the results up to the first error in the order of the items, as [`TryValues`]
    /// describes.
    ///
    /// All items before the first error have run, and yield their values. Items behind it may have
    /// run, but no more of them than the window. For the index of the item that failed, call
    /// [`item_results`](TryValues::item_results) on the result.
    ///
    /// ```
    /// use reorder_executor::IteratorExt;
    ///
    /// fn sum(text: &'static str) -> Result<u32, std::num::ParseIntError> {
    ///     let mut sum = 0;
    ///     for number in text.split(' ').try_ordered_map(|word| word.parse::<u32>()) {
    ///         sum += number?;
    ///     }
    ///     Ok(sum)
    /// }
    /// assert_eq!(sum("3 1 4")?, 8);
    /// assert!(sum("3 one 4").is_err());
    /// # Ok::<(), std::num::ParseIntError>(())
    /// ```
    ///
    /// # Panics
    ///
    /// As [`Executor::global`] and [`Executor::stream`].
    ///
    /// # Progress
    ///
    /// As [`Executor::global`]. It does not wait for any item.
    fn try_ordered_map<U, E, F>(self, job: F) -> TryValues<'static, U, E>
    where
        Self: 'static,
        Self::Item: Send,
        U: Send + 'static,
        E: Send + 'static,
        F: Fn(Self::Item) -> Result<U, E> + Send + Sync + 'static,
    {
        self.try_ordered_map_in(Executor::global(), job)
    }

    /// Does the same as [`try_ordered_map`](IteratorExt::try_ordered_map), on the workers of
    /// `executor`.
    ///
    /// ```
    /// use reorder_executor::{Executor, IteratorExt};
    ///
    /// let executor = Executor::builder().workers(2).build()?;
    /// let words = ["8", "six", "7"].into_iter();
    /// let mut numbers = words.try_ordered_map_in(&executor, |word| word.parse::<u32>());
    /// assert_eq!(numbers.next(), Some(Ok(8)));
    /// assert!(numbers.next().is_some_and(|result| result.is_err()));
    /// assert_eq!(numbers.next(), None);
    /// # Ok::<(), reorder_executor::BuildError>(())
    /// ```
    ///
    /// # Panics
    ///
    /// As [`Executor::stream`].
    ///
    /// # Progress
    ///
    /// It does not wait for any item.
    fn try_ordered_map_in<U, E, F>(self, executor: &Executor, job: F) -> TryValues<'static, U, E>
    where
        Self: 'static,
        Self::Item: Send,
        U: Send + 'static,
        E: Send + 'static,
        F: Fn(Self::Item) -> Result<U, E> + Send + Sync + 'static,
    {
        TryValues::new(self.ordered_map_in(executor, job))
    }

    /// Does the same as [`try_ordered_map`](IteratorExt::try_ordered_map), for a source and a job
    /// that borrow from outside of the scope.
    ///
    /// ```
    /// use reorder_executor::{Executor, IteratorExt};
    ///
    /// let words = [String::from("8"), String::from("7")];
    /// let sum: Result<u32, _> = Executor::global().scope(|scope| {
    ///     words.iter().try_ordered_map_scoped(scope, |word| word.parse::<u32>()).sum()
    /// });
    /// assert_eq!(sum, Ok(15));
    /// ```
    ///
    /// # Panics
    ///
    /// As [`Executor::stream`].
    ///
    /// # Progress
    ///
    /// It does not wait for any item.
    fn try_ordered_map_scoped<'scope, U, E, F>(
        self,
        scope: &'scope Scope<'scope, '_>,
        job: F,
    ) -> TryValues<'scope, U, E>
    where
        Self: 'scope,
        Self::Item: Send,
        U: Send + 'scope,
        E: Send + 'scope,
        F: Fn(Self::Item) -> Result<U, E> + Send + Sync + 'scope,
    {
        TryValues::new(self.ordered_map_scoped(scope, job))
    }
}

impl<I: Iterator + Send> IteratorExt for I {}
