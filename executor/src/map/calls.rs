//! The calls of [`Executor`] that return a value for each item.

use crate::executor::Executor;
use crate::map::thread_state::PerThread;
use crate::map::{results, run};

impl Executor {
    /// Runs `job` on every item and returns the results in the order of the items.
    ///
    /// This thread and the workers share the items, and the call returns when all have run. The
    /// source is pulled by one thread at a time, by whichever has time, while earlier items run; one
    /// that does not say exactly how many items it has is read to its end first.
    ///
    /// ```
    /// # use reorder_executor::Executor;
    /// # let executor = Executor::builder().workers(2).build()?;
    /// // It may borrow, and it may be nested.
    /// let table = [[1, 2, 3], [4, 5, 6]];
    /// let sums = executor.map(&table, |row| executor.map(row, |n| n * n).into_iter().sum::<u32>());
    /// assert_eq!(sums, [14, 77]);
    /// # Ok::<(), reorder_executor::BuildError>(())
    /// ```
    ///
    /// # Panics
    ///
    /// If jobs panicked, with the panic of the first such item in the order of the input; all
    /// other items have run, and their results were dropped. Also if memory is too short, or the source panics: after
    /// what came from it before has run, or, if it does not say how many items it has, before anything runs.
    ///
    /// # Progress
    ///
    /// Blocking: it returns when the slowest item has. It does not wait for other batches: if all
    /// workers are busy, this thread runs all items itself. But a worker that has started an item
    /// is waited for.
    pub fn map<I, U, F>(&self, items: I, job: F) -> Vec<U>
    where
        I: IntoIterator<IntoIter: Send, Item: Send>,
        U: Send,
        F: Fn(I::Item) -> U + Sync,
    {
        results::values(run::run(self.scheduler(), items.into_iter(), &job))
    }

    /// Runs `job` on the indices from 0 to `len` and returns the results in their order: [`map`] for
    /// a `job` that finds or makes its item by itself.
    ///
    /// An index range is there at once and is split as it stands, while an iterator is pulled by one
    /// thread at a time. That makes a difference if items take a few nanoseconds.
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
    /// If jobs panicked, with the panic of the lowest such index; all other indices have run, and
    /// their results were dropped. Also if memory is too short.
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
        results::values(run::run_indexed(self.scheduler(), len, &job))
    }

    /// As [`map`](Executor::map), with a state that each thread makes for itself, by `init`, before the first item
    /// that it runs: a buffer, a connection, a generator of random numbers.
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
    /// The states are dropped before it returns, on this thread; those with which a job panicked, where that was.
    ///
    /// # Panics
    ///
    /// As [`map`](Executor::map); a panic of `init` is that of the item. Also if the `Drop` of a state panics.
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
        let states = PerThread::new(init);
        self.map(items, |item| states.with(|state| job(state, item)))
    }
}
