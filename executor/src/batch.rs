//! A batch with limits: what may end it early, and what an item may take.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crate::executor::Executor;
use crate::failure::{Failure, Outcome, Panic, discard};
use crate::policy::{Course, Limits, Stop};
use crate::primitive::now;
use crate::report::BatchReport;
use crate::token::CancellationToken;

/// A batch that may end early. From [`Executor::batch`]; nothing runs before [`run`](BatchBuilder::run).
///
/// Limits end what has not started, at once. A job that runs is not interrupted, for it may borrow from the
/// caller: `run` waits for it, and it can ask [`Job::should_stop`] itself. A result that comes after its
/// deadline is dropped, and counted; one that comes after a cancellation counts.
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
/// let [Ok(5), Err(Failure::ItemDeadline), Ok(5)] = report.outcomes() else { panic!() };
/// # Ok::<(), reorder_executor::BuildError>(())
/// ```
#[must_use = "nothing runs until `run` is called"]
pub struct BatchBuilder<'e, I> {
    executor: &'e Executor,
    items: I,
    limits: Limits,
}

impl<'e, I> BatchBuilder<'e, I> {
    pub(crate) fn new(executor: &'e Executor, items: I) -> Self {
        BatchBuilder { executor, items, limits: Limits::default() }
    }

    /// Cancels the items that have not started once one has failed, panicked, or taken too long.
    ///
    /// ```
    /// # use reorder_executor::{Executor, Failure};
    /// # let executor = Executor::builder().workers(1).build()?;
    /// let report = executor.batch(0..1000).fail_fast().run(|n, _| if n == 3 { Err("three") } else { Ok(n) });
    /// assert!(matches!(report.outcomes()[3], Err(Failure::Failed("three"))));
    /// # Ok::<(), reorder_executor::BuildError>(())
    /// ```
    pub fn fail_fast(mut self) -> Self {
        self.limits.fails_fast = true;
        self
    }

    /// Cancels the items that have not started once the token is cancelled. The token has an example; a second
    /// one takes the place of the first.
    pub fn cancelled_by(mut self, token: &CancellationToken) -> Self {
        self.limits.token = Some(token.clone());
        self
    }

    /// The instant from which on no item starts and no result counts.
    ///
    /// ```
    /// # use std::time::Instant;
    /// # use reorder_executor::{Executor, Failure};
    /// # let executor = Executor::builder().workers(1).build()?;
    /// let report = executor.batch(0..3).deadline(Instant::now()).run(|n, _| Ok::<_, ()>(n));
    /// assert!(report.into_iter().all(|outcome| matches!(outcome, Err(Failure::BatchDeadline))));
    /// # Ok::<(), reorder_executor::BuildError>(())
    /// ```
    pub fn deadline(mut self, deadline: Instant) -> Self {
        self.limits.deadline = Some(deadline);
        self
    }

    /// How long each item may take, from its start. The type has an example.
    pub fn item_timeout(mut self, timeout: Duration) -> Self {
        self.limits.item_timeout = Some(timeout);
        self
    }

    /// Runs `job` on each item, in any order and on this thread, too, and returns the outcome of each in the order
    /// of the input. Items that do not start are dropped.
    ///
    /// # Panics
    ///
    /// As [`Executor::execute_batch`].
    ///
    /// # Progress
    ///
    /// As [`Executor::execute_batch`]: it waits for the items that have started.
    pub fn run<U, E, F>(self, job: F) -> BatchReport<U, E>
    where
        I: IntoIterator<IntoIter: Send, Item: Send>,
        U: Send,
        E: Send,
        F: Fn(I::Item, &Job<'_>) -> Result<U, E> + Sync,
    {
        let course = Course::new(self.limits);
        let outcomes = self.executor.map(self.items, |item| run_item(&course, item, &job));
        BatchReport::new(outcomes, course.late())
    }
}

impl<I> fmt::Debug for BatchBuilder<'_, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchBuilder").field("limits", &self.limits).finish_non_exhaustive()
    }
}

fn run_item<T, U, E>(
    course: &Course,
    item: T,
    job: &impl Fn(T, &Job<'_>) -> Result<U, E>,
) -> Outcome<U, E> {
    let time = || course.is_timed().then(now);
    let started = time();
    if let Err(stop) = course.start(started) {
        discard(item);
        return Err(stop.into());
    }
    let context = Job { course, started };
    let outcome = match catch_unwind(AssertUnwindSafe(|| job(item, &context))) {
        Ok(returned) => returned.map_err(Failure::Failed),
        Err(payload) => Err(Failure::Panicked(Panic::new(payload))),
    };
    match course.finish(started, time(), outcome.is_err()) {
        Ok(()) => outcome,
        Err(stop) => {
            discard(outcome);
            Err(stop.into())
        }
    }
}

impl<E> From<Stop> for Failure<E> {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Cancelled => Failure::Cancelled,
            Stop::BatchDeadline => Failure::BatchDeadline,
            Stop::ItemDeadline => Failure::ItemDeadline,
        }
    }
}

/// What a job of a [`BatchBuilder`] can ask about itself.
pub struct Job<'a> {
    course: &'a Course,
    started: Option<Instant>,
}

impl Job<'_> {
    /// Whether the batch was cancelled, or a deadline of this item has passed: then its result will not count,
    /// or is not needed. [`BatchBuilder`] has an example.
    ///
    /// # Progress
    ///
    /// Wait-free: two loads, and a look at the clock if there are deadlines.
    pub fn should_stop(&self) -> bool {
        self.course.should_stop(self.started, self.course.is_timed().then(now))
    }
}

impl fmt::Debug for Job<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").field("should_stop", &self.should_stop()).finish_non_exhaustive()
    }
}
