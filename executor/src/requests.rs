//! Items that are requests to a service: they may be tried again, and go through a limiter.
//!
//! | file | what |
//! |---|---|
//! | `answer`, `retry`, `throttle`, `limiter`, `spawn`, `stats` | what users say and see |
//! | `desk` | which item is next, and when: the state machine |
//! | `jobs`, `flight` | attempts, on the worker or elsewhere |
//! | `core` | what is done with what the desk says |
//! | `core/source`, `core/seen` | where items come from; what the rest of the executor sees |

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;

use reorder_ring::Ring;

use crate::admission::Admission;
use crate::chunk::Spares;
use crate::executor::Executor;
use crate::handle::{BatchHandle, Refused};
use crate::limited::Limited;
use crate::ordered::{Ordered, Outlet};
use crate::policy::Limits;
use crate::primitive::now;
use crate::work::Published;

mod attempt_outcome;
mod core;
mod desk;
mod flight;
mod jobs;
mod rate_limiter;
mod retry;
mod spawn;
mod stats;
mod throttle;

use self::core::{Core, Setting};
use self::jobs::{Blocking, Jobs, Spawned};

pub use self::attempt_outcome::AttemptOutcome;
pub use self::jobs::Attempt;
pub use self::rate_limiter::{RateLimiter, RateLimiterBuilder};
pub use self::retry::Retry;
pub use self::spawn::Spawn;
pub use self::stats::RequestStats;
pub use self::throttle::{Throttle, ThrottleError};

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

impl<'e, I> Requests<'e, I> {
    pub(crate) fn new(executor: &'e Executor, items: I, limits: Limits) -> Self {
        Requests {
            executor,
            items,
            limits,
            retry: Retry::new(),
            limiter: RateLimiter::open(),
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

    fn submit_jobs<J, U, E>(
        self,
        jobs: J,
    ) -> Result<BatchHandle<U, E>, Refused<Vec<<I as IntoIterator>::Item>>>
    where
        I: IntoIterator<Item: Send + 'static>,
        J: Jobs<I::Item, U, E> + 'static,
        U: Send + 'static,
        E: Send + 'static,
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

    fn stream_jobs<J, U, E>(self, jobs: J) -> Result<Ordered<'static, U, E>, Refused<I::IntoIter>>
    where
        I: IntoIterator<IntoIter: Send + 'static, Item: Send + 'static>,
        J: Jobs<I::Item, U, E> + 'static,
        U: Send + 'static,
        E: Send + 'static,
    {
        self.start(jobs).map_err(Refused::new)
    }

    fn start<J, U, E>(self, jobs: J) -> Result<Ordered<'static, U, E>, I::IntoIter>
    where
        I: IntoIterator<IntoIter: Send + 'static, Item: Send + 'static>,
        J: Jobs<I::Item, U, E> + 'static,
        U: Send + 'static,
        E: Send + 'static,
    {
        let Requests { executor, items, limits, retry, limiter, concurrency, window } = self;
        let source = items.into_iter();
        let Some(admission) = Admission::new(executor.hub()) else { return Err(source) };
        let tokens: Vec<_> = limits.token.iter().chain(&limits.shutdown).cloned().collect();
        let ring = Arc::new(Ring::with_capacity(window).expect("memory for a window"));
        let (producer, consumer) = ring.open_owned().expect("a new ring is free").split();
        let spares = Arc::new(Spares::new());
        let limited = Arc::new(Limited::new(limits, ring.capacity()));
        let outlet =
            Outlet { consumer, spares: Arc::clone(&spares), limited: Some(Arc::clone(&limited)) };
        let setting = Setting { retry, limiter, concurrency, limited };
        let hub = Arc::clone(executor.hub());
        setting.limiter.join(&hub);
        let core = Core::new(source, jobs, ring, producer, spares, setting, Arc::clone(&hub));
        let published: Arc<dyn Published> = core.clone();
        tokens.iter().for_each(|token| token.notify(&published));
        admission.publish(Arc::clone(&published), now());
        Ok(Ordered::new(outlet, core, hub, Some(published), false))
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
