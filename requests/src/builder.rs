//! The settings of a batch of requests, and the calls that start it.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;

use futures_core::Stream;

use crate::attempt::{Attempt, AttemptOutcome};
use crate::dispatcher::RequestConfig;
use crate::driver::{Driver, Jobs};
use crate::hedge::Hedge;
use crate::jobs::{Blocking, Spawned};
use crate::limiter::RateLimiter;
use crate::retry::Retry;
use crate::weigh::Weigh;
use reorder_executor::dispatch::{DiscardOnDrop, Setup};
use reorder_executor::{BatchBuilder, BatchHandle, ConcurrencyLimit, Ordered, Refused, Spawn};

type Submitted<I, U, E> = Result<BatchHandle<U, E>, Refused<Vec<<I as IntoIterator>::Item>>>;
type Streamed<I, U, E> = Result<Ordered<'static, U, E>, Refused<<I as IntoIterator>::IntoIter>>;

/// A batch of requests to a service. Made from a batch by [`RequestsExt::requests`]. It has the
/// limits of the batch.
///
/// A job returns an [`AttemptOutcome`] for each attempt. An item that waits for another attempt
/// keeps its place in the order. It keeps no worker and no permit of the concurrency. Attempts
/// start when the [`RateLimiter`] allows it, the lowest index first.
///
/// [`BatchHandle`]: reorder_executor::BatchHandle
///
/// | call | jobs | outcomes |
/// |---|---|---|
/// | [`submit`](Requests::submit) | block, on the workers | a [`BatchHandle`] |
/// | [`stream`](Requests::stream) | the same | an [`Ordered`] |
/// | [`submit_async`](Requests::submit_async) | are futures, on a runtime | a [`BatchHandle`] |
/// | [`stream_async`](Requests::stream_async) | the same | an [`Ordered`] |
///
/// [`map_stream`](Requests::map_stream) does the same as `stream` for an async stream of items, and
/// [`map_stream_async`](Requests::map_stream_async) the same as `stream_async`.
/// [`weight`](BatchBuilder::weight) bounds the total weight of the items of a stream.
///
/// [`RequestsExt::requests`]: crate::RequestsExt::requests
///
/// All attempts at an item get the same reference to it. Two of them may run at the same time: an
/// attempt that exceeds its [time-out](Retry::attempt_timeout) beside the next one, or an attempt
/// beside its [hedge](Hedge). So items are `Sync`.
///
/// The timeout and the budget of an item count from its first attempt, waits included. These events
/// immediately end an item that waits:
///
/// * a cancellation, or a shutdown
/// * the failure of another item, in a batch that fails fast
/// * a deadline, or the end of the item's budget
///
/// ```
/// use std::sync::atomic::{AtomicU32, Ordering};
/// use std::time::Duration;
/// use reorder_requests::{
///     AttemptOutcome, Executor, RateLimiter, RequestStats, RequestsExt, Retry, Throttle,
/// };
///
/// let executor = Executor::builder().workers(2).build()?;
/// let millis = Duration::from_millis;
/// let throttle = Throttle::new(Duration::ZERO, millis(50), millis(1));
/// // Shared by all batches that call this service.
/// let limiter = RateLimiter::builder().pace(millis(1)).throttle(throttle).build()?;
///
/// let busy = AtomicU32::new(3);
/// let handle = executor
///     .batch(["a", "bc", "def"])
///     .requests()
///     .through(&limiter)
///     .retry(Retry::new().within(Duration::from_secs(60)).wait(millis(1), millis(20)))
///     .submit(move |word, _attempt| {
///         if busy.load(Ordering::Relaxed) > 0 {
///             busy.fetch_sub(1, Ordering::Relaxed);
///             return AttemptOutcome::Retry { error: "busy", after: None };
///         }
///         AttemptOutcome::Done(word.len())
///     })?;
/// let report = handle.wait();
/// let stats = *report.stats::<RequestStats>().expect("they were requests");
/// assert_eq!(stats.attempts, 3 + stats.capacity_retries);
/// assert_eq!(report.into_values().unwrap(), [1, 2, 3]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "nothing runs until it is submitted or streamed"]
pub struct Requests<'e, I, W = ()> {
    pub(crate) batch: BatchBuilder<'e, I>,
    /// The function that weighs the items, or `()`.
    weigh: DiscardOnDrop<W>,
    pub(crate) settings: Settings,
}

/// The settings of requests, whatever their items are.
pub(crate) struct Settings {
    config: RequestConfig,
    /// The maximum number of attempts that run at once, if they have a limit of their own.
    concurrency: Option<ConcurrencyLimit>,
}

impl Settings {
    /// Returns the dispatcher of a call.
    pub(crate) fn driver<J: Jobs>(self, setup: &mut Setup, jobs: J) -> Driver<J> {
        Driver::new(setup, jobs, self.config, self.concurrency)
    }
}

impl<'e, I, W> Requests<'e, I, W> {
    pub(crate) fn new(batch: BatchBuilder<'e, I>, weigh: W) -> Self {
        let config = RequestConfig {
            retry: Retry::new(),
            hedge: None,
            limiter: RateLimiter::unlimited(),
            cost: 1,
            concurrency: NonZeroUsize::MAX.into(),
        };
        let settings = Settings { config, concurrency: None };
        Requests { batch, weigh: DiscardOnDrop::new(weigh), settings }
    }

    /// Sets how often and how long each item is tried. The default is [`Retry::new`].
    pub fn retry(mut self, retry: Retry) -> Self {
        self.settings.config.retry = retry;
        self
    }

    /// Gives the first item without an outcome a second attempt if its attempt takes too long. By
    /// default there are no such attempts. [`Hedge`] has an example.
    pub fn hedge(mut self, hedge: Hedge) -> Self {
        self.settings.config.hedge = Some(hedge);
        self
    }

    /// Sets the rate limiter, which other batches may share. Without one, attempts start as fast as
    /// the concurrency allows.
    pub fn through(mut self, limiter: &RateLimiter) -> Self {
        self.settings.config.limiter = limiter.clone();
        self
    }

    /// Sets the cost of each attempt in the [cost
    /// quotas](crate::RateLimiterBuilder::cost_quota) of the limiter, such as the expected number
    /// of tokens. The default is 1. [`RateLimiter::correct_cost`] corrects it after an answer.
    pub fn cost(mut self, cost: u64) -> Self {
        self.settings.config.cost = cost;
        self
    }

    /// Sets the maximum number of attempts that run at once: a number, or a limit that can be
    /// changed while they run. The default is the [concurrency](BatchBuilder::concurrency) of the
    /// batch. If the batch has none either, the number of workers bounds the attempts. For futures,
    /// the window does.
    pub fn concurrency(mut self, limit: impl Into<ConcurrencyLimit>) -> Self {
        self.settings.concurrency = Some(limit.into());
        self
    }

    /// Sets the window of a stream: the maximum number of outstanding items. The number is exact.
    /// The default is the window of the [batch](BatchBuilder::window). If there is no memory for
    /// the window, the stream is [refused](crate::Refused).
    ///
    /// All items of a submitted batch are outstanding.
    pub fn window(mut self, items: NonZeroUsize) -> Self {
        self.batch = self.batch.window(items);
        self
    }
}

impl<I> Requests<'_, I> {
    /// Starts the batch and returns a handle immediately. [`Requests`] has an example.
    ///
    /// # Errors
    ///
    /// [`Refused`](crate::Refused), with the items, if the executor was shut down.
    ///
    /// # Panics
    ///
    /// If the iterator panics while the items are collected, or there is no memory for them.
    ///
    /// # Progress
    ///
    /// It does not wait for any item.
    pub fn submit<U, E, F>(self, job: F) -> Submitted<I, U, E>
    where
        I: IntoIterator<Item: Send + Sync + 'static>,
        U: Send + 'static,
        E: Send + 'static,
        F: Fn(&I::Item, &Attempt) -> AttemptOutcome<U, E> + Send + Sync + 'static,
    {
        let jobs = Blocking::new(job);
        self.batch.submit_to(|setup| self.settings.driver(setup, jobs))
    }

    /// Starts a batch whose jobs are futures, and returns a handle immediately.
    ///
    /// A worker calls `job` for the future of each attempt, and `spawner` runs it, whether the
    /// caller waits for the handle or not.
    ///
    /// A future is dropped on its runtime when its item is given up: if the batch is dropped or
    /// cancelled, or a deadline of the head has passed.
    ///
    /// ```
    /// use std::pin::Pin;
    /// use std::sync::Arc;
    /// use reorder_requests::{AttemptOutcome, Executor, RequestsExt};
    ///
    /// // A simple runtime: one thread for each future.
    /// let spawner = |task: Pin<Box<dyn Future<Output = ()> + Send>>| {
    ///     std::thread::spawn(|| futures_executor::block_on(task));
    /// };
    /// let executor = Executor::builder().workers(1).build()?;
    /// let batch = executor.batch(0..10_u32).requests();
    /// let job = |n: Arc<u32>, _| async move { AttemptOutcome::<_, ()>::Done(*n * 2) };
    /// let handle = batch.submit_async(spawner, job)?;
    /// let doubled: Vec<u32> = (0..10).map(|n| n * 2).collect();
    /// assert_eq!(handle.wait().into_values().unwrap(), doubled);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`submit`](Requests::submit).
    ///
    /// # Panics
    ///
    /// As [`submit`](Requests::submit).
    ///
    /// # Progress
    ///
    /// As [`submit`](Requests::submit). The batch needs a worker, so jobs that block must not keep
    /// all workers.
    pub fn submit_async<U, E, S, F, A>(self, spawner: S, job: F) -> Submitted<I, U, E>
    where
        I: IntoIterator<Item: Send + Sync + 'static>,
        U: Send + 'static,
        E: Send + 'static,
        S: Spawn + Send + Sync + 'static,
        F: Fn(Arc<I::Item>, Attempt) -> A + Send + Sync + 'static,
        A: Future<Output = AttemptOutcome<U, E>> + Send + 'static,
    {
        let jobs = Spawned::new(spawner, job);
        self.batch.submit_to(|setup| self.settings.driver(setup, jobs))
    }
}

impl<I, W> Requests<'_, I, W> {
    /// Runs the requests of a source, which may be endless, and yields the outcomes in order.
    ///
    /// ```
    /// # use reorder_requests::{AttemptOutcome, Executor, Failure, RequestsExt};
    /// # let executor = Executor::builder().workers(2).build()?;
    /// let mut outcomes = executor.batch(1_u64..).requests().stream(|&n, attempt| {
    ///     if attempt.number() == 1 {
    ///         let after = Some(std::time::Duration::ZERO);
    ///         return AttemptOutcome::Retry { error: "once more", after };
    ///     }
    ///     AttemptOutcome::Done(n * n)
    /// })?;
    /// let squares: Vec<u64> = outcomes.by_ref().take(3).map(|outcome| outcome.unwrap()).collect();
    /// assert_eq!(squares, [1, 4, 9]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Refused`](crate::Refused), with the source, if the executor was shut down, or there is no
    /// memory for the window.
    ///
    /// # Panics
    ///
    /// As [`Executor::stream`](crate::Executor::stream).
    ///
    /// # Progress
    ///
    /// It does not wait for any item. The consumer runs no items, unless it is a worker of an
    /// executor.
    pub fn stream<U, E, F>(self, job: F) -> Streamed<I, U, E>
    where
        I: IntoIterator<IntoIter: Send + 'static, Item: Send + Sync + 'static>,
        U: Send + 'static,
        E: Send + 'static,
        F: Fn(&I::Item, &Attempt) -> AttemptOutcome<U, E> + Send + Sync + 'static,
        W: Weigh<I::Item>,
    {
        let (jobs, weigh) = (Blocking::new(job), self.weigh);
        let batch = self.batch.weighed_by(move |item: &I::Item| weigh.weigh(item));
        batch.stream_to(|setup| self.settings.driver(setup, jobs))
    }

    /// Opens a stream whose jobs are futures, as in [`submit_async`](Requests::submit_async). The
    /// futures run ahead of the consumer, up to the window, also while it does not poll.
    ///
    /// A task takes the outcomes by [`next_async`](Ordered::next_async), or turns the result into a
    /// `Stream` by [`into_stream`](Ordered::into_stream). The `next` of [`Ordered`] blocks the
    /// thread: on a runtime with one thread it would wait for ever.
    ///
    /// ```
    /// use std::convert::Infallible;
    /// use std::sync::Arc;
    /// use futures_util::StreamExt;
    /// use reorder_requests::{AttemptOutcome, Executor, RequestsExt};
    ///
    /// async fn products(executor: &Executor) -> Result<Vec<u32>, Box<dyn std::error::Error>> {
    ///     let runtime = tokio::runtime::Handle::current();
    ///     let spawner = move |task| _ = runtime.spawn(task);
    ///     let batch = executor.batch(1..=2_u32).requests();
    ///     let job = |n: Arc<u32>, _| async move {
    ///         AttemptOutcome::<_, Infallible>::Done(*n * 10)
    ///     };
    ///     let mut outcomes = batch.stream_async(spawner, job)?.into_stream();
    ///     let mut products = Vec::new();
    ///     // Without `into_stream`, it is `outcomes.next_async().await`.
    ///     while let Some(product) = outcomes.next().await {
    ///         products.push(product?);
    ///     }
    ///     Ok(products)
    /// }
    /// let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    /// let executor = Executor::builder().workers(1).build()?;
    /// assert_eq!(runtime.block_on(products(&executor))?, [10, 20]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`stream`](Requests::stream).
    ///
    /// # Panics
    ///
    /// As [`Executor::stream`](crate::Executor::stream).
    ///
    /// # Progress
    ///
    /// As [`submit_async`](Requests::submit_async).
    pub fn stream_async<U, E, S, F, A>(self, spawner: S, job: F) -> Streamed<I, U, E>
    where
        I: IntoIterator<IntoIter: Send + 'static, Item: Send + Sync + 'static>,
        U: Send + 'static,
        E: Send + 'static,
        S: Spawn + Send + Sync + 'static,
        F: Fn(Arc<I::Item>, Attempt) -> A + Send + Sync + 'static,
        A: Future<Output = AttemptOutcome<U, E>> + Send + 'static,
        W: Weigh<I::Item>,
    {
        let (jobs, weigh) = (Spawned::new(spawner, job), self.weigh);
        let batch = self.batch.weighed_by(move |item: &I::Item| weigh.weigh(item));
        batch.stream_to(|setup| self.settings.driver(setup, jobs))
    }

    /// Runs the requests of an async stream, which may be endless, and yields the outcomes in
    /// order. Otherwise it is [`stream`](Requests::stream).
    ///
    /// The workers poll the source. While the source has no item, no thread waits for it. Any
    /// thread may use the waker of the source. The waker keeps no job, source or outcome alive, so
    /// `wake` drops none of them.
    ///
    /// ```
    /// use futures_util::stream;
    /// use reorder_requests::{AttemptOutcome, Executor, RequestsExt};
    ///
    /// let executor = Executor::builder().workers(2).build()?;
    /// let words = stream::iter(["a", "bc", "def"]);
    /// let batch = executor.batch(words).requests();
    /// let lengths = batch.map_stream(|word, _| AttemptOutcome::<_, ()>::Done(word.len()))?;
    /// assert_eq!(lengths.collect::<Result<Vec<_>, _>>().unwrap(), [1, 2, 3]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`stream`](Requests::stream).
    ///
    /// # Panics
    ///
    /// As [`Executor::stream`](crate::Executor::stream).
    ///
    /// # Progress
    ///
    /// As [`stream`](Requests::stream).
    pub fn map_stream<U, E, F>(self, job: F) -> Result<Ordered<'static, U, E>, Refused<I>>
    where
        I: Stream<Item: Send + Sync + 'static> + Send + 'static,
        U: Send + 'static,
        E: Send + 'static,
        F: Fn(&I::Item, &Attempt) -> AttemptOutcome<U, E> + Send + Sync + 'static,
        W: Weigh<I::Item>,
    {
        let (jobs, weigh) = (Blocking::new(job), self.weigh);
        let batch = self.batch.weighed_by(move |item: &I::Item| weigh.weigh(item));
        batch.poll_to(|setup| self.settings.driver(setup, jobs))
    }

    /// Runs the requests of an async stream by jobs that are futures. Otherwise it is
    /// [`stream_async`](Requests::stream_async): a task takes the outcomes by
    /// [`next_async`](Ordered::next_async) or [`into_stream`](Ordered::into_stream), because `next`
    /// blocks the thread.
    ///
    /// ```
    /// use std::pin::Pin;
    /// use std::sync::Arc;
    /// use futures_util::{TryStreamExt, stream};
    /// use reorder_requests::{AttemptOutcome, Executor, RequestsExt};
    ///
    /// // A simple runtime: one thread for each future.
    /// let spawner = |task: Pin<Box<dyn Future<Output = ()> + Send>>| {
    ///     std::thread::spawn(|| futures_executor::block_on(task));
    /// };
    /// let executor = Executor::builder().workers(1).build()?;
    /// let batch = executor.batch(stream::iter([1, 2])).requests();
    /// let job = |n: Arc<u32>, _| async move { AttemptOutcome::<_, ()>::Done(*n * 10) };
    /// let products = batch.map_stream_async(spawner, job)?.into_stream();
    /// let products = futures_executor::block_on(products.try_collect::<Vec<_>>());
    /// assert_eq!(products.unwrap(), [10, 20]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`stream`](Requests::stream).
    ///
    /// # Panics
    ///
    /// As [`Executor::stream`](crate::Executor::stream).
    ///
    /// # Progress
    ///
    /// As [`submit_async`](Requests::submit_async).
    pub fn map_stream_async<U, E, S, F, A>(
        self,
        spawner: S,
        job: F,
    ) -> Result<Ordered<'static, U, E>, Refused<I>>
    where
        I: Stream<Item: Send + Sync + 'static> + Send + 'static,
        U: Send + 'static,
        E: Send + 'static,
        S: Spawn + Send + Sync + 'static,
        F: Fn(Arc<I::Item>, Attempt) -> A + Send + Sync + 'static,
        A: Future<Output = AttemptOutcome<U, E>> + Send + 'static,
        W: Weigh<I::Item>,
    {
        let (jobs, weigh) = (Spawned::new(spawner, job), self.weigh);
        let batch = self.batch.weighed_by(move |item: &I::Item| weigh.weigh(item));
        batch.poll_to(|setup| self.settings.driver(setup, jobs))
    }
}

impl<I, W> fmt::Debug for Requests<'_, I, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Requests")
            .field("batch", &self.batch)
            .field("retry", &self.settings.config.retry)
            .field("hedge", &self.settings.config.hedge)
            .field("limiter", &self.settings.config.limiter)
            .finish_non_exhaustive()
    }
}
