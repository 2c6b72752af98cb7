//! The handle of a submitted batch, and the error of a refused one.

use std::fmt;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use reorder_ring::CapacityError;

use crate::batch::report::BatchReport;
use crate::executor::write_window_error;
use crate::limits::Timing;
use crate::outcome::{Failure, Outcome};
use crate::primitive::now;
use crate::scheduler::park;
use crate::stream::{Ordered, Progress};

/// A batch that runs on the workers, made by
/// [`BatchBuilder::submit`](crate::BatchBuilder::submit).
///
/// [`wait`](BatchHandle::wait) blocks until each item has an outcome. The handle is also a future,
/// which does not block its thread. The deadlines of the batch hold either way.
///
/// Dropping the handle cancels the items that have not started, and does not wait. Jobs that run go
/// on, and their results are dropped.
///
/// ```
/// use std::convert::Infallible;
/// use reorder_executor::Executor;
///
/// let executor = Executor::builder().workers(2).build()?;
/// let words = executor.batch(["one", "three"]);
/// let lengths = words.submit(|word, _| Ok::<_, Infallible>(word.len()))?;
/// let squares = executor.batch([1, 2, 3]).submit(|n, _| Ok::<_, Infallible>(n * n))?;
/// assert_eq!(squares.wait().into_values()?, [1, 4, 9]);
/// assert_eq!(lengths.wait().into_values()?, [3, 5]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Panics
///
/// The future panics if it is polled after it was ready. Dropping the handle passes on a panic in
/// the `Drop` of a result.
#[must_use = "dropping a batch cancels it"]
pub struct BatchHandle<U: Send, E: Send> {
    stream: Ordered<'static, U, E>,
    outcomes: Vec<Outcome<U, E>>,
    items: usize,
    timings: Vec<Timing>,
    /// The attempts at each item, if a dispatcher runs the batch.
    attempts: Vec<u32>,
    is_over: bool,
}

impl<U: Send, E: Send> BatchHandle<U, E> {
    /// `outcomes` is empty, and has a capacity for `items` outcomes.
    pub(crate) fn new(
        stream: Ordered<'static, U, E>,
        items: usize,
        outcomes: Vec<Outcome<U, E>>,
    ) -> Self {
        BatchHandle {
            stream,
            outcomes,
            items,
            timings: Vec::new(),
            attempts: Vec::new(),
            is_over: false,
        }
    }

    /// Blocks until each item has an outcome.
    ///
    /// A task of an async runtime should await the handle instead. If `wait` blocks the only thread
    /// of a runtime that is to run the batch's futures, it never returns.
    ///
    /// # Panics
    ///
    /// With the feature `tokio`, in a task of a tokio runtime.
    ///
    /// # Progress
    ///
    /// Blocking, until a worker is free of other jobs and has run the items, or until a deadline.
    /// If the caller is a worker of this or another executor, it runs the items itself.
    pub fn wait(mut self) -> BatchReport<U, E> {
        let _waiting = self.stream.waiting();
        _ = self.wait_until(None);
        self.report()
    }

    /// Blocks until each item has an outcome, but at most for `timeout`. Returns `true` if each
    /// item has an outcome: then [`wait`](BatchHandle::wait) returns immediately. Otherwise the
    /// batch goes on.
    ///
    /// ```
    /// use std::convert::Infallible;
    /// # use std::time::Duration;
    /// # let executor = reorder_executor::Executor::builder().workers(1).build()?;
    /// let batch = executor.batch(["a", "bc"]);
    /// let mut handle = batch.submit(|text, _| Ok::<_, Infallible>(text.len()))?;
    /// while !handle.wait_timeout(Duration::from_millis(100)) {
    ///     println!("{:?}", handle.progress());
    /// }
    /// assert_eq!(handle.wait().into_values().unwrap(), [1, 2]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Panics
    ///
    /// As [`wait`](BatchHandle::wait).
    ///
    /// # Progress
    ///
    /// Blocking, until the time is over. If the caller is a worker of this or another executor, it
    /// may run an item, and returns after that item.
    pub fn wait_timeout(&mut self, timeout: Duration) -> bool {
        // An instant that the clock cannot represent is no deadline.
        self.wait_until(now().checked_add(timeout))
    }

    /// Returns `true` if each item has an outcome.
    fn wait_until(&mut self, deadline: Option<Instant>) -> bool {
        park::assert_may_block();
        while self.outcomes.len() < self.items {
            let Ok(outcome) = self.stream.next_until(deadline) else { return false };
            self.take_in(outcome.expect("each item has an outcome"));
        }
        true
    }

    /// Returns the number of the batch in its executor, as
    /// [`OpenCall::id`](crate::OpenCall::id) in a snapshot.
    ///
    /// ```
    /// use std::convert::Infallible;
    /// # let executor = reorder_executor::Executor::builder().workers(1).build()?;
    /// let handle = executor.batch(0..1000).submit(|n, _| Ok::<_, Infallible>(n))?;
    /// let snapshot = executor.snapshot();
    /// let call = snapshot.calls().iter().find(|call| call.id() == handle.id());
    /// println!("{call:?}");
    /// # assert!(call.is_some());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Progress
    ///
    /// Wait-free.
    pub fn id(&self) -> u64 {
        self.stream.id().expect("a submitted batch was published")
    }

    /// Returns how far the batch has come. An outcome counts as delivered if this handle has it.
    ///
    /// After a cancellation or a deadline, all items that no worker had taken count as one failed
    /// item. To report how many items are done, count the values in the report.
    ///
    /// ```
    /// use std::convert::Infallible;
    /// use std::time::Duration;
    /// # let executor = reorder_executor::Executor::builder().workers(1).build()?;
    /// let mut handle = executor.batch(0..100).submit(|n, _| Ok::<_, Infallible>(n))?;
    /// while !handle.wait_timeout(Duration::from_millis(100)) {
    ///     println!("{} of 100 items have a value", handle.progress().succeeded());
    /// }
    /// assert_eq!(handle.progress().succeeded(), 100);
    /// let report = handle.wait();
    /// assert_eq!(report.outcomes().iter().filter(|outcome| outcome.is_ok()).count(), 100);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Progress
    ///
    /// As [`is_finished`](BatchHandle::is_finished).
    pub fn progress(&self) -> Progress {
        self.stream.progress()
    }

    /// Waits until no job of the batch runs and none will start, or until `within` has passed.
    /// Returns `true` if so.
    ///
    /// A batch that was cancelled, or whose deadline has passed, starts no job. Its outcomes come
    /// immediately, while jobs that had started may still run. This call waits for those jobs.
    /// Afterwards, [`wait`](BatchHandle::wait) returns immediately.
    ///
    /// ```
    /// use std::convert::Infallible;
    /// # use std::time::Duration;
    /// # use reorder_executor::{CancellationToken, Executor};
    /// # let executor = Executor::builder().workers(1).build()?;
    /// let token = CancellationToken::new();
    /// let batch = executor.batch(0..1000).cancelled_by(&token);
    /// let mut handle = batch.submit(|n, _| Ok::<_, Infallible>(n))?;
    /// token.cancel();
    /// assert!(handle.until_idle(Some(Duration::from_secs(60))));
    /// assert_eq!(handle.wait().outcomes().len(), 1000);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Progress
    ///
    /// As [`Ordered::until_idle`](crate::Ordered::until_idle).
    pub fn until_idle(&mut self, within: Option<Duration>) -> bool {
        self.stream.until_idle(within)
    }

    /// Returns `true` if all items have run: then neither [`wait`](BatchHandle::wait) nor the
    /// future waits.
    ///
    /// Deadlines do not count here. `wait` and the future apply them.
    ///
    /// # Progress
    ///
    /// Wait-free: a few loads. With a [dispatcher](crate::dispatch) it takes the time of
    /// [`Dispatch::state`](crate::dispatch::Dispatch::state).
    pub fn is_finished(&self) -> bool {
        self.stream.is_done()
    }

    /// Stores an outcome. The last outcome of a batch that ended early stands for all items that
    /// were not pulled, and becomes the outcome of each.
    fn take_in(&mut self, outcome: Outcome<U, E>) {
        self.outcomes.push(outcome);
        self.timings.extend(self.stream.timing());
        self.attempts.extend(self.stream.attempts());
        if let Some(stop) = self.stream.ended_by() {
            let rest = self.items - self.outcomes.len();
            self.outcomes.extend((0..rest).map(|_| Err(Failure::not_pulled(stop))));
            // The timing of the first of them holds for all.
            self.timings.extend(self.timings.last().copied().into_iter().cycle().take(rest));
            self.attempts.extend(self.attempts.last().map(|_| 0).into_iter().cycle().take(rest));
        }
    }

    fn report(&mut self) -> BatchReport<U, E> {
        self.is_over = true;
        let timings = mem::take(&mut self.timings);
        let outcomes = mem::take(&mut self.outcomes);
        let report = BatchReport::new(outcomes, self.stream.late_results(), timings)
            .with_cause(self.stream.cause());
        let (stats, peak) = (self.stream.any_stats(), self.stream.peak_concurrency());
        report.with_stats(stats, peak, mem::take(&mut self.attempts))
    }
}

// Nothing in it is ever pinned.
impl<U: Send, E: Send> Unpin for BatchHandle<U, E> {}

impl<U: Send, E: Send> Future for BatchHandle<U, E> {
    type Output = BatchReport<U, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        assert!(!self.is_over, "polled after it was ready");
        while self.outcomes.len() < self.items {
            let outcome = ready!(self.stream.poll_next(cx)).expect("each item has an outcome");
            self.take_in(outcome);
        }
        Poll::Ready(self.report())
    }
}

impl<U: Send, E: Send> fmt::Debug for BatchHandle<U, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchHandle").field("items", &self.items).finish_non_exhaustive()
    }
}

/// The error of a call that an executor refuses: the executor was shut down, or the window of the
/// call is 0 or too large. [`into_inner`](Refused::into_inner) returns the items.
///
/// In a fork of its process, an executor counts as shut down.
///
/// The error contains the items or their source. So `?` turns it into a boxed error only if they
/// borrow nothing, and are `Send` and `Sync` if the boxed error is. For other sources, write
/// `map_err(Refused::discard)?`.
///
/// ```
/// use std::convert::Infallible;
/// use reorder_executor::{Executor, Shutdown};
///
/// let executor = Executor::builder().workers(1).build()?;
/// _ = executor.shutdown(Shutdown::Drain, None);
/// let refused = executor.batch(vec![1, 2]).submit(|n, _| Ok::<_, Infallible>(n)).unwrap_err();
/// assert_eq!(refused.to_string(), "the executor was shut down and accepts no more calls");
/// assert_eq!(refused.into_inner(), [1, 2]);
/// # Ok::<(), reorder_executor::BuildError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Refused<S> {
    pub(super) items: S,
    /// The reason why there is no ring for the window. `None` if the executor was shut down.
    pub(super) window: Option<CapacityError>,
}

impl<S> Refused<S> {
    pub(crate) fn shut_down(items: S) -> Refused<S> {
        Refused { items, window: None }
    }

    pub(crate) fn window(items: S, error: CapacityError) -> Refused<S> {
        Refused { items, window: Some(error) }
    }

    /// Returns the items, or their source.
    pub fn into_inner(self) -> S {
        self.items
    }

    /// Drops the items or their source, and returns the same error without them. `?` turns it into
    /// any boxed error.
    ///
    /// Without this call, the example does not compile: a `Receiver` is not `Sync`.
    ///
    /// ```
    /// use std::error::Error;
    /// use std::sync::mpsc::Receiver;
    /// use reorder_executor::{Executor, Refused};
    ///
    /// type AnyError = Box<dyn Error + Send + Sync>;
    ///
    /// fn sum(executor: &Executor, numbers: Receiver<String>) -> Result<u32, AnyError> {
    ///     let numbers = executor.batch(numbers).stream(|text, _| text.parse::<u32>());
    ///     let mut sum = 0;
    ///     for number in numbers.map_err(Refused::discard)? {
    ///         sum += number?;
    ///     }
    ///     Ok(sum)
    /// }
    /// # let executor = Executor::builder().workers(1).build()?;
    /// # let (sender, numbers) = std::sync::mpsc::channel();
    /// # ["1", "2"].into_iter().for_each(|text| sender.send(text.to_string()).unwrap());
    /// # drop(sender);
    /// assert_eq!(sum(&executor, numbers)?, 3);
    /// # Ok::<(), AnyError>(())
    /// ```
    pub fn discard(self) -> Refused<()> {
        Refused { items: (), window: self.window }
    }
}

impl<S> fmt::Debug for Refused<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refused").field("window", &self.window).finish_non_exhaustive()
    }
}

impl<S> fmt::Display for Refused<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.window {
            None => f.write_str("the executor was shut down and accepts no more calls"),
            Some(error) => write_window_error(f, error),
        }
    }
}

impl<S> std::error::Error for Refused<S> {}
