//! The handle of a stream whose outcomes are in order by key.

use std::fmt;
use std::iter::FusedIterator;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_core::Stream;

use crate::limits::Timing;
use crate::outcome::Outcome;
use crate::stream::ordered::Ordered;
use crate::stream::ordered::observe::{Progress, TimedOut};

/// The outcome of an item, with the index of the item. Returned by [`OrderedByKey`].
#[derive(Debug)]
#[non_exhaustive]
pub struct KeyedOutcome<U, E> {
    /// The index of the item in its source, from 0.
    ///
    /// The last failure of a stream that ended early stands for all items that were not pulled.
    /// It has the index of the first of them. A panic of the source has the next index as well. So
    /// a failure may have the index of an item that was never handled.
    pub index: u64,
    /// The outcome of the item.
    pub outcome: Outcome<U, E>,
}

/// The outcomes of a stream's items, in order by key, made by
/// [`KeyedBatch::stream`](crate::KeyedBatch::stream), which has an example.
///
/// The outcomes of one key come in the order of the source. An outcome waits for earlier items of
/// its own key only.
///
/// Each outcome has the index of its item, because the indices do not come in order. A
/// [`CommitFrontier`](crate::CommitFrontier) computes from them which prefix of the source is done.
///
/// The handle is otherwise as an [`Ordered`]: for waits in async code, dropping and forgetting.
/// Dropping it also drops the results that wait for earlier items of their key. Panics of their
/// `Drop` are caught.
///
/// # Progress
///
/// As [`Ordered`], except that `next` waits for an outcome of any key.
///
/// # Panics
///
/// As [`Ordered`].
#[must_use = "dropping a stream stops it"]
pub struct OrderedByKey<'a, U: Send, E: Send>(Ordered<'a, U, E>);

impl<'a, U: Send, E: Send> OrderedByKey<'a, U, E> {
    pub(crate) fn new(stream: Ordered<'a, U, E>) -> Self {
        OrderedByKey(stream)
    }

    fn with_index(&self, outcome: Outcome<U, E>) -> KeyedOutcome<U, E> {
        KeyedOutcome { index: self.0.keyed_index(), outcome }
    }

    /// Waits for the next outcome in async code, as [`Ordered::next_async`]. `None` is the end.
    ///
    /// ```
    /// use std::convert::Infallible;
    /// # let executor = reorder_executor::Executor::builder().workers(1).build()?;
    /// let batch = executor.batch(["a 1", "b 1", "a 2"]);
    /// let batch = batch.ordered_by_key(|text| text.chars().next());
    /// let mut lengths = batch.stream(|text, _| Ok::<_, Infallible>(text.len()))?;
    /// futures_executor::block_on(async {
    ///     while let Some(next) = lengths.next_async().await {
    ///         println!("item {}: {:?}", next.index, next.outcome);
    ///     }
    /// });
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Progress
    ///
    /// It does not block. A poll of the future is a call of [`poll_next`](OrderedByKey::poll_next).
    pub fn next_async(
        &mut self,
    ) -> impl Future<Output = Option<KeyedOutcome<U, E>>> + Send + Unpin {
        std::future::poll_fn(|cx| self.poll_next(cx))
    }

    /// Polls for the next outcome, as [`Ordered::poll_next`]. `None` is the end.
    ///
    /// # Progress
    ///
    /// It does not block.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<KeyedOutcome<U, E>>> {
        let next = self.0.poll_next(cx);
        next.map(|next| next.map(|outcome| self.with_index(outcome)))
    }

    /// Turns this into a `Stream` of the crate `futures-core`.
    ///
    /// ```
    /// use futures_util::StreamExt;
    /// use std::convert::Infallible;
    /// # let executor = reorder_executor::Executor::builder().workers(1).build()?;
    /// let batch = executor.batch(0..8).ordered_by_key(|n| n % 2);
    /// let squares = batch.stream(|n: u64, _| Ok::<_, Infallible>(n * n))?.into_stream();
    /// assert_eq!(futures_executor::block_on(squares.count()), 8);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn into_stream(
        self,
    ) -> impl Stream<Item = KeyedOutcome<U, E>> + Send + Unpin + use<'a, U, E> {
        KeyedStream(self)
    }

    /// Blocks for the next outcome as `next`, but at most for `timeout`. See
    /// [`Ordered::next_timeout`].
    ///
    /// # Errors
    ///
    /// [`TimedOut`] if no outcome has come. The stream goes on.
    ///
    /// # Panics
    ///
    /// As `next`.
    ///
    /// # Progress
    ///
    /// As [`Ordered::next_timeout`].
    pub fn next_timeout(
        &mut self,
        timeout: Duration,
    ) -> Result<Option<KeyedOutcome<U, E>>, TimedOut> {
        let next = self.0.next_timeout(timeout)?;
        Ok(next.map(|outcome| self.with_index(outcome)))
    }

    /// Blocks for the next outcome as [`next_timeout`](OrderedByKey::next_timeout), until an
    /// instant.
    ///
    /// # Errors
    ///
    /// As [`next_timeout`](OrderedByKey::next_timeout).
    ///
    /// # Panics
    ///
    /// As `next`.
    ///
    /// # Progress
    ///
    /// As [`Ordered::next_timeout`].
    pub fn next_deadline(
        &mut self,
        deadline: Instant,
    ) -> Result<Option<KeyedOutcome<U, E>>, TimedOut> {
        let next = self.0.next_deadline(deadline)?;
        Ok(next.map(|outcome| self.with_index(outcome)))
    }

    /// Returns the number of the stream in its executor, as [`Ordered::id`].
    ///
    /// # Progress
    ///
    /// Wait-free.
    pub fn id(&self) -> Option<u64> {
        self.0.id()
    }

    /// Returns how far the stream has come, as [`Ordered::progress`].
    ///
    /// # Progress
    ///
    /// As [`Ordered::progress`].
    pub fn progress(&self) -> Progress {
        self.0.progress()
    }

    /// Changes the window for all keys, as [`Ordered::set_window`].
    ///
    /// # Progress
    ///
    /// As [`Ordered::set_window`].
    pub fn set_window(&self, items: NonZeroUsize) -> usize {
        self.0.set_window(items)
    }

    /// Waits until no job of the stream runs and none will start, as [`Ordered::until_idle`].
    ///
    /// # Progress
    ///
    /// As [`Ordered::until_idle`].
    pub fn until_idle(&mut self, within: Option<Duration>) -> bool {
        self.0.until_idle(within)
    }

    /// Returns the number of results so far that were dropped because they came too late, as
    /// [`Ordered::late_results`].
    ///
    /// # Progress
    ///
    /// Wait-free: one load.
    pub fn late_results(&self) -> usize {
        self.0.late_results()
    }

    /// Returns when the item ran whose outcome was returned last, as [`Ordered::timing`].
    ///
    /// [`Timing::waited`] is the time for which the outcome waited for other outcomes of the
    /// stream that were returned before.
    pub fn timing(&self) -> Option<Timing> {
        self.0.timing()
    }

    /// Returns the current statistics of the [dispatcher](crate::dispatch) that runs the stream, as
    /// [`Ordered::stats`].
    ///
    /// # Progress
    ///
    /// As [`Ordered::stats`].
    pub fn stats<T: 'static>(&self) -> Option<T> {
        self.0.stats()
    }
}

impl<U: Send, E: Send> Iterator for OrderedByKey<'_, U, E> {
    type Item = KeyedOutcome<U, E>;

    fn next(&mut self) -> Option<KeyedOutcome<U, E>> {
        let outcome = self.0.next()?;
        Some(self.with_index(outcome))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl<U: Send, E: Send> FusedIterator for OrderedByKey<'_, U, E> {}

impl<U: Send, E: Send> fmt::Debug for OrderedByKey<'_, U, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OrderedByKey").field(&self.0).finish()
    }
}

struct KeyedStream<'a, U: Send, E: Send>(OrderedByKey<'a, U, E>);

// Nothing in it is ever pinned.
impl<U: Send, E: Send> Unpin for KeyedStream<'_, U, E> {}

impl<U: Send, E: Send> Stream for KeyedStream<'_, U, E> {
    type Item = KeyedOutcome<U, E>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<KeyedOutcome<U, E>>> {
        self.0.poll_next(cx)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}
