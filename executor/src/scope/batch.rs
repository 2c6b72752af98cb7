//! Batches with limits whose data borrow from outside of the scope.

use std::hash::Hash;

use crate::batch::builder::{BatchBuilder, Job, open_limited};
use crate::batch::handle::Refused;
use crate::batch::keyed::{KeyedBatch, open_keyed};
use crate::batch::weighed::{WeighedBatch, open_weighed};
use crate::scope::Scope;
use crate::stream::{Ordered, OrderedByKey};

impl<'scope, 'env> Scope<'scope, 'env> {
    /// Returns the builder of a batch with limits, whose items and job may borrow. It has the
    /// settings of [`Executor::batch`](crate::Executor::batch).
    ///
    /// Such a batch can [`run`](BatchBuilder::run), or be a stream, also with a
    /// [budget](BatchBuilder::weight) of weights:
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
        let (scope, window) = (self.scope, self.window);
        self.stream_with(window, I::into_iter, |call, source| {
            let (stream, consumer_end) = open_limited(&call, source, job);
            // A shutdown waits for the stream until the scope withdraws it.
            scope.publish(stream, consumer_end)
        })
    }
}

impl<'scope, 'env, I, W> WeighedBatch<'env, I, W, &'scope Scope<'scope, 'env>> {
    /// Runs `job` on the items of a source within the budget. The source, the job and the function
    /// that weighs may borrow from outside of the scope. Otherwise this is the
    /// [`stream`](WeighedBatch::stream) of a batch without a scope.
    ///
    /// ```
    /// use std::convert::Infallible;
    /// use reorder_executor::Executor;
    ///
    /// let executor = Executor::builder().workers(2).build()?;
    /// let text = String::from("a few\nwords\nin a line");
    /// let words: usize = executor.scope(|scope| {
    ///     let batch = scope.batch(text.lines()).weight(10, |line| line.len() as u64);
    ///     let counts = batch.stream(|line, _job| Ok::<_, Infallible>(line.split(' ').count()));
    ///     counts.expect("it was not shut down").map(|count| count.expect("no error")).sum()
    /// });
    /// assert_eq!(words, 6);
    /// # Ok::<(), reorder_executor::BuildError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As the [stream](BatchBuilder::stream) of a batch in a scope.
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
        W: Fn(&I::Item) -> u64 + Send + 'scope,
    {
        let WeighedBatch { batch, weigh } = self;
        let (scope, window) = (batch.scope, batch.window);
        batch.stream_with(window, I::into_iter, |call, source| {
            let (stream, consumer_end) = open_weighed(&call, source, weigh, job);
            scope.publish(stream, consumer_end)
        })
    }
}

impl<'scope, 'env, I, F> KeyedBatch<'env, I, F, &'scope Scope<'scope, 'env>> {
    /// Runs `job` on the items of a source, and yields the outcomes in order by key. The source,
    /// the job and the function that returns the key may borrow from outside of the scope.
    /// Otherwise this is the [`stream`](KeyedBatch::stream) of a batch without a scope.
    ///
    /// ```
    /// use std::convert::Infallible;
    /// use reorder_executor::Executor;
    ///
    /// let executor = Executor::builder().workers(2).build()?;
    /// let text = String::from("a few words\nand others\na last line");
    /// let words: usize = executor.scope(|scope| {
    ///     let batch = scope.batch(text.lines()).ordered_by_key(|line| line.chars().next());
    ///     let counts = batch.stream(|line, _job| Ok::<_, Infallible>(line.split(' ').count()));
    ///     counts.expect("it was not shut down").map(|it| it.outcome.expect("no error")).sum()
    /// });
    /// assert_eq!(words, 8);
    /// # Ok::<(), reorder_executor::BuildError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As the [stream](BatchBuilder::stream) of a batch in a scope.
    ///
    /// # Panics
    ///
    /// As [`Executor::stream`](crate::Executor::stream).
    ///
    /// # Progress
    ///
    /// As [`Executor::stream`](crate::Executor::stream). The consumer runs no items, unless it is a
    /// worker of an executor.
    pub fn stream<K, U, E, J>(
        self,
        job: J,
    ) -> Result<OrderedByKey<'scope, U, E>, Refused<I::IntoIter>>
    where
        I: IntoIterator<IntoIter: Send + 'scope, Item: Send + 'scope>,
        F: FnMut(&I::Item) -> K + Send + 'scope,
        K: Hash + Eq + Send + 'scope,
        U: Send + 'scope,
        E: Send + 'scope,
        J: Fn(I::Item, &Job<'_>) -> Result<U, E> + Send + Sync + 'scope,
    {
        let KeyedBatch { batch, key } = self;
        let (scope, window) = (batch.scope, batch.window);
        let stream = batch.stream_with(window, I::into_iter, |call, source| {
            let (stream, consumer_end) = open_keyed(&call, source, key, job);
            scope.publish(stream, consumer_end)
        });
        stream.map(OrderedByKey::new)
    }
}
