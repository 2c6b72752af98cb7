//! The settings of a batch of requests, and the calls that start it.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;

use crate::batch::{BatchBuilder, BatchHandle, Refused};
use crate::executor::Executor;
use crate::limits::{LimitState, Limits};
use crate::scheduler::Admission;
use crate::stream::{Opened, Ordered, open_ring, publish_with_limits};

use crate::requests::attempt_outcome::AttemptOutcome;
use crate::requests::driver::{Driver, RequestConfig};
use crate::requests::jobs::{Attempt, Blocking, Jobs, Spawned};
use crate::requests::limiter::RateLimiter;
use crate::requests::retry::Retry;
use crate::requests::spawn::Spawn;

/// What starting a batch of requests returns.
type Submitted<I, U, E> = Result<BatchHandle<U, E>, Refused<Vec<<I as IntoIterator>::Item>>>;
/// What starting a stream of requests returns.
type Streamed<I, U, E> = Result<Ordered<'static, U, E>, Refused<<I as IntoIterator>::IntoIter>>;

/// A batch of requests to a service. From [`BatchBuilder::requests`](crate::BatchBuilder::requests), whose limits it
/// has; its settings return at once.
///
/// A job says of each attempt what came of it, by an [`AttemptOutcome`]. One that is worth another attempt waits for it where
/// it keeps its place in the order and nothing else: no worker, and no permit of the concurrency. Attempts start when
/// the [`RateLimiter`] lets them through, those at the lowest index first.
///
/// | call | jobs | outcomes |
/// |---|---|---|
/// | [`submit`](Requests::submit) | block, on the workers | a [`BatchHandle`] |
/// | [`stream`](Requests::stream) | the same | an [`Ordered`] |
/// | [`submit_async`](Requests::submit_async) | are futures, on a runtime | a [`BatchHandle`] |
/// | [`stream_async`](Requests::stream_async) | the same | an [`Ordered`] |
///
/// An item's timeout and its budget count from its first attempt, waits included. What ends an item that waits ends it
/// at once: a cancellation, a sibling's failure in a batch that fails fast, a deadline, the end of its budget, a
/// shutdown.
///
/// ```
/// use std::sync::atomic::{AtomicU32, Ordering};
/// use std::time::Duration;
/// use reorder_executor::{AttemptOutcome, Executor, RateLimiter, Retry, Throttle};
///
/// let executor = Executor::builder().workers(2).build()?;
/// let millis = Duration::from_millis;
/// let throttle = Throttle::new(Duration::ZERO, millis(50), millis(1));
/// // Shared by whoever calls the same service.
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
/// let stats = *report.requests().expect("they were requests");
/// assert_eq!(stats.attempts, 3 + stats.capacity_retries);
/// assert_eq!(report.into_values().unwrap(), [1, 2, 3]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "nothing runs until it is submitted or streamed"]
pub struct Requests<'e, I> {
    executor: &'e Executor,
    items: I,
    limits: Limits,
    retry: Retry,
    limiter: RateLimiter,
    concurrency: usize,
    window: usize,
}

impl<'e, I> BatchBuilder<'e, I> {
    /// As requests to a service, which may be tried again, and go through a limiter. [`Requests`] has an example.
    pub fn requests(self) -> Requests<'e, I> {
        let (executor, items, limits) = self.into_parts();
        Requests::new(executor, items, limits)
    }
}

impl<'e, I> Requests<'e, I> {
    fn new(executor: &'e Executor, items: I, limits: Limits) -> Self {
        Requests {
            executor,
            items,
            limits,
            retry: Retry::new(),
            limiter: RateLimiter::unlimited(),
            concurrency: usize::MAX,
            window: executor.window(),
        }
    }

    /// How often and how long each item is tried; [`Retry::new`] without it.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// How fast, together with whoever else goes through the same limiter; as fast as may be without it.
    pub fn through(mut self, limiter: &RateLimiter) -> Self {
        self.limiter = limiter.clone();
        self
    }

    /// How many attempts of the batch may run at once; without it, as many as there are workers, or, with futures,
    /// as the window has.
    pub fn concurrency(mut self, attempts: NonZeroUsize) -> Self {
        self.concurrency = attempts.get();
        self
    }

    /// How many items of a stream may be outstanding, rounded up to a power of two; without it, as many as
    /// [`Builder::window`](crate::Builder::window) says. A submitted batch has all of its items outstanding.
    pub fn window(mut self, items: NonZeroUsize) -> Self {
        self.window = items.get();
        self
    }

    /// Starts the batch, and returns at once. The type has an example.
    ///
    /// # Errors
    ///
    /// [`Refused`], with the items, if the executor was shut down.
    ///
    /// # Panics
    ///
    /// If the items panic, which are collected first, or memory is too short.
    ///
    /// # Progress
    ///
    /// It waits for no item.
    pub fn submit<U, E, F>(
        self,
        job: F,
    ) -> Result<BatchHandle<U, E>, Refused<Vec<<I as IntoIterator>::Item>>>
    where
        I: IntoIterator<Item: Send + 'static>,
        U: Send + 'static,
        E: Send + 'static,
        F: Fn(&I::Item, &Attempt) -> AttemptOutcome<U, E> + Send + Sync + 'static,
    {
        self.submit_jobs(Blocking::new(job))
    }

    /// As [`submit`](Requests::submit), with jobs that are futures. A worker asks for the future of each attempt, and
    /// `spawner` runs it, whether anybody waits for it or not.
    ///
    /// A future is dropped where it is when its item is given up: when the batch is dropped or cancelled, and when a
    /// deadline of the head has passed. [`Spawn`] has an example.
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
    /// As [`submit`](Requests::submit). It needs a worker that is not kept by jobs that block.
    pub fn submit_async<U, E, S, F, A>(
        self,
        spawner: S,
        job: F,
    ) -> Result<BatchHandle<U, E>, Refused<Vec<<I as IntoIterator>::Item>>>
    where
        I: IntoIterator<Item: Send + Sync + 'static>,
        U: Send + 'static,
        E: Send + 'static,
        S: Spawn + Send + Sync + 'static,
        F: Fn(Arc<I::Item>, Attempt) -> A + Send + Sync + 'static,
        A: Future<Output = AttemptOutcome<U, E>> + Send + 'static,
    {
        self.submit_jobs(Spawned::new(spawner, job))
    }

    /// Runs the requests of a source, which may be endless, and yields the outcomes in the order of the source.
    ///
    /// ```
    /// # use reorder_executor::{AttemptOutcome, Executor, Failure};
    /// # let executor = Executor::builder().workers(2).build()?;
    /// let mut outcomes = executor.batch(1_u64..).requests().stream(|&n, attempt| {
    ///     if attempt.number() == 1 {
    ///         return AttemptOutcome::Retry { error: "once more", after: Some(std::time::Duration::ZERO) };
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
    /// [`Refused`], with the source, if the executor was shut down.
    ///
    /// # Panics
    ///
    /// As [`Executor::stream`].
    ///
    /// # Progress
    ///
    /// It does not wait for any item. Its consumer does not help, unless it is a worker of the executor.
    pub fn stream<U, E, F>(self, job: F) -> Result<Ordered<'static, U, E>, Refused<I::IntoIter>>
    where
        I: IntoIterator<IntoIter: Send + 'static, Item: Send + 'static>,
        U: Send + 'static,
        E: Send + 'static,
        F: Fn(&I::Item, &Attempt) -> AttemptOutcome<U, E> + Send + Sync + 'static,
    {
        self.stream_jobs(Blocking::new(job))
    }

    /// As [`stream`](Requests::stream), with jobs that are futures, as in [`submit_async`](Requests::submit_async). They
    /// run up to the window ahead of the consumer, whatever it does meanwhile.
    ///
    /// # Errors
    ///
    /// As [`stream`](Requests::stream).
    ///
    /// # Panics
    ///
    /// As [`Executor::stream`].
    ///
    /// # Progress
    ///
    /// As [`submit_async`](Requests::submit_async).
    pub fn stream_async<U, E, S, F, A>(
        self,
        spawner: S,
        job: F,
    ) -> Result<Ordered<'static, U, E>, Refused<I::IntoIter>>
    where
        I: IntoIterator<IntoIter: Send + 'static, Item: Send + Sync + 'static>,
        U: Send + 'static,
        E: Send + 'static,
        S: Spawn + Send + Sync + 'static,
        F: Fn(Arc<I::Item>, Attempt) -> A + Send + Sync + 'static,
        A: Future<Output = AttemptOutcome<U, E>> + Send + 'static,
    {
        self.stream_jobs(Spawned::new(spawner, job))
    }

    fn submit_jobs<J>(self, jobs: J) -> Submitted<I, J::Value, J::Error>
    where
        I: IntoIterator<Item: Send + 'static>,
        J: Jobs<I::Item> + 'static,
    {
        let items: Vec<I::Item> = self.items.into_iter().collect();
        let count = items.len();
        let requests = Requests {
            executor: self.executor,
            items,
            limits: self.limits,
            retry: self.retry,
            limiter: self.limiter,
            concurrency: self.concurrency,
            window: count.max(1),
        };
        let outcomes =
            requests.start(jobs).map_err(|source| Refused::new(source.collect::<Vec<_>>()))?;
        Ok(BatchHandle::new(outcomes, count))
    }

    fn stream_jobs<J>(self, jobs: J) -> Streamed<I, J::Value, J::Error>
    where
        I: IntoIterator<IntoIter: Send + 'static, Item: Send + 'static>,
        J: Jobs<I::Item> + 'static,
    {
        self.start(jobs).map_err(Refused::new)
    }

    fn start<J>(self, jobs: J) -> Result<Ordered<'static, J::Value, J::Error>, I::IntoIter>
    where
        I: IntoIterator<IntoIter: Send + 'static, Item: Send + 'static>,
        J: Jobs<I::Item> + 'static,
    {
        let Requests { executor, items, limits, retry, limiter, concurrency, window } = self;
        let source = items.into_iter();
        let Some(admission) = Admission::new(executor.scheduler()) else { return Err(source) };
        let limits = Arc::new(LimitState::new(limits, window.next_power_of_two()));
        let Opened { producer, output, consumer_end } =
            open_ring(window, Some(Arc::clone(&limits)));
        let scheduler = Arc::clone(executor.scheduler());
        limiter.register(&scheduler);
        let config = RequestConfig { retry, limiter, concurrency, limits };
        let driver =
            Driver::<(I::IntoIter, J)>::new(source, jobs, producer, output, config, scheduler);
        Ok(publish_with_limits(executor, admission, driver, consumer_end))
    }
}

impl<I> fmt::Debug for Requests<'_, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Requests")
            .field("limits", &self.limits)
            .field("retry", &self.retry)
            .field("limiter", &self.limiter)
            .finish_non_exhaustive()
    }
}
