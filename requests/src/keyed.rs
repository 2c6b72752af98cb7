//! Requests whose outcomes are in order by key.

use std::fmt;
use std::hash::Hash;
use std::num::NonZeroUsize;
use std::sync::Arc;

use futures_core::Stream;

use crate::attempt::{Attempt, AttemptOutcome};
use crate::builder::Requests;
use crate::jobs::{Blocking, Spawned};
use reorder_executor::dispatch::DiscardOnDrop;
use reorder_executor::{KeyedBatch, OrderedByKey, Refused, Spawn};

/// Requests whose outcomes are in order by key, made by [`Requests::ordered_by_key`].
#[must_use = "nothing runs until a stream is opened"]
pub struct KeyedRequests<'e, I, F> {
    requests: Requests<'e, I>,
    key: DiscardOnDrop<F>,
    key_window: Option<NonZeroUsize>,
}

impl<'e, I> Requests<'e, I> {
    /// Orders the outcomes by key, as
    /// [`BatchBuilder::ordered_by_key`](crate::BatchBuilder::ordered_by_key) does for a stream.
    /// An item that waits for its next attempt holds back its own key only.
    ///
    /// Set all other settings of the requests before this. There is no `submit`, and no budget of
    /// weights. With [hedges](Requests::hedge), only the running item with the lowest index gets
    /// one, whatever its key is.
    ///
    /// ```
    /// use std::time::Duration;
    /// use reorder_requests::{AttemptOutcome, Executor, RequestsExt, Retry};
    ///
    /// let executor = Executor::builder().workers(2).build()?;
    /// let hour = Duration::from_secs(3600);
    /// let retry = Retry::new().within(hour * 10).wait(hour, hour);
    /// let orders = [("ann", 1), ("bob", 1), ("ann", 2), ("bob", 2)];
    /// let requests = executor.batch(orders).requests().retry(retry);
    /// let mut outcomes = requests.ordered_by_key(|&(name, _)| name).stream(|&order, _attempt| {
    ///     if order == ("ann", 1) {
    ///         // The next attempt is in an hour.
    ///         return AttemptOutcome::Retry { error: "busy", after: None };
    ///     }
    ///     AttemptOutcome::Done(order)
    /// })?;
    /// let done: Vec<_> = outcomes.by_ref().take(2).map(|it| it.outcome.unwrap()).collect();
    /// assert_eq!(done, [("bob", 1), ("bob", 2)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn ordered_by_key<K, F>(self, key: F) -> KeyedRequests<'e, I, F>
    where
        I: IntoIterator,
        F: FnMut(&I::Item) -> K,
        K: Hash + Eq,
    {
        KeyedRequests::new(self, key)
    }

    /// Orders the outcomes of an async stream of items by key, as
    /// [`ordered_by_key`](Requests::ordered_by_key) does for an iterator.
    /// [`KeyedRequests::map_stream_async`] has an example.
    pub fn ordered_by_key_stream<K, F>(self, key: F) -> KeyedRequests<'e, I, F>
    where
        I: Stream,
        F: FnMut(&I::Item) -> K,
        K: Hash + Eq,
    {
        KeyedRequests::new(self, key)
    }
}

impl<'e, I, F> KeyedRequests<'e, I, F> {
    fn new(requests: Requests<'e, I>, key: F) -> Self {
        KeyedRequests { requests, key: DiscardOnDrop::new(key), key_window: None }
    }

    /// Limits the number of items of each key that have started and have no outcome, or wait for an
    /// earlier item of their key, as
    /// [`KeyedBatch::key_window`](reorder_executor::KeyedBatch::key_window).
    ///
    /// An item counts from its first attempt on, also while it waits for the next one. If the
    /// stream gives up on an item, because its time is up, the item no longer counts. Its attempt
    /// is aborted if it is a future, and may run on otherwise. The same holds for the second of two
    /// attempts, if the requests are hedged.
    pub fn key_window(mut self, items: NonZeroUsize) -> Self {
        self.key_window = Some(items);
        self
    }

    /// Runs the requests as [`Requests::stream`], and yields the outcomes in order by key.
    ///
    /// # Errors
    ///
    /// As [`Requests::stream`].
    ///
    /// # Panics
    ///
    /// As [`Requests::stream`].
    ///
    /// # Progress
    ///
    /// As [`Requests::stream`].
    pub fn stream<K, U, E, J>(
        self,
        job: J,
    ) -> Result<OrderedByKey<'static, U, E>, Refused<I::IntoIter>>
    where
        I: IntoIterator<IntoIter: Send + 'static, Item: Send + Sync + 'static>,
        F: FnMut(&I::Item) -> K + Send + 'static,
        K: Hash + Eq + Send + 'static,
        U: Send + 'static,
        E: Send + 'static,
        J: Fn(&I::Item, &Attempt) -> AttemptOutcome<U, E> + Send + Sync + 'static,
    {
        let KeyedRequests { requests: Requests { batch, settings, .. }, key, key_window } = self;
        let jobs = Blocking::new(job);
        let batch = within(batch.ordered_by_key(calling(key)), key_window);
        batch.stream_to(|setup| settings.driver(setup, jobs))
    }

    /// Runs the requests as [`Requests::stream_async`], and yields the outcomes in order by key.
    ///
    /// # Errors
    ///
    /// As [`Requests::stream`].
    ///
    /// # Panics
    ///
    /// As [`Requests::stream`].
    ///
    /// # Progress
    ///
    /// As [`Requests::stream_async`].
    pub fn stream_async<K, U, E, S, J, A>(
        self,
        spawner: S,
        job: J,
    ) -> Result<OrderedByKey<'static, U, E>, Refused<I::IntoIter>>
    where
        I: IntoIterator<IntoIter: Send + 'static, Item: Send + Sync + 'static>,
        F: FnMut(&I::Item) -> K + Send + 'static,
        K: Hash + Eq + Send + 'static,
        U: Send + 'static,
        E: Send + 'static,
        S: Spawn + Send + Sync + 'static,
        J: Fn(Arc<I::Item>, Attempt) -> A + Send + Sync + 'static,
        A: Future<Output = AttemptOutcome<U, E>> + Send + 'static,
    {
        let KeyedRequests { requests: Requests { batch, settings, .. }, key, key_window } = self;
        let jobs = Spawned::new(spawner, job);
        let batch = within(batch.ordered_by_key(calling(key)), key_window);
        batch.stream_to(|setup| settings.driver(setup, jobs))
    }

    /// Runs the requests of an async stream as [`Requests::map_stream_async`], and yields the
    /// outcomes in order by key.
    ///
    /// ```
    /// use std::pin::Pin;
    /// use std::sync::Arc;
    /// use futures_util::{StreamExt, stream};
    /// use reorder_requests::{AttemptOutcome, Executor, RequestsExt};
    ///
    /// // A simple runtime: one thread for each future.
    /// let spawner = |task: Pin<Box<dyn Future<Output = ()> + Send>>| {
    ///     std::thread::spawn(|| futures_executor::block_on(task));
    /// };
    /// let executor = Executor::builder().workers(1).build()?;
    /// let messages = stream::iter(0..6);
    /// let requests = executor.batch(messages).requests().ordered_by_key_stream(|n| n % 2);
    /// let job = |n: Arc<u64>, _| async move { AttemptOutcome::<_, ()>::Done(*n * 10) };
    /// let outcomes = requests.map_stream_async(spawner, job)?.into_stream();
    /// let done = futures_executor::block_on(outcomes.map(|it| it.index).collect::<Vec<_>>());
    /// assert!(done.iter().filter(|index| *index % 2 == 0).is_sorted());
    /// assert_eq!(done.len(), 6);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Requests::stream`].
    ///
    /// # Panics
    ///
    /// As [`Requests::stream`].
    ///
    /// # Progress
    ///
    /// As [`Requests::stream_async`].
    pub fn map_stream_async<K, U, E, S, J, A>(
        self,
        spawner: S,
        job: J,
    ) -> Result<OrderedByKey<'static, U, E>, Refused<I>>
    where
        I: Stream<Item: Send + Sync + 'static> + Send + 'static,
        F: FnMut(&I::Item) -> K + Send + 'static,
        K: Hash + Eq + Send + 'static,
        U: Send + 'static,
        E: Send + 'static,
        S: Spawn + Send + Sync + 'static,
        J: Fn(Arc<I::Item>, Attempt) -> A + Send + Sync + 'static,
        A: Future<Output = AttemptOutcome<U, E>> + Send + 'static,
    {
        let KeyedRequests { requests: Requests { batch, settings, .. }, key, key_window } = self;
        let jobs = Spawned::new(spawner, job);
        let batch = within(batch.ordered_by_key_stream(calling(key)), key_window);
        batch.poll_to(|setup| settings.driver(setup, jobs))
    }
}

/// Returns a function that calls `key`, and catches a panic of its `Drop`.
fn calling<T, K, F: FnMut(&T) -> K>(mut key: DiscardOnDrop<F>) -> impl FnMut(&T) -> K {
    move |item| (*key)(item)
}

fn within<I, F>(
    batch: KeyedBatch<'_, I, F>,
    key_window: Option<NonZeroUsize>,
) -> KeyedBatch<'_, I, F> {
    match key_window {
        Some(items) => batch.key_window(items),
        None => batch,
    }
}

impl<I, F> fmt::Debug for KeyedRequests<'_, I, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedRequests").field("requests", &self.requests).finish_non_exhaustive()
    }
}
