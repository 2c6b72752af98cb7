//! The settings of a call with limits, and the calls that run it.

use std::fmt;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::batch::handle::{BatchHandle, Refused};
use crate::batch::report::BatchReport;
use crate::executor::{Executor, check_window};
use crate::io::{Items, LazySource, collect};
use crate::limits::{CancellationToken, Current, LimitState, Limits, RunningItem, Waiting};
use crate::map::Share;
use crate::memory;
use crate::outcome::{self, Failure, Outcome};
use crate::primitive::now;
use crate::scheduler::{Admission, ConcurrencyLimit};
use crate::stream::{ConsumerEnd, Ordered, StreamWork, open_lazy, publish_with_limits};
use crate::unwind::{DiscardOnDrop, discard};

/// The result of submitting a batch.
pub(crate) type Submitted<I, U, E> =
    Result<BatchHandle<U, E>, Refused<Vec<<I as IntoIterator>::Item>>>;
/// The result of opening a stream.
pub(crate) type Streamed<I, U, E> =
    Result<Ordered<'static, U, E>, Refused<<I as IntoIterator>::IntoIter>>;

/// A batch with limits, made by [`Executor::batch`]. These calls run it:
///
/// | call | items and job | the caller waits | outcomes |
/// |---|---|---|---|
/// | [`run`](BatchBuilder::run) | may borrow | at once, for all items | a [`BatchReport`] |
/// | [`submit`](BatchBuilder::submit) | `'static` | later, by the [`BatchHandle`] | a [`BatchReport`] |
/// | [`stream`](BatchBuilder::stream) | `'static`, may be endless | item by item | an [`Ordered`] |
/// | [`queue`](BatchBuilder::queue) | `'static`; items are sent | item by item | an [`Ordered`] |
///
/// The crate [`reorder-requests`](https://docs.rs/reorder-requests) adds the method `requests`, for
/// calls to a service.
///
/// A limit immediately ends items that have not started. It does not interrupt a job that runs. The
/// job can ask [`Job::should_stop`].
///
/// * `run` waits for a running job, because the job may borrow from the caller. The result counts
///   unless it comes after its deadline.
/// * `submit`, `stream` and `queue` give up on a running job. A [`Failure`] takes the item's place
///   in the order. When the result comes, it is refused, dropped and counted.
///
/// ```
/// use std::time::Duration;
/// use reorder_executor::{Executor, Failure};
///
/// let executor = Executor::builder().workers(2).build()?;
/// let batch = executor.batch(["quick", "slow", "quick"]).item_timeout(Duration::from_millis(500));
/// let report = batch.run(|kind, job| {
///     while kind == "slow" && !job.should_stop() {
///         std::thread::sleep(Duration::from_millis(1));
///     }
///     Ok::<_, std::io::Error>(kind.len())
/// });
/// assert_eq!(report.late_results(), 1);
/// let [Ok(5), Err(Failure::ItemDeadline(_)), Ok(5)] = report.outcomes() else { panic!() };
/// # Ok::<(), reorder_executor::BuildError>(())
/// ```
#[must_use = "nothing runs until `run`, `submit` or `stream` is called"]
pub struct BatchBuilder<'e, I, S = ()> {
    pub(crate) executor: &'e Executor,
    items: I,
    pub(crate) limits: Limits,
    pub(crate) window: usize,
    is_concurrent: bool,
    /// The scope in which the batch borrows.
    pub(crate) scope: S,
}

impl Executor {
    /// Runs `job` on every item and returns an outcome for each, in the order of the items.
    ///
    /// A panic of the job is the outcome of its item, and affects no other item.
    ///
    /// ```
    /// # use reorder_executor::{Executor, Failure};
    /// # let executor = Executor::builder().workers(2).build()?;
    /// let report = executor.execute_batch([6, 0, 3], |divisor| 12 / divisor);
    /// let [Ok(2), Err(Failure::Panicked(panic)), Ok(4)] = report.outcomes() else { panic!() };
    /// assert_eq!(panic.message(), "attempt to divide by zero");
    /// # Ok::<(), reorder_executor::BuildError>(())
    /// ```
    ///
    /// # Panics
    ///
    /// If the source panics, as in [`map`](Executor::map), or there is no memory for the outcomes.
    ///
    /// # Progress
    ///
    /// As [`map`](Executor::map).
    pub fn execute_batch<I, U, F>(&self, items: I, job: F) -> BatchReport<U>
    where
        I: IntoIterator<IntoIter: Send, Item: Send>,
        U: Send,
        F: Fn(I::Item) -> U + Sync,
    {
        let caught =
            move |item| catch_unwind(AssertUnwindSafe(|| job(item))).map_err(Failure::panicked);
        BatchReport::new(self.map(items, caught), 0, Vec::new())
    }

    /// Returns the builder of a batch with limits: it may fail fast, be cancelled, and have
    /// deadlines. [`BatchBuilder`] has an example.
    ///
    /// # Progress
    ///
    /// Wait-free. No item runs before a call of the builder starts the batch.
    pub fn batch<I>(&self, items: I) -> BatchBuilder<'_, I> {
        let shutdown = Some(self.shutdown.clone());
        let closing = Some(self.closing.clone());
        let limits = Limits { shutdown, closing, ..Limits::default() };
        let window = self.window;
        BatchBuilder { executor: self, items, limits, window, is_concurrent: false, scope: () }
    }
}

impl<'e, I, S> BatchBuilder<'e, I, S> {
    /// After an item has failed, panicked, or taken too long, cancels all unstarted items.
    ///
    /// ```
    /// # use reorder_executor::{Executor, Failure};
    /// # let executor = Executor::builder().workers(1).build()?;
    /// let batch = executor.batch(0..1000).fail_fast();
    /// let report = batch.run(|n, _| if n == 3 { Err("three") } else { Ok(n) });
    /// assert!(matches!(report.outcomes()[3], Err(Failure::Failed { error: "three", .. })));
    /// # Ok::<(), reorder_executor::BuildError>(())
    /// ```
    pub fn fail_fast(mut self) -> Self {
        self.limits.fails_fast = true;
        self
    }

    /// After an item has failed or panicked, cancels all unstarted items behind it.
    pub(super) fn fail_in_order(mut self) -> Self {
        self.limits.fails_in_order = true;
        self
    }

    /// Makes the token cancel the unstarted items.
    ///
    /// Several calls add several tokens, and each of them cancels. [`CancellationToken`] has an
    /// example.
    pub fn cancelled_by(mut self, token: &CancellationToken) -> Self {
        self.limits.tokens.push(token.clone());
        self
    }

    /// Sets the deadline of the batch. After it, no item starts and no result counts.
    ///
    /// ```
    /// use std::convert::Infallible;
    /// # use std::time::Instant;
    /// # use reorder_executor::{Executor, Failure};
    /// # let executor = Executor::builder().workers(1).build()?;
    /// let batch = executor.batch(0..3).deadline(Instant::now());
    /// let report = batch.run(|n, _| Ok::<_, Infallible>(n));
    /// let late = |outcome| matches!(outcome, Err(Failure::BatchDeadline(_)));
    /// assert!(report.into_iter().all(late));
    /// # Ok::<(), reorder_executor::BuildError>(())
    /// ```
    pub fn deadline(mut self, deadline: Instant) -> Self {
        self.limits.deadline = Some(deadline);
        self.limits.within = deadline.saturating_duration_since(now());
        self
    }

    /// Records when each item starts and ends, for [`BatchReport::timings`] and
    /// [`Ordered::timing`].
    ///
    /// This costs two readings of the clock per item, and 64 bytes for each item in memory.
    pub fn timed(mut self) -> Self {
        self.limits.timed = true;
        self
    }

    /// Makes every free thread start an item immediately, for items that wait for each other.
    ///
    /// Without this, [`run`](BatchBuilder::run) shares cheap items in groups, as
    /// [`map`](Executor::map) describes. With it, each thread takes one item at a time, and the
    /// caller never begins alone. So an item waits only if there is no free thread. As many items
    /// run at the same time as there are workers without other work, and one more on the calling
    /// thread. Cheap items take longer.
    ///
    /// [`submit`](BatchBuilder::submit), [`stream`](BatchBuilder::stream) and
    /// [`queue`](BatchBuilder::queue) always take one item at a time, on the workers alone.
    ///
    /// ```
    /// use std::convert::Infallible;
    /// # use reorder_executor::Executor;
    /// use std::sync::Barrier;
    ///
    /// let executor = Executor::builder().workers(2).build()?;
    /// let all_three = Barrier::new(3);
    /// let batch = executor.batch(0..3).concurrent();
    /// let report = batch.run(|n, _| {
    ///     all_three.wait();
    ///     Ok::<_, Infallible>(n)
    /// });
    /// assert_eq!(report.into_values().unwrap(), [0, 1, 2]);
    /// # Ok::<(), reorder_executor::BuildError>(())
    /// ```
    pub fn concurrent(mut self) -> Self {
        self.is_concurrent = true;
        self
    }

    /// Limits the number of threads that run items of this call at the same time: its share of the
    /// pool. [`ConcurrencyLimit`] has an example, and can be changed while the call runs.
    ///
    /// The caller of [`run`](BatchBuilder::run) counts, and so does a consumer that runs items.
    /// A [dispatcher](crate::dispatch) takes it as the limit of the jobs that it starts.
    pub fn concurrency(mut self, limit: impl Into<ConcurrencyLimit>) -> Self {
        self.limits.concurrency = Some(limit.into());
        self
    }

    /// Sets the window of a [`stream`](BatchBuilder::stream) or a [`queue`](BatchBuilder::queue):
    /// the maximum number of outstanding items, which were pulled or sent, and whose outcomes were
    /// not taken. The number is exact. The default is that of
    /// [`Builder::window`](crate::Builder::window).
    ///
    /// A stream with a window that does not fit into memory is [refused](Refused). The window can
    /// be [changed](Ordered::set_window) later. The items of [`run`](BatchBuilder::run) and
    /// [`submit`](BatchBuilder::submit) are all outstanding.
    ///
    /// ```
    /// use std::convert::Infallible;
    /// use std::num::NonZeroUsize;
    /// use std::sync::atomic::{AtomicU64, Ordering};
    ///
    /// static PULLED: AtomicU64 = AtomicU64::new(0);
    /// let executor = reorder_executor::Executor::builder().workers(1).build()?;
    /// let source = (0_u64..).inspect(|_| _ = PULLED.fetch_add(1, Ordering::Relaxed));
    /// let batch = executor.batch(source).window(NonZeroUsize::new(3).unwrap());
    /// let mut stream = batch.stream(|n, _| Ok::<_, Infallible>(n))?;
    /// assert!(stream.next().is_some());
    /// // 3 outstanding and 1 taken, however long the consumer stays away.
    /// assert!(PULLED.load(Ordering::Relaxed) <= 4);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn window(mut self, items: NonZeroUsize) -> Self {
        self.window = items.get();
        self
    }

    /// Sets the time that each item may take, from its start. [`BatchBuilder`] has an example.
    pub fn item_timeout(mut self, timeout: Duration) -> Self {
        self.limits.item_timeout = Some(timeout);
        self
    }

    /// Runs `job` on each item and returns an outcome for each, in the order of the input.
    ///
    /// The calling thread runs items, too. Items that do not start are dropped.
    ///
    /// # Panics
    ///
    /// As [`Executor::execute_batch`].
    ///
    /// # Progress
    ///
    /// As [`Executor::execute_batch`]. It waits for the items that have started.
    pub fn run<U, E, F>(self, job: F) -> BatchReport<U, E>
    where
        I: IntoIterator<IntoIter: Send, Item: Send>,
        U: Send,
        E: Send,
        F: Fn(I::Item, &Job<'_>) -> Result<U, E> + Sync,
    {
        let limits = &Arc::new(LimitState::new(self.limits, 0));
        let policy = &limits.policy;
        let _waiting = Waiting::begin(limits);
        let run = move |(index, item): (usize, I::Item)| {
            let ran = run_item(limits, index as u64, item, &job, |_| ());
            if outcome::is_item_failure(&ran.outcome) {
                policy.fail(index as u64);
            }
            ran
        };
        let limit = policy.settings.concurrency.as_ref();
        let share = Share { is_concurrent: self.is_concurrent, limit };
        let items = Enumerated(self.items);
        let (outcomes, timings) = match &limits.timing_log {
            None => {
                let job = move |item| run(item).outcome;
                (self.executor.map_with(items, job, share), Vec::new())
            }
            Some(log) => {
                let job = move |item| {
                    let ran = run(item);
                    (ran.outcome, log.timing(ran.started, ran.completed))
                };
                memory::unzip(self.executor.map_with(items, job, share))
            }
        };
        BatchReport::new(outcomes, policy.late(), timings).with_cause(policy.cause())
    }

    /// Returns the same batch in a scope.
    pub(crate) fn in_scope<T>(self, scope: T) -> BatchBuilder<'e, I, T> {
        let BatchBuilder { executor, items, limits, window, is_concurrent, .. } = self;
        BatchBuilder { executor, items, limits, window, is_concurrent, scope }
    }

    /// Lets `start` open the stream of a source unless the executor was shut down.
    pub(crate) fn stream_with<'a, T, U: Send, E: Send>(
        self,
        window: usize,
        source: impl FnOnce(I) -> T,
        start: impl FnOnce(Admitted<'e>, T) -> Ordered<'a, U, E>,
    ) -> Result<Ordered<'a, U, E>, Refused<T>> {
        let start = DiscardOnDrop::new(start);
        let source = DiscardOnDrop::new(source(self.items));
        if window != self.executor.window {
            // The builder of the executor has tried its own window.
            if let Err(error) = check_window(window) {
                return Err(Refused::window(source.into_inner(), error));
            }
        }
        match Admitted::new(self.executor, window, self.limits) {
            Some(call) => Ok(start.into_inner()(call, source.into_inner())),
            None => Err(Refused::shut_down(source.into_inner())),
        }
    }
}

impl<'e, I> BatchBuilder<'e, I> {
    /// Runs `job` on each item on the workers, and returns a handle immediately.
    ///
    /// The items run whether the caller waits for the handle or not.
    ///
    /// ```
    /// use std::convert::Infallible;
    /// # use std::time::Duration;
    /// # use reorder_executor::{Executor, Failure};
    /// # let executor = Executor::builder().workers(2).build()?;
    /// let batch = executor.batch([1, 60_000, 2]).item_timeout(Duration::from_millis(400));
    /// let handle = batch.submit(|millis, _| {
    ///     std::thread::sleep(Duration::from_millis(millis));
    ///     Ok::<_, Infallible>(millis)
    /// })?;
    /// // This does not wait for the minute that the second item takes.
    /// let outcomes = handle.wait().into_outcomes();
    /// assert!(matches!(outcomes[..], [Ok(1), Err(Failure::ItemDeadline(_)), Ok(2)]));
    /// # std::mem::forget(executor);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Refused`], with the items, if the executor was shut down.
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
        I: IntoIterator<Item: Send + 'static>,
        U: Send + 'static,
        E: Send + 'static,
        F: Fn(I::Item, &Job<'_>) -> Result<U, E> + Send + Sync + 'static,
    {
        self.submit_with(|call, items| start(call, items, job))
    }

    /// Runs `job` on the items of a source, which may be endless, and yields the outcomes in order.
    ///
    /// This is [`Executor::stream`] with limits. If the consumer waits for an item whose time is
    /// up, that item's outcome is a failure, and the stream goes on with the next item.
    ///
    /// A cancellation or the deadline of the batch ends the stream early: the source is pulled no
    /// further. Each item that was pulled has an outcome. One last failure stands for all items
    /// that were not pulled.
    ///
    /// ```
    /// use std::convert::Infallible;
    /// # use std::time::Duration;
    /// # use reorder_executor::{Executor, Failure};
    /// # let executor = Executor::builder().workers(2).build()?;
    /// let batch = executor.batch(0_u64..).item_timeout(Duration::from_millis(400));
    /// let mut outcomes = batch.stream(|n, _| {
    ///     std::thread::sleep(Duration::from_secs(if n == 1 { 60 } else { 0 }));
    ///     Ok::<_, Infallible>(n)
    /// })?;
    /// assert!(matches!(outcomes.next(), Some(Ok(0))));
    /// assert!(matches!(outcomes.next(), Some(Err(Failure::ItemDeadline(_)))));
    /// assert!(matches!(outcomes.next(), Some(Ok(2))));
    /// # std::mem::forget(executor);
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
    /// As [`Executor::stream`], except that the consumer runs items only if it is a worker of an
    /// executor. A job that it runs may keep it past a deadline.
    pub fn stream<U, E, F>(self, job: F) -> Streamed<I, U, E>
    where
        I: IntoIterator<IntoIter: Send + 'static, Item: Send>,
        U: Send + 'static,
        E: Send + 'static,
        F: Fn(I::Item, &Job<'_>) -> Result<U, E> + Send + Sync + 'static,
    {
        let window = self.window;
        self.stream_with(window, I::into_iter, |call, source| start(call, source, job))
    }

    /// Collects the items, and lets `start` open their stream unless the executor was shut down.
    pub(crate) fn submit_with<U: Send, E: Send>(
        self,
        start: impl FnOnce(Admitted<'e>, Items<I::Item>) -> Ordered<'static, U, E>,
    ) -> Submitted<I, U, E>
    where
        I: IntoIterator,
    {
        let start = DiscardOnDrop::new(start);
        let items = collect(self.items.into_iter());
        let count = items.0.len();
        let outcomes = memory::with_capacity(count);
        match Admitted::new(self.executor, count.max(1), self.limits) {
            Some(call) => {
                let stream = start.into_inner()(call, Items::new(items));
                Ok(BatchHandle::new(stream, count, outcomes))
            }
            None => Err(Refused { items: items.into_vec(), window: None }),
        }
    }
}

/// The items of a batch, with their indices.
struct Enumerated<I>(I);

impl<I: IntoIterator> IntoIterator for Enumerated<I> {
    type Item = (usize, I::Item);
    type IntoIter = std::iter::Enumerate<I::IntoIter>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter().enumerate()
    }
}

/// A call with limits that the executor has admitted and that is not published yet.
pub(crate) struct Admitted<'e> {
    pub(crate) executor: &'e Executor,
    pub(crate) admission: Admission,
    pub(crate) window: usize,
    pub(crate) limits: Arc<LimitState>,
}

impl<'e> Admitted<'e> {
    /// Returns `None` if the executor was shut down.
    pub(crate) fn new(
        executor: &'e Executor,
        window: usize,
        limits: Limits,
    ) -> Option<Admitted<'e>> {
        let admission = Admission::new(&executor.scheduler)?;
        let limits = Arc::new(LimitState::new(limits, window.next_power_of_two()));
        Some(Admitted { executor, admission, window, limits })
    }
}

/// Starts a stream with limits.
fn start<I, U, E, F>(call: Admitted<'_>, source: I, job: F) -> Ordered<'static, U, E>
where
    I: Iterator<Item: Send> + Send + 'static,
    U: Send + 'static,
    E: Send + 'static,
    F: Fn(I::Item, &Job<'_>) -> Result<U, E> + Send + Sync + 'static,
{
    let (stream, consumer_end) = open_limited(&call, source, job);
    publish_with_limits(call.executor, call.admission, Arc::new(stream), consumer_end)
}

/// Opens a stream with limits, which no thread knows yet.
pub(crate) fn open_limited<I, U, E, F>(
    call: &Admitted<'_>,
    source: I,
    job: F,
) -> (impl StreamWork + use<I, U, E, F>, ConsumerEnd<U, E>)
where
    I: Iterator<Item: Send> + Send,
    U: Send,
    E: Send,
    F: Fn(I::Item, &Job<'_>) -> Result<U, E> + Send + Sync,
{
    open_lazy_limited(call, LazySource::new(source.enumerate()), job)
}

/// Opens a stream as [`open_limited`], over a source of items and their indices.
pub(crate) fn open_lazy_limited<I, T, U, E, F>(
    call: &Admitted<'_>,
    source: LazySource<I>,
    job: F,
) -> (impl StreamWork + use<I, T, U, E, F>, ConsumerEnd<U, E>)
where
    I: Iterator<Item = (usize, T)> + Send,
    T: Send,
    U: Send,
    E: Send,
    F: Fn(T, &Job<'_>) -> Result<U, E> + Send + Sync,
{
    let run = limited_job(Arc::clone(&call.limits), job);
    let run = move |(index, item): (usize, T)| run(index as u64, item);
    open_lazy(call.executor, source, call.window, Some(Arc::clone(&call.limits)), run)
}

/// Returns a job that keeps the limits of its call, for an item and its index.
pub(crate) fn limited_job<T, U, E>(
    limits: Arc<LimitState>,
    job: impl Fn(T, &Job<'_>) -> Result<U, E>,
) -> impl Fn(u64, T) -> Outcome<U, E> {
    move |index, item| {
        let ran = run_item(&limits, index, item, &job, |started| limits.start(index, started));
        if let Some(log) = &limits.timing_log {
            log.note(index, ran.started, ran.completed);
        }
        ran.outcome
    }
}

impl<I, S> fmt::Debug for BatchBuilder<'_, I, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchBuilder").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// The outcome of an item and, if the batch is timed, when it ran.
struct Ran<U, E> {
    outcome: Outcome<U, E>,
    started: Option<Instant>,
    completed: Option<Instant>,
}

fn run_item<T, U, E>(
    limits: &Arc<LimitState>,
    index: u64,
    item: T,
    job: &impl Fn(T, &Job<'_>) -> Result<U, E>,
    note_start: impl FnOnce(Option<Instant>),
) -> Ran<U, E> {
    let policy = &limits.policy;
    let started = limits.now();
    if let Err(stop) = policy.start_item(index, started) {
        discard(item);
        return Ran { outcome: Err(stop.into()), started: None, completed: None };
    }
    note_start(started);
    let current =
        Current { limits, item: RunningItem { index, started, timeout: None, is_attempt: false } };
    let context = Job { current: &current };
    let returned = catch_unwind(AssertUnwindSafe(|| current.run(|| job(item, &context))));
    let completed = limits.now();
    let outcome = match (returned, policy.finish(started, completed)) {
        (Ok(Err(error)), Err(stop)) => Err(Failure::stopped(stop, 1, Some(error))),
        (returned, Err(stop)) => {
            discard(returned);
            Err(Failure::stopped(stop, 1, None))
        }
        (Ok(Err(error)), Ok(())) => Err(match policy.reaction(index) {
            Some(stop) => Failure::stopped(stop, 1, Some(error)),
            None => Failure::failed(error, 1),
        }),
        (Ok(Ok(value)), Ok(())) => Ok(value),
        (Err(payload), Ok(())) => Err(Failure::panicked(payload)),
    };
    Ran { outcome, started, completed }
}

/// The second argument of a job of a [`BatchBuilder`]. The job can ask it whether to stop.
pub struct Job<'a> {
    current: &'a Current<'a>,
}

impl Job<'_> {
    /// Returns `true` if the result of this item is not needed, or will not count:
    ///
    /// * The batch was cancelled, or another item has failed and the batch fails fast.
    /// * The executor was shut down.
    /// * A deadline of this item has passed.
    /// * The handle of the submitted batch, or the stream of outcomes, was dropped.
    /// * A job waits for this call, and one of the points above holds for that job. A job waits in
    ///   `run` or [`BatchHandle::wait`], or takes from the stream. Calls in between, such as
    ///   [`map`](Executor::map) or another stream, pass the answer on. So the answer of a job of
    ///   any depth is `true` after the outermost handle was dropped.
    ///
    /// [`BatchBuilder`] has an example.
    ///
    /// # Progress
    ///
    /// Wait-free: a few loads, and a reading of the clock if there are deadlines. If the batch is
    /// nested in jobs, each of these jobs costs the same again and a counter of references, and the
    /// call is lock-free.
    pub fn should_stop(&self) -> bool {
        self.current.should_stop()
    }

    /// Sets the weight with which this item counts in the [budget](BatchBuilder::weight) of its
    /// call: the weight of the result. It counts until the outcome is taken.
    ///
    /// * A smaller weight makes room when the job returns.
    /// * A greater weight may exceed the limit. Then later items wait for longer.
    /// * Without a budget, this does nothing.
    ///
    /// ```
    /// use std::convert::Infallible;
    /// # use reorder_executor::Executor;
    /// # let executor = Executor::builder().workers(1).build()?;
    /// let batch = executor.batch(["ab", "c"]).weight(1 << 20, |text| text.len() as u64);
    /// let repeated = batch.stream(|text, job| {
    ///     let result = text.repeat(1000);
    ///     job.set_weight(result.len() as u64);
    ///     Ok::<_, Infallible>(result)
    /// })?;
    /// assert_eq!(repeated.map(|text| text.unwrap().len()).sum::<usize>(), 3000);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Progress
    ///
    /// Blocking: it takes a lock that is held for a few instructions.
    pub fn set_weight(&self, weight: u64) {
        let Current { limits, item } = self.current;
        if let Some(budget) = &limits.budget {
            budget.set(item.index, weight);
        }
    }
}

impl fmt::Debug for Job<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").field("should_stop", &self.should_stop()).finish_non_exhaustive()
    }
}
