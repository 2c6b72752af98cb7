//! Batches whose outcomes are in order by key.

use std::fmt;
use std::hash::Hash;
use std::num::NonZeroUsize;
use std::sync::Arc;

use futures_core::Stream;

use crate::batch::builder::{Admitted, BatchBuilder, Job, limited_job};
use crate::batch::handle::Refused;
use crate::stream::{ConsumerEnd, OrderedByKey, StreamWork, open_by_key, publish_with_limits};
use crate::unwind::DiscardOnDrop;

/// A batch whose outcomes are in order by key, made by [`BatchBuilder::ordered_by_key`].
#[must_use = "nothing runs until a stream is opened"]
pub struct KeyedBatch<'e, I, F, S = ()> {
    pub(crate) batch: BatchBuilder<'e, I, S>,
    pub(crate) key: DiscardOnDrop<F>,
}

impl<'e, I: IntoIterator, S> BatchBuilder<'e, I, S> {
    /// Orders the outcomes of the stream by key: the outcomes of one key come in the order of the
    /// source, and keys do not wait for each other. `key` returns the key of an item.
    ///
    /// A slow item, a failure or a panic holds back the outcomes of its own key only. Jobs of one
    /// key may run at the same time, unless [`key_window`](KeyedBatch::key_window) limits them.
    ///
    /// The [window](BatchBuilder::window) counts the items of all keys that were pulled and whose
    /// outcomes were not taken. Items that wait for earlier items of their key count as well. So
    /// **one key can stop all others**: if an item never ends, and more items of its key come than
    /// the window has room for, these items fill the window. Then nothing more is pulled until the
    /// item ends. To bound such a wait, set an
    /// [`item_timeout`](BatchBuilder::item_timeout). To delay it, set a larger window.
    ///
    /// Memory is needed for the items in the window, and for the keys of these items. A key without
    /// such items is forgotten, so millions of keys may come over time. Up to as many keys again,
    /// or 64, may be in memory until the next sweep.
    ///
    /// * A panic of `key`, or of the key's `Hash` or `Eq`, is the outcome of its item, which has no
    ///   key and does not run.
    /// * A [panic of the source](crate::Failure::SourcePanicked) is an outcome of its own. Outcomes
    ///   of items before it may come later.
    /// * If the batch is cancelled or its deadline passes, each item that was pulled has an
    ///   outcome, in order by key. One last failure stands for the items that were not pulled.
    /// * An item whose time is up has its failure, and its key goes on.
    ///
    /// Set the limits of the batch before this. A batch with keys has no
    /// [`run`](BatchBuilder::run) and no [`submit`](BatchBuilder::submit), whose results are
    /// complete before the caller sees the first. It has no
    /// [`weight`](BatchBuilder::weight): a budget admits and releases items in one order.
    ///
    /// ```
    /// use std::collections::HashMap;
    /// use std::convert::Infallible;
    /// use reorder_executor::Executor;
    ///
    /// let executor = Executor::builder().workers(2).build()?;
    /// let messages = (0..100).map(|n| (["ann", "bob", "eve"][n % 3], n));
    /// let batch = executor.batch(messages).ordered_by_key(|&(name, _)| name);
    /// let mut last = HashMap::new();
    /// for done in batch.stream(|(name, n), _job| Ok::<_, Infallible>((name, n)))? {
    ///     let (name, n) = done.outcome?;
    ///     assert_eq!(done.index, n as u64);
    ///     assert!(last.insert(name, n).is_none_or(|before| before < n), "in order by name");
    /// }
    /// assert_eq!(last.len(), 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn ordered_by_key<K, F>(mut self, key: F) -> KeyedBatch<'e, I, F, S>
    where
        F: FnMut(&I::Item) -> K,
        K: Hash + Eq,
    {
        self.limits.key_window = Some(usize::MAX);
        KeyedBatch { batch: self, key: DiscardOnDrop::new(key) }
    }
}

impl<'e, I: Stream> BatchBuilder<'e, I> {
    /// Orders the outcomes of an async stream of items by key, as
    /// [`ordered_by_key`](BatchBuilder::ordered_by_key) does for an iterator.
    /// [`KeyedBatch::poll_to`] runs such a stream.
    pub fn ordered_by_key_stream<K, F>(mut self, key: F) -> KeyedBatch<'e, I, F>
    where
        F: FnMut(&I::Item) -> K,
        K: Hash + Eq,
    {
        self.limits.key_window = Some(usize::MAX);
        KeyedBatch { batch: self, key: DiscardOnDrop::new(key) }
    }
}

impl<I, F, S> KeyedBatch<'_, I, F, S> {
    /// Limits the number of items of each key that run or wait for an earlier item of their key.
    /// The number is exact. By default, only the window for all keys limits it.
    ///
    /// An item counts from its start until its job has returned and all earlier items of its key
    /// have outcomes. With 1, one item of each key runs at a time, and the next one starts after it
    /// has ended. If the consumer gives up on an item, because its time is up, the item counts
    /// until its job returns.
    ///
    /// Items beyond the limit are pulled, and wait unstarted. They count in the window for all
    /// keys.
    ///
    /// ```
    /// use std::convert::Infallible;
    /// use std::num::NonZeroUsize;
    /// use std::sync::atomic::{AtomicUsize, Ordering};
    ///
    /// static RUNNING: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];
    /// let executor = reorder_executor::Executor::builder().workers(2).build()?;
    /// let batch = executor.batch(0..50).ordered_by_key(|n| n % 2);
    /// let stream = batch.key_window(NonZeroUsize::MIN).stream(|n, _| {
    ///     let running = &RUNNING[n % 2];
    ///     assert_eq!(running.fetch_add(1, Ordering::Relaxed), 0, "one at a time of this key");
    ///     running.fetch_sub(1, Ordering::Relaxed);
    ///     Ok::<_, Infallible>(n)
    /// })?;
    /// assert!(stream.map(|done| done.outcome).all(|outcome| outcome.is_ok()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn key_window(mut self, items: NonZeroUsize) -> Self {
        self.batch.limits.key_window = Some(items.get());
        self
    }
}

impl<I, F> KeyedBatch<'_, I, F> {
    /// Runs `job` on the items of a source, which may be endless, and yields the outcomes in order
    /// by key. [`BatchBuilder::ordered_by_key`] has an example.
    ///
    /// The limits hold as for [`BatchBuilder::stream`].
    ///
    /// # Errors
    ///
    /// As [`BatchBuilder::stream`].
    ///
    /// # Panics
    ///
    /// As [`BatchBuilder::stream`].
    ///
    /// # Progress
    ///
    /// As [`BatchBuilder::stream`].
    pub fn stream<K, U, E, J>(
        self,
        job: J,
    ) -> Result<OrderedByKey<'static, U, E>, Refused<I::IntoIter>>
    where
        I: IntoIterator<IntoIter: Send + 'static, Item: Send + 'static>,
        F: FnMut(&I::Item) -> K + Send + 'static,
        K: Hash + Eq + Send + 'static,
        U: Send + 'static,
        E: Send + 'static,
        J: Fn(I::Item, &Job<'_>) -> Result<U, E> + Send + Sync + 'static,
    {
        let KeyedBatch { batch, key } = self;
        let window = batch.window;
        let stream = batch.stream_with(window, I::into_iter, |call, source| {
            let (stream, consumer_end) = open_keyed(&call, source, key, job);
            publish_with_limits(call.executor, call.admission, Arc::new(stream), consumer_end)
        });
        stream.map(OrderedByKey::new)
    }
}

/// Opens a stream whose outcomes are in order by key. No thread knows it yet.
pub(crate) fn open_keyed<I, F, K, U, E, J>(
    call: &Admitted<'_>,
    source: I,
    key: DiscardOnDrop<F>,
    job: J,
) -> (impl StreamWork + use<I, F, K, U, E, J>, ConsumerEnd<U, E>)
where
    I: Iterator<Item: Send> + Send,
    F: FnMut(&I::Item) -> K + Send,
    K: Hash + Eq + Send,
    U: Send,
    E: Send,
    J: Fn(I::Item, &Job<'_>) -> Result<U, E> + Send + Sync,
{
    let run = limited_job(Arc::clone(&call.limits), job);
    let run = move |(index, item): (usize, I::Item)| run(index as u64, item);
    let limits = Arc::clone(&call.limits);
    open_by_key(call.executor, source.enumerate(), key, call.window, limits, run)
}

impl<I, F, S> fmt::Debug for KeyedBatch<'_, I, F, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedBatch").field("batch", &self.batch).finish_non_exhaustive()
    }
}
