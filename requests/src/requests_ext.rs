//! The method of a batch that makes it a batch of requests.

use reorder_executor::{BatchBuilder, WeighedBatch};

use crate::builder::Requests;

/// Turns a batch into [`Requests`]: items that may need several attempts, and share a rate limiter.
///
/// | a batch | its requests |
/// |---|---|
/// | [`BatchBuilder`], from [`Executor::batch`](crate::Executor::batch) | have the limits of the batch |
/// | [`WeighedBatch`], from [`weight`](BatchBuilder::weight) | also keep the budget of the weights |
///
/// [`Requests`] has an example.
///
/// # Requests within a budget
///
/// * An item counts from its pull until its outcome was taken. So an item that waits for its next
///   attempt counts, too.
/// * An attempt may [correct](crate::Attempt::set_weight) the weight by the weight of its result.
/// * An item that the stream gave up on does not count after its failure was taken, even if its
///   attempt still runs.
///
/// There is no budget for `submit` and `submit_async`, because they keep all items in memory.
///
/// A panic of the function that weighs counts as a panic of the source, as in
/// [`WeighedBatch::stream`].
///
/// ```
/// use reorder_requests::{AttemptOutcome, Executor, RequestsExt};
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
pub trait RequestsExt<'e> {
    /// The source of the items.
    type Source;
    /// The function that weighs the items, or `()`.
    type Weigh;

    /// Returns the builder of requests to a service, with the limits of this batch.
    ///
    /// # Progress
    ///
    /// Wait-free. No item runs before a stream is opened or the requests are submitted.
    fn requests(self) -> Requests<'e, Self::Source, Self::Weigh>;
}

impl<'e, I> RequestsExt<'e> for BatchBuilder<'e, I> {
    type Source = I;
    type Weigh = ();

    fn requests(self) -> Requests<'e, I> {
        Requests::new(self, ())
    }
}

impl<'e, I, W> RequestsExt<'e> for WeighedBatch<'e, I, W> {
    type Source = I;
    type Weigh = W;

    fn requests(self) -> Requests<'e, I, W> {
        let (batch, weigh) = self.into_parts();
        Requests::new(batch, weigh)
    }
}
