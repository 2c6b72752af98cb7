//! The calls of [`Executor`] that return a value for each item.

use crate::executor::Executor;
use crate::map::thread_state::WithState;
use crate::map::{Share, results, run};
use crate::unwind::DiscardOnDrop;

impl Executor {
    /// Runs `job` on every item and returns the results in the order of the items.
    ///
    /// The calling thread and the workers share the items. The call returns when all items have
    /// run. One thread at a time pulls the source, while other threads run earlier items, also if
    /// the source blocks. The items of a range of integers are computed without a pull. A source
    /// that does not say exactly how many items it has is read to its end first, and must not wait
    /// for its own items.
    ///
    /// ```
    /// # use reorder_executor::Executor;
    /// # let executor = Executor::builder().workers(2).build()?;
    /// // The job may borrow, and calls may be nested.
    /// let table = [[1, 2, 3], [4, 5, 6]];
    /// let squares = executor.map(&table, |row| executor.map(row, |n| n * n));
    /// let sums: Vec<u32> = squares.iter().map(|row| row.iter().sum()).collect();
    /// assert_eq!(sums, [14, 77]);
    /// # Ok::<(), reorder_executor::BuildError>(())
    /// ```
    ///
    /// # Panics
    ///
    /// * If jobs panicked, with the first of these panics in the order of the input. All other
    ///   items have run, and their results were dropped.
    /// * If the source panics. The items that came before the panic have run. But if the source did
    ///   not say exactly how many items it has, no item has run.
    /// * If the `Drop` of the source or of the job panics. The results were dropped.
    /// * If there is no memory for the results.
    ///
    /// # Progress
    ///
    /// Blocking: it returns when the slowest item has run. It does not wait for other batches: if
    /// all workers are busy, the calling thread runs all items itself. It does wait for items that
    /// a worker has started.
    ///
    /// Items that are measured to be cheap are not shared one by one:
    ///
    /// * A thread may take several items at once. While one of them runs, the others wait. At most
    ///   as many items wait as cheap items ran before in this call, and at most 31. If the source
    ///   is a range, a vector, an array or a slice, it is at most 127.
    /// * If the items of earlier calls with this job were cheap, the caller begins alone. It shares
    ///   the rest of the items after the first expensive item has ended.
    ///
    /// So items must not wait for each other. For such items, use
    /// [`BatchBuilder::concurrent`](crate::BatchBuilder::concurrent).
    ///
    /// In a task of an async runtime, the call blocks the runtime's thread. So its items must not
    /// wait for other tasks of that thread.
    pub fn map<I, U, F>(&self, items: I, job: F) -> Vec<U>
    where
        I: IntoIterator<IntoIter: Send, Item: Send>,
        U: Send,
        F: Fn(I::Item) -> U + Sync,
    {
        self.map_with(items, job, Share::default())
    }

    /// Calls [`map`](Executor::map). If the call is concurrent, each thread takes one item at a
    /// time, because items may wait for each other.
    pub(crate) fn map_with<I, U, F>(&self, items: I, job: F, share: Share<'_>) -> Vec<U>
    where
        I: IntoIterator<IntoIter: Send, Item: Send>,
        U: Send,
        F: Fn(I::Item) -> U + Sync,
    {
        let job = DiscardOnDrop::new(job);
        let results = run::run(&self.scheduler, items.into_iter(), &*job, share);
        results::values(results::release(results, job.into_inner()))
    }

    /// Runs `job` on the indices from 0 to `len` and returns the results in their order.
    ///
    /// This is [`map`] over the range `0..len`, for a `job` that finds or makes its item by itself.
    /// The threads divide the range, while an iterator is pulled by one thread at a time. The
    /// difference matters for items of a few nanoseconds.
    ///
    /// ```
    /// # use reorder_executor::Executor;
    /// # let executor = Executor::builder().workers(2).build()?;
    /// let (a, b) = ([1.0, 2.0, 3.0], [0.5, 0.25, 2.0]);
    /// assert_eq!(executor.map_indexed(a.len(), |i| a[i] * b[i]), [0.5, 0.5, 6.0]);
    /// # Ok::<(), reorder_executor::BuildError>(())
    /// ```
    ///
    /// # Panics
    ///
    /// * If jobs panicked, with the panic of the lowest index. All other indices have run, and
    ///   their results were dropped.
    /// * If there is no memory for the results.
    ///
    /// # Progress
    ///
    /// As [`map`].
    ///
    /// [`map`]: Executor::map
    pub fn map_indexed<U, F>(&self, len: usize, job: F) -> Vec<U>
    where
        U: Send,
        F: Fn(usize) -> U + Sync,
    {
        let job = DiscardOnDrop::new(job);
        let results = run::run(&self.scheduler, 0..len, &*job, Share::default());
        results::values(results::release(results, job.into_inner()))
    }

    /// Runs `job` on every item, with a state for each thread, and returns the results in order.
    ///
    /// This is [`map`](Executor::map) for jobs that use a buffer, a connection or a random number
    /// generator. A thread calls `init` before the first item that it runs.
    ///
    /// ```
    /// # let executor = reorder_executor::Executor::builder().workers(2).build()?;
    /// let lines = executor.map_init(0..3, String::new, |buffer, n| {
    ///     buffer.clear();
    ///     buffer.push_str(&n.to_string());
    ///     buffer.len()
    /// });
    /// assert_eq!(lines, [1, 1, 1]);
    /// # Ok::<(), reorder_executor::BuildError>(())
    /// ```
    ///
    /// The calling thread drops the states before the call returns. If a job panics, its thread
    /// drops its state immediately, and makes a new one for its next item.
    ///
    /// # Panics
    ///
    /// As [`map`](Executor::map). A panic of `init` counts as a panic of the item. The call also
    /// panics if the `Drop` of a state panics.
    ///
    /// # Progress
    ///
    /// As [`map`](Executor::map).
    pub fn map_init<I, S, U, N, F>(&self, items: I, init: N, job: F) -> Vec<U>
    where
        I: IntoIterator<IntoIter: Send, Item: Send>,
        S: Send,
        U: Send,
        N: Fn() -> S + Sync,
        F: Fn(&mut S, I::Item) -> U + Sync,
    {
        let job = WithState::new(init, job);
        let results = run::run(&self.scheduler, items.into_iter(), &job, Share::default());
        results::values(job.release(results))
    }
}
