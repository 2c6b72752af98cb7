//! Batches that run by themselves, and what is refused.

use std::fmt;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use crate::batch::report::BatchReport;
use crate::limits::Timing;
use crate::outcome::Outcome;
use crate::stream::Ordered;

/// A batch that runs on the workers. From [`BatchBuilder::submit`](crate::BatchBuilder::submit).
///
/// [`wait`](BatchHandle::wait) blocks until each item has an outcome; as a future, it leaves its thread to others
/// meanwhile. Its deadlines hold either way. Dropping it cancels what has not started; jobs that run go on, and their
/// results are refused by the batch's ring and dropped. It waits for none of them.
///
/// ```
/// use reorder_executor::Executor;
///
/// let executor = Executor::builder().workers(2).build()?;
/// let lengths = executor.batch(["one", "three"]).submit(|word, _| Ok::<_, ()>(word.len()))?;
/// let squares = executor.batch([1, 2, 3]).submit(|n, _| Ok::<_, ()>(n * n))?;
/// assert_eq!(squares.wait().into_values().unwrap(), [1, 4, 9]);
/// assert_eq!(lengths.wait().into_values().unwrap(), [3, 5]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Panics
///
/// As a future, if it is polled after it was ready. Dropping it passes on a panic in the `Drop` of a result.
#[must_use = "dropping a batch cancels it"]
pub struct BatchHandle<U: Send, E: Send> {
    stream: Ordered<'static, U, E>,
    outcomes: Vec<Outcome<U, E>>,
    items: usize,
    timings: Vec<Timing>,
    is_over: bool,
}

impl<U: Send, E: Send> BatchHandle<U, E> {
    pub(crate) fn new(stream: Ordered<'static, U, E>, items: usize) -> Self {
        let outcomes = Vec::with_capacity(items);
        BatchHandle { stream, outcomes, items, timings: Vec::new(), is_over: false }
    }

    /// Blocks until each item has an outcome.
    ///
    /// # Progress
    ///
    /// Blocking: it needs workers that are not kept by other jobs, or deadlines. Called by a worker of the executor,
    /// it runs the items itself.
    pub fn wait(mut self) -> BatchReport<U, E> {
        while self.outcomes.len() < self.items {
            let outcome = self.stream.next().expect("each item has an outcome");
            self.take_in(outcome);
        }
        self.report()
    }

    /// Whether every item has an outcome, deadlines apart, which `wait` and the future keep: then neither [`wait`](BatchHandle::wait) nor the future waits.
    ///
    /// # Progress
    ///
    /// Wait-free: a few loads. With [requests](crate::Requests), a lock that is held for a few instructions.
    pub fn is_finished(&self) -> bool {
        self.stream.is_done()
    }

    /// One that stands for all that the batch's end kept from being pulled is the outcome of each such item.
    fn take_in(&mut self, outcome: Outcome<U, E>) {
        self.outcomes.push(outcome);
        self.timings.extend(self.stream.timing());
        if let Some(stop) = self.stream.ended_by() {
            let rest = self.items - self.outcomes.len();
            self.outcomes.extend((0..rest).map(|_| Err(stop.into())));
            // What it says of the first of them holds for all.
            self.timings.extend(self.timings.last().copied().into_iter().cycle().take(rest));
        }
    }

    fn report(&mut self) -> BatchReport<U, E> {
        self.is_over = true;
        let timings = mem::take(&mut self.timings);
        let outcomes = mem::take(&mut self.outcomes);
        let report = BatchReport::new(outcomes, self.stream.late_results(), timings);
        #[cfg(feature = "requests")]
        let report = report.with_requests(self.stream.requests());
        report
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

/// The executor was shut down. What it should have run comes back.
///
/// ```
/// use reorder_executor::{Executor, Shutdown};
///
/// let executor = Executor::builder().workers(1).build()?;
/// _ = executor.shutdown(Shutdown::Drain, None);
/// let refused = executor.batch(vec![1, 2]).submit(|n, _| Ok::<_, ()>(n)).unwrap_err();
/// assert_eq!(refused.to_string(), "the executor was shut down, and takes no more work in");
/// assert_eq!(refused.into_inner(), [1, 2]);
/// # Ok::<(), reorder_executor::BuildError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Refused<S> {
    items: S,
}

impl<S> Refused<S> {
    pub(crate) fn new(items: S) -> Refused<S> {
        Refused { items }
    }

    /// The items, or their source.
    pub fn into_inner(self) -> S {
        self.items
    }
}

impl<S> fmt::Debug for Refused<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refused").finish_non_exhaustive()
    }
}

impl<S> fmt::Display for Refused<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the executor was shut down, and takes no more work in")
    }
}

impl<S> std::error::Error for Refused<S> {}
