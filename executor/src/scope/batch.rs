//! Batches with limits whose data borrow from outside of the scope.

use std::sync::Arc;

use crate::batch::builder::{BatchBuilder, Job, limited_job};
use crate::batch::handle::Refused;
use crate::executor::check_window;
use crate::limits::LimitState;
use crate::scheduler::Admission;
use crate::scope::Scope;
use crate::stream::{Ordered, open_stream};
use crate::unwind::DiscardOnDrop;

impl<'scope, 'env> Scope<'scope, 'env> {
    /// Returns the builder of a batch with limits, whose items and job may borrow. It has the
    /// settings of [`Executor::batch`](crate::Executor::batch).
    ///
    /// Such a batch can [`run`](BatchBuilder::run), or be a stream:
    ///
    /// ```
    /// use std::time::Duration;
    /// use reorder_executor::Executor;
    ///
    /// let executor = Executor::builder().workers(2).build()?;
    /// let words = vec![String::from("8"), String::from("six"), String::from("7")];
    /// let limit = 9;
    /// let sum: u32 = executor.scope(|scope| {
    ///     let batch = scope.batch(&words).item_timeout(Duration::from_secs(60));
    ///     let numbers = batch.stream(|word, _job| word.parse::<u32>().map(|n| n.min(limit)));
    ///     numbers.expect("it was not shut down").filter_map(Result::ok).sum()
    /// });
    /// assert_eq!(sum, 15);
    /// # Ok::<(), reorder_executor::BuildError>(())
    /// ```
    ///
    /// A stream that leaves the scope does not compile:
    ///
    /// ```compile_fail
    /// # let executor = reorder_executor::Executor::builder().workers(2).build().unwrap();
    /// let words = vec![String::from("8")];
    /// let stream = executor.scope(|scope| {
    ///     scope.batch(&words).stream(|word, _| word.parse::<u32>()).unwrap()
    /// });
    /// ```
    ///
    /// # Progress
    ///
    /// As [`Executor::batch`](crate::Executor::batch).
    pub fn batch<I>(&'scope self, items: I) -> BatchBuilder<'env, I, &'scope Scope<'scope, 'env>> {
        self.executor.batch(items).in_scope(self)
    }
}

impl<'scope, 'env, I> BatchBuilder<'env, I, &'scope Scope<'scope, 'env>> {
    /// Runs `job` on the items of a source, which may be endless, and yields the outcomes in order.
    /// The source and the job may borrow from outside of the scope. [`Scope::batch`] has an
    /// example.
    ///
    /// When the time of the head is up, its outcome is a failure, and the stream goes on. The job
    /// of the head may still run. The scope waits for it at its end.
    ///
    /// # Errors
    ///
    /// [`Refused`] if the executor was shut down, or there is no memory for the window. It gives
    /// the source back.
    ///
    /// # Panics
    ///
    /// As [`Executor::stream`](crate::Executor::stream).
    ///
    /// # Progress
    ///
    /// As [`Executor::stream`](crate::Executor::stream). The consumer runs no items, unless it is a
    /// worker of an executor.
    pub fn stream<U, E, F>(self, job: F) -> Result<Ordered<'scope, U, E>, Refused<I::IntoIter>>
    where
        I: IntoIterator<IntoIter: Send + 'scope, Item: Send + 'scope>,
        U: Send + 'scope,
        E: Send + 'scope,
        F: Fn(I::Item, &Job<'_>) -> Result<U, E> + Send + Sync + 'scope,
    {
        let job = DiscardOnDrop::new(job);
        let (scope, items, limits, window) = self.into_parts();
        let source = DiscardOnDrop::new(items.into_iter());
        let executor = scope.executor;
        if let Err(error) = check_window(window) {
            return Err(Refused::window(source.into_inner(), error));
        }
        // A shutdown waits for the stream until the scope withdraws it.
        let Some(_admission) = Admission::new(&executor.scheduler) else {
            return Err(Refused::shut_down(source.into_inner()));
        };
        let limits = Arc::new(LimitState::new(limits, window.next_power_of_two()));
        let (source, job) = (source.into_inner(), job.into_inner());
        let run = limited_job(Arc::clone(&limits), job);
        let run = move |(index, item): (usize, I::Item)| run(index as u64, item);
        let (core, consumer_end) =
            open_stream(executor, source.enumerate(), window, Some(limits), run);
        Ok(scope.publish(core, consumer_end))
    }
}
