//! The calls that observe a stream: its index, number and progress, and waits with a deadline.

use std::fmt;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use crate::observe::trace::Counts;
use crate::outcome::Outcome;
use crate::primitive::now;
use crate::stream::ordered::Ordered;

/// The error of a wait for an outcome that was still missing at the deadline. Returned by
/// [`Ordered::next_timeout`] and [`Ordered::next_deadline`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimedOut;

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the outcome was still missing at the deadline")
    }
}

impl std::error::Error for TimedOut {}

/// Counts the items of a call and their outcomes. Returned by [`Ordered::progress`] and
/// [`BatchHandle::progress`](crate::BatchHandle::progress).
///
/// Every delivered item counts as finished, and every finished item as pulled. A failure that
/// stands for all items that were not pulled counts as one item. The outcomes say how each item has
/// ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    pulled: u64,
    finished: u64,
    failed: u64,
    delivered: u64,
}

impl Progress {
    /// Returns the number of items that have come from the source, or were sent to the queue.
    pub fn pulled(&self) -> u64 {
        self.pulled
    }

    /// Returns the number of items that have run, or have an outcome although they did not run.
    pub fn finished(&self) -> u64 {
        self.finished
    }

    /// Returns the number of items that have a value, whether it was delivered or not: the finished
    /// items without the failed ones.
    ///
    /// The number may lag behind. A job that runs on after its consumer has given up on its item
    /// counts as failed, but not as finished. So the number is too small by one for each such job,
    /// until that job ends.
    pub fn succeeded(&self) -> u64 {
        self.finished.saturating_sub(self.failed)
    }

    /// Returns the number of outcomes so far that are failures.
    pub fn failed(&self) -> u64 {
        self.failed
    }

    /// Returns the number of outcomes that the handle has returned.
    pub fn delivered(&self) -> u64 {
        self.delivered
    }
}

impl<U: Send, E: Send> Ordered<'_, U, E> {
    /// Returns the index of the next outcome: the number of outcomes that were returned.
    ///
    /// ```
    /// # let executor = reorder_executor::Executor::builder().workers(1).build()?;
    /// let mut halves = executor.stream([4, 0, 2], |n| 8 / n);
    /// while let Some(outcome) = halves.next() {
    ///     if let Err(failure) = outcome {
    ///         let index = halves.index() - 1;
    ///         assert_eq!(format!("{index}: {failure}").split(':').next(), Some("1"));
    ///     }
    /// }
    /// # Ok::<(), reorder_executor::BuildError>(())
    /// ```
    ///
    /// # Progress
    ///
    /// Wait-free.
    pub fn index(&self) -> u64 {
        self.taken - self.chunk.len() as u64
    }

    /// Returns the number of the stream in its executor, as [`OpenCall::id`](crate::OpenCall::id)
    /// in a snapshot.
    ///
    /// Returns `None` if the executor was shut down before. Then its workers do not know the
    /// stream, and the consumer runs the items.
    ///
    /// ```
    /// # let executor = reorder_executor::Executor::builder().workers(1).build()?;
    /// let stream = executor.stream(0.., |n: u64| n);
    /// let snapshot = executor.snapshot();
    /// assert_eq!(stream.id(), Some(snapshot.calls()[0].id()));
    /// # Ok::<(), reorder_executor::BuildError>(())
    /// ```
    ///
    /// # Progress
    ///
    /// Wait-free.
    pub fn id(&self) -> Option<u64> {
        self.id
    }

    /// Returns how far the stream has come.
    ///
    /// ```
    /// # let executor = reorder_executor::Executor::builder().workers(1).build()?;
    /// let mut stream = executor.stream(0..3, |n| n);
    /// assert!(stream.next().is_some());
    /// let progress = stream.progress();
    /// assert_eq!(progress.delivered(), 1);
    /// assert!((1..=3).contains(&progress.finished()) && progress.finished() <= progress.pulled());
    /// # Ok::<(), reorder_executor::BuildError>(())
    /// ```
    ///
    /// # Progress
    ///
    /// Wait-free: a few loads. With a [dispatcher](crate::dispatch) it takes the time of
    /// [`Dispatch::state`](crate::dispatch::Dispatch::state).
    pub fn progress(&self) -> Progress {
        let delivered = self.index();
        let producing = self.stream.progress();
        let Counts { pulled, finished, failed, .. } =
            producing.map(|it| it.counts()).unwrap_or_default();
        // The numbers were not read at the same instant.
        let finished = finished.max(delivered);
        let failed = failed.unwrap_or(0);
        Progress { pulled: pulled.max(finished), finished, failed, delivered }
    }

    /// Changes the window of the stream, and returns the window that holds from now on.
    ///
    /// The window can be at most as large as the power of two that fits the window at the start. If
    /// it becomes smaller, items that were pulled before stay outstanding.
    ///
    /// ```
    /// use std::convert::Infallible;
    /// # use std::num::NonZeroUsize;
    /// # let executor = reorder_executor::Executor::builder().workers(1).build()?;
    /// let batch = executor.batch(0..100).window(NonZeroUsize::new(100).unwrap());
    /// let stream = batch.stream(|n, _| Ok::<_, Infallible>(n))?;
    /// assert_eq!(stream.set_window(NonZeroUsize::MIN), 1);
    /// assert_eq!(stream.set_window(NonZeroUsize::MAX), 128);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Progress
    ///
    /// It does not wait for any item. With [queues](crate::Executor::queue) and
    /// [dispatchers](crate::dispatch) it takes a lock that is held for a few instructions.
    pub fn set_window(&self, items: NonZeroUsize) -> usize {
        self.stream.set_window(items.get(), &self.scheduler)
    }

    /// Returns a reference to the next outcome without taking it, or `None` at the end.
    ///
    /// ```
    /// # let executor = reorder_executor::Executor::builder().workers(1).build()?;
    /// let mut lines = executor.stream(["# a", "# b", "c"], str::to_owned);
    /// while matches!(lines.peek(), Some(Ok(line)) if line.starts_with('#')) {
    ///     lines.next();
    /// }
    /// assert_eq!(lines.next().expect("a third line")?, "c");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Panics
    ///
    /// As `next`.
    ///
    /// # Progress
    ///
    /// As `next`. The outcome keeps its place in the window.
    pub fn peek(&mut self) -> Option<&Outcome<U, E>> {
        if self.fill(None).expect("there is no deadline") { self.chunk.last() } else { None }
    }

    /// Returns a mutable reference to the next outcome without taking it, or `None` at the end.
    ///
    /// While the outcome is not taken, it counts in the window and in the
    /// [budget](crate::BatchBuilder::weight). So a consumer that drops a value here, before it
    /// takes the outcome, keeps its own value within the budget, too.
    ///
    /// ```
    /// use std::convert::Infallible;
    /// # let executor = reorder_executor::Executor::builder().workers(1).build()?;
    /// let batch = executor.batch([4, 1, 5]).weight(8, |&size| size as u64);
    /// let mut buffers = batch.stream(|size, _| Ok::<_, Infallible>(vec![0_u8; size]))?;
    /// let mut total = 0;
    /// while let Some(outcome) = buffers.peek_mut() {
    ///     let buffer = outcome.as_mut().map(std::mem::take).expect("no error");
    ///     total += buffer.len();
    ///     drop(buffer);
    ///     buffers.next();
    /// }
    /// assert_eq!(total, 10);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Panics
    ///
    /// As `next`.
    ///
    /// # Progress
    ///
    /// As `next`. The outcome keeps its place in the window.
    pub fn peek_mut(&mut self) -> Option<&mut Outcome<U, E>> {
        if self.fill(None).expect("there is no deadline") { self.chunk.last_mut() } else { None }
    }

    /// Blocks for the next outcome as `next`, but at most for `timeout`.
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use std::time::Duration;
    /// use reorder_executor::{Executor, TimedOut};
    ///
    /// let executor = Executor::builder().workers(1).build()?;
    /// let (sender, source) = mpsc::channel::<u64>();
    /// let mut squares = executor.stream(source, |n| n * n);
    /// let timeout = Duration::from_millis(10);
    /// assert!(matches!(squares.next_timeout(timeout), Err(TimedOut)));
    /// sender.send(3)?;
    /// while let Err(TimedOut) = squares.next_timeout(timeout) {}
    /// drop(sender);
    /// assert!(squares.next().is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`TimedOut`] if the outcome is still missing. The stream goes on, and a later call returns
    /// the outcome. A `timeout` of zero returns the outcome if it is there already.
    ///
    /// # Panics
    ///
    /// As `next`.
    ///
    /// # Progress
    ///
    /// Blocking, until the time is over. The thread runs items only if no other thread might run
    /// them: if it is a worker of this or another executor, or the executor was dropped. Then it
    /// may return later, after such an item.
    pub fn next_timeout(&mut self, timeout: Duration) -> Result<Option<Outcome<U, E>>, TimedOut> {
        // An instant that the clock cannot represent is no deadline.
        self.next_until(now().checked_add(timeout))
    }

    /// Blocks for the next outcome as [`next_timeout`](Ordered::next_timeout), until an instant.
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    /// # let executor = reorder_executor::Executor::builder().workers(1).build()?;
    /// let mut squares = executor.stream(0..1_000_000_u64, |n| n * n);
    /// let deadline = Instant::now() + Duration::from_millis(5);
    /// let mut sum = 0;
    /// while let Ok(Some(square)) = squares.next_deadline(deadline) {
    ///     sum += square?;
    /// }
    /// println!("the first {} squares have the sum {sum}", squares.index());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`next_timeout`](Ordered::next_timeout).
    ///
    /// # Panics
    ///
    /// As `next`.
    ///
    /// # Progress
    ///
    /// As [`next_timeout`](Ordered::next_timeout).
    pub fn next_deadline(&mut self, deadline: Instant) -> Result<Option<Outcome<U, E>>, TimedOut> {
        self.next_until(Some(deadline))
    }

    pub(crate) fn next_until(
        &mut self,
        deadline: Option<Instant>,
    ) -> Result<Option<Outcome<U, E>>, TimedOut> {
        Ok(if self.fill(deadline)? { self.next() } else { None })
    }

    /// Returns the next outcome if it is there. This thread runs no items.
    pub(crate) fn next_ready(&mut self) -> Option<Outcome<U, E>> {
        if self.chunk.is_empty() {
            let delivery = self.consumer.as_mut()?.try_next().ok()?;
            self.accept(Some(delivery));
            self.chunk.reverse();
        }
        self.next()
    }

    /// Waits until the next outcome is the last of `chunk`. Returns `false` at the end.
    fn fill(&mut self, deadline: Option<Instant>) -> Result<bool, TimedOut> {
        while self.chunk.is_empty() {
            let delivery = self.wait(deadline)?;
            if !self.accept(delivery) {
                self.stop();
                return Ok(false);
            }
            self.chunk.reverse();
        }
        Ok(true)
    }

    /// Returns the bounds of the number of outcomes that are left.
    pub(super) fn left(&self) -> (usize, Option<usize>) {
        let known = self.chunk.len();
        if self.consumer.is_none() {
            return (known, Some(known));
        }
        let returned = usize::try_from(self.index()).unwrap_or(usize::MAX);
        let (least, most) = self.size_hint;
        let (least, most) =
            (least.saturating_sub(returned), most.map(|most| most.saturating_sub(returned)));
        if self.limits.is_none() {
            return (least.max(known), most.map(|most| most.max(known)));
        }
        // If it ends early, one failure stands for the items that were not pulled.
        (least.min(1).max(known), most.map(|most| most.saturating_add(1)))
    }
}
