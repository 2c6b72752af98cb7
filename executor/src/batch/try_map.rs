//! The call that returns all values or the first error.

use crate::executor::Executor;
use crate::outcome::ItemError;

impl Executor {
    /// Runs `job` on every item and returns all values in the order of the items, or the first
    /// error.
    ///
    /// The first error is the error of the lowest index, as if a loop ran the items one by one. It
    /// does not depend on which item fails first: after a failure, no item behind it starts, but
    /// the items before it do. Items that do not start are dropped.
    ///
    /// ```
    /// # use reorder_executor::Executor;
    /// use std::{fs, io};
    ///
    /// fn sizes(executor: &Executor, paths: &[&str]) -> io::Result<Vec<u64>> {
    ///     Ok(executor.try_map(paths, |path| fs::metadata(path).map(|file| file.len()))?)
    /// }
    ///
    /// let executor = Executor::builder().workers(2).build()?;
    /// assert!(sizes(&executor, &[]).is_ok_and(|sizes| sizes.is_empty()));
    /// let error = sizes(&executor, &[".", "/no/such/file"]).unwrap_err();
    /// assert_eq!(error.kind(), io::ErrorKind::NotFound);
    /// assert!(error.to_string().starts_with("item 1: the job failed: "));
    /// # Ok::<(), reorder_executor::BuildError>(())
    /// ```
    ///
    /// This is [`batch(items)`](Executor::batch) and [`run`](crate::BatchBuilder::run). It differs
    /// from [`fail_fast`](crate::BatchBuilder::fail_fast), which ends a batch sooner, and reports
    /// the error that came first in time. Items and job may borrow.
    ///
    /// # Errors
    ///
    /// [`ItemError`] of the first item without a value. Its [`failure`](ItemError::failure) is
    ///
    /// * [`Failed`](crate::Failure::Failed), with the error of the job;
    /// * [`Panicked`](crate::Failure::Panicked), with the panic of the job;
    /// * [`ShutDown`](crate::Failure::ShutDown), if no item failed or panicked, and the executor
    ///   was shut down before all items had started.
    ///
    /// # Panics
    ///
    /// If the source panics, as in [`map`](Executor::map), or there is no memory for the values.
    ///
    /// # Progress
    ///
    /// As [`map`](Executor::map). The source is pulled to its end, also after a failure.
    pub fn try_map<I, U, E, F>(&self, items: I, job: F) -> Result<Vec<U>, ItemError<E>>
    where
        I: IntoIterator<IntoIter: Send, Item: Send>,
        U: Send,
        E: Send,
        F: Fn(I::Item) -> Result<U, E> + Sync,
    {
        self.batch(items).fail_in_order().run(move |item, _| job(item)).into_values()
    }
}
