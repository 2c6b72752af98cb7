//! Batches whose items have weights.

use std::fmt;
use std::sync::Arc;

use futures_core::Stream;

use crate::batch::builder::{Admitted, BatchBuilder, Job, Streamed, open_lazy_limited};
use crate::io::{LazySource, Weighed};
use crate::stream::{ConsumerEnd, StreamWork, publish_with_limits};
use crate::unwind::DiscardOnDrop;

/// A batch with a budget, made by [`BatchBuilder::weight`].
#[must_use = "nothing runs until a stream is opened"]
pub struct WeighedBatch<'e, I, W, S = ()> {
    pub(crate) batch: BatchBuilder<'e, I, S>,
    pub(crate) weigh: DiscardOnDrop<W>,
}

impl<'e, I: IntoIterator, S> BatchBuilder<'e, I, S> {
    /// Bounds the total weight of the outstanding items by a budget of `limit`. An item is
    /// outstanding from its pull until its outcome is taken. `weigh` returns the weight of an item,
    /// such as its bytes or its tokens.
    ///
    /// The window still bounds the number of items. The budget admits the items in their order:
    ///
    /// * The next item waits until it fits into the budget.
    /// * While no outstanding item has a weight, any item fits. So an item that is heavier than the
    ///   budget passes alone, and no item waits for ever.
    /// * The stream pulls an item before it weighs it. So one item more than the budget admits may
    ///   be in memory.
    /// * An outcome counts until the stream has returned it. Then it no longer counts, although the
    ///   caller holds it. [`Ordered::peek_mut`](crate::Ordered::peek_mut) shows the value of an
    ///   outcome that still counts.
    ///
    /// A result may be heavier or lighter than its item. A job [sets](Job::set_weight) the weight
    /// of its result.
    ///
    /// So the items and results in memory may weigh as much as all of these together:
    ///
    /// * The limit, or one heavier item that passes alone.
    /// * The item that was pulled and waits: at most the heaviest item.
    /// * The results that jobs are making, while the jobs still have their items.
    /// * The excess of a result over the weight of its item, unless the job sets the weight.
    /// * The outcome that the stream has returned, until the caller drops it.
    /// * The items of jobs that run on after the stream has given up on them.
    ///
    /// Set the limits of the batch before this. A batch with a budget has no
    /// [`run`](BatchBuilder::run) and no [`submit`](BatchBuilder::submit), because these keep all
    /// items and outcomes in memory.
    ///
    /// ```
    /// use std::convert::Infallible;
    /// use reorder_executor::Executor;
    ///
    /// let executor = Executor::builder().workers(2).build()?;
    /// let lines = ["a few", "words", "in a line"].map(String::from);
    /// // At most 64 MiB of lines are outstanding, besides one line that waits.
    /// let batch = executor.batch(lines).weight(64 << 20, |line| line.len() as u64);
    /// let counts = batch.stream(|line, _job| Ok::<_, Infallible>(line.split(' ').count()))?;
    /// assert_eq!(counts.map(|count| count.expect("no error")).sum::<usize>(), 6);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn weight<W>(self, limit: u64, weigh: W) -> WeighedBatch<'e, I, W, S>
    where
        W: Fn(&I::Item) -> u64,
    {
        WeighedBatch::new(self, limit, weigh)
    }
}

impl<'e, I, W, S> WeighedBatch<'e, I, W, S> {
    pub(crate) fn new(mut batch: BatchBuilder<'e, I, S>, limit: u64, weigh: W) -> Self {
        batch.limits.weight = Some(limit);
        WeighedBatch { batch, weigh: DiscardOnDrop::new(weigh) }
    }
}

impl<'e, I> BatchBuilder<'e, I> {
    /// Returns the same batch, whose items are weighed by `weigh`. The limit of the batch holds, if
    /// it has one. For calls that [take a batch apart](WeighedBatch::into_parts).
    pub fn weighed_by<W>(self, weigh: W) -> WeighedBatch<'e, I, W> {
        WeighedBatch { batch: self, weigh: DiscardOnDrop::new(weigh) }
    }

    /// Bounds the total weight of the items of an async stream, as [`weight`](BatchBuilder::weight)
    /// does for an iterator. [`WeighedBatch::poll_to`] runs such a stream.
    pub fn weight_stream<W>(self, limit: u64, weigh: W) -> WeighedBatch<'e, I, W>
    where
        I: Stream,
        W: Fn(&I::Item) -> u64,
    {
        WeighedBatch::new(self, limit, weigh)
    }
}

impl<'e, I, W> WeighedBatch<'e, I, W> {
    /// Takes the batch and the function apart. The batch keeps its limit.
    pub fn into_parts(self) -> (BatchBuilder<'e, I>, W) {
        (self.batch, self.weigh.into_inner())
    }
}

impl<I, W> WeighedBatch<'_, I, W> {
    /// Runs `job` on the items as [`BatchBuilder::stream`], within the budget.
    ///
    /// If the function that weighs panics, the stream ends, as after a panic of the source. The
    /// last outcome is [`Failure::SourcePanicked`](crate::Failure::SourcePanicked), at the place of
    /// the item. The item is dropped, and a panic of its `Drop` is ignored.
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
    pub fn stream<U, E, F>(self, job: F) -> Streamed<I, U, E>
    where
        I: IntoIterator<IntoIter: Send + 'static, Item: Send + 'static>,
        U: Send + 'static,
        E: Send + 'static,
        F: Fn(I::Item, &Job<'_>) -> Result<U, E> + Send + Sync + 'static,
        W: Fn(&I::Item) -> u64 + Send + 'static,
    {
        let WeighedBatch { batch, weigh } = self;
        let window = batch.window;
        batch.stream_with(window, I::into_iter, |call, source| {
            let (stream, consumer_end) = open_weighed(&call, source, weigh, job);
            publish_with_limits(call.executor, call.admission, Arc::new(stream), consumer_end)
        })
    }
}

/// Opens a stream whose items wait for room in the budget of the call. No thread knows it yet.
pub(crate) fn open_weighed<I, U, E, F, W>(
    call: &Admitted<'_>,
    source: I,
    weigh: DiscardOnDrop<W>,
    job: F,
) -> (impl StreamWork + use<I, U, E, F, W>, ConsumerEnd<U, E>)
where
    I: Iterator<Item: Send> + Send,
    U: Send,
    E: Send,
    F: Fn(I::Item, &Job<'_>) -> Result<U, E> + Send + Sync,
    W: Fn(&I::Item) -> u64 + Send,
{
    let weigh = move |(_, item): &(usize, I::Item)| Some((*weigh)(item));
    let source = Weighed::new(source.enumerate(), weigh, call.limits.budget.clone());
    open_lazy_limited(call, LazySource::within_budget(source, Weighed::is_admitted), job)
}

impl<I, W, S> fmt::Debug for WeighedBatch<'_, I, W, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeighedBatch").field("batch", &self.batch).finish_non_exhaustive()
    }
}
