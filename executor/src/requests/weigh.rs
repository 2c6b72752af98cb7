//! Requests whose items have weights.

use crate::WeighedBatch;
use crate::requests::builder::Requests;

/// A function that weighs the items of [`Requests`], or `()` for requests without a budget.
///
/// Functions `Fn(&T) -> u64` implement it. [`WeighedBatch::requests`] has an example.
pub trait Weigh<T>: Send + 'static {
    /// Returns the weight of an item.
    fn weigh(&self, item: &T) -> u64;
}

/// Without a budget, no item has a weight.
impl<T> Weigh<T> for () {
    fn weigh(&self, _: &T) -> u64 {
        0
    }
}

impl<T, W: Fn(&T) -> u64 + Send + 'static> Weigh<T> for W {
    fn weigh(&self, item: &T) -> u64 {
        self(item)
    }
}

impl<'e, I, W> WeighedBatch<'e, I, W> {
    /// Returns the builder of requests within the budget, as
    /// [`BatchBuilder::requests`](crate::BatchBuilder::requests).
    ///
    /// * An item counts from its pull until its outcome was taken. So an item that waits for its
    ///   next attempt counts, too.
    /// * An attempt may [correct](crate::Attempt::set_weight) the weight by the weight of its
    ///   result.
    /// * An item that the stream gave up on does not count after its failure was taken, even if its
    ///   attempt still runs.
    ///
    /// There is no budget for `submit` and `submit_async`, because they keep all items in memory.
    ///
    /// A panic of the function that weighs counts as a panic of the source, as in
    /// [`stream`](WeighedBatch::stream).
    ///
    /// ```
    /// use reorder_executor::{AttemptOutcome, Executor};
    ///
    /// let executor = Executor::builder().workers(2).build()?;
    /// let uploads = ["a few", "bytes"].map(String::from);
    /// let batch = executor.batch(uploads).weight(64 << 20, |upload| upload.len() as u64);
    /// let receipts = batch.requests().stream(|upload, attempt| {
    ///     let receipt = upload.len();
    ///     // The upload may be retried. Its receipt is a number.
    ///     attempt.set_weight(size_of_val(&receipt) as u64);
    ///     AttemptOutcome::<_, ()>::Done(receipt)
    /// })?;
    /// assert_eq!(receipts.map(Result::unwrap).collect::<Vec<_>>(), [5, 5]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Progress
    ///
    /// Wait-free. No item runs before a stream is opened.
    pub fn requests(self) -> Requests<'e, I, W> {
        let (batch, weigh) = self.into_parts();
        Requests::new(batch, weigh)
    }
}
