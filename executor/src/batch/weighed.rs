//! Batches whose items have weights.

use std::fmt;
use std::sync::Arc;

use crate::batch::builder::{Admitted, BatchBuilder, Job, Streamed, limited_job};
use crate::io::{LazySource, Weighed};
use crate::stream::{open_lazy, publish_with_limits};

/// A batch with a budget, made by [`BatchBuilder::weight`].
#[must_use = "nothing runs until `stream` is called"]
pub struct WeighedBatch<'e, I, W> {
    batch: BatchBuilder<'e, I>,
    weigh: W,
}

impl<'e, I: IntoIterator> BatchBuilder<'e, I> {
    /// Bounds the total weight of the items that were pulled and whose outcomes were not taken.
    /// `weigh` returns the weight of an item: its size in bytes, or its number of tokens.
    ///
    /// The budget stands beside the window, which bounds the number of items. Items are admitted in
    /// their order:
    ///
    /// * The next item waits until it fits into the budget.
    /// * While no outstanding item has a weight, any item is admitted. So an item that is heavier
    ///   than the budget passes alone, and nothing waits for ever.
    /// * The weight of an item is known when it was pulled. So one item more is pulled, which
    ///   waits.
    /// * An outcome counts until the stream has returned it. The outcome that the caller has in
    ///   hand does not count.
    ///
    /// A job may [correct](Job::set_weight) the weight of its item by the weight of its result.
    ///
    /// Set the limits of the batch first. A batch that [runs](BatchBuilder::run) or is
    /// [submitted](BatchBuilder::submit) has all items and outcomes in memory, and so no budget.
    ///
    /// ```
    /// use reorder_executor::Executor;
    ///
    /// let executor = Executor::builder().workers(2).build()?;
    /// let lines = ["a few", "words", "in a line"].map(String::from);
    /// // At most 64 MiB of lines are in memory, besides one line.
    /// let batch = executor.batch(lines).weight(64 << 20, |line| line.len() as u64);
    /// let counts = batch.stream(|line, _job| Ok::<_, ()>(line.split(' ').count()))?;
    /// assert_eq!(counts.map(|count| count.expect("no error")).sum::<usize>(), 6);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn weight<W>(mut self, limit: u64, weigh: W) -> WeighedBatch<'e, I, W>
    where
        W: Fn(&I::Item) -> u64,
    {
        self.limits.weight = Some(limit);
        WeighedBatch { batch: self, weigh }
    }
}

impl<I, W> WeighedBatch<'_, I, W> {
    /// Runs `job` on the items as [`BatchBuilder::stream`], within the budget.
    ///
    /// A panic of the function that weighs counts as a panic of the source.
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
        batch.stream_with(window, I::into_iter, move |call, source| {
            let Admitted { executor, admission, window, limits } = call;
            let run = limited_job(Arc::clone(&limits), job);
            let run = move |(index, item): (u64, I::Item)| run(index, item);
            let budget = limits.budget.clone().expect("the limits have a weight");
            let source = Weighed::new(source, weigh, budget);
            let source = LazySource::within_budget(source, Weighed::is_admitted);
            let (core, consumer_end) = open_lazy(executor, source, window, Some(limits), run);
            publish_with_limits(executor, admission, Arc::new(core), consumer_end)
        })
    }
}

impl<I, W> fmt::Debug for WeighedBatch<'_, I, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeighedBatch").field("batch", &self.batch).finish_non_exhaustive()
    }
}
