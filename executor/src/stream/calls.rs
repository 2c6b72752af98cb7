//! The call of [`Executor`] that opens a stream without limits.

use std::sync::Arc;

use crate::executor::Executor;
use crate::primitive::now;
use crate::scheduler::Published;
use crate::stream::open::open_stream;
use crate::stream::ordered::Ordered;

impl Executor {
    /// Runs `job` on the items of a source and yields the outcomes in the order of the source,
    /// while later items are still running.
    ///
    /// The source may be endless, because no more items are outstanding than the window of the
    /// executor. One thread at a time pulls it. A source that blocks keeps that thread.
    ///
    /// A panic of the source ends the stream, and is its last outcome. So is a panic when the
    /// source is dropped at its end, if the window has space for it.
    ///
    /// ```
    /// use reorder_executor::Executor;
    ///
    /// let executor = Executor::builder().workers(2).build()?;
    /// let mut squares = executor.stream(0u64.., |n| n * n);
    /// let first = squares.next().expect("the source is endless");
    /// assert_eq!(first?, 0);
    /// let more: Vec<u64> = squares.take(3).collect::<Result<_, _>>()?;
    /// assert_eq!(more, [1, 4, 9]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Panics
    ///
    /// If turning `source` into an iterator panics, or there is no memory for the window. Items
    /// travel over the stacks of threads, so large ones should be boxed.
    ///
    /// # Progress
    ///
    /// It does not wait for any item. The workers start, and [`Ordered`] waits.
    pub fn stream<I, U, F>(&self, source: I, job: F) -> Ordered<'static, U>
    where
        I: IntoIterator,
        I::IntoIter: Send + 'static,
        I::Item: Send,
        U: Send + 'static,
        F: Fn(I::Item) -> U + Send + Sync + 'static,
    {
        let job = move |item| Ok(job(item));
        let (core, consumer_end) = open_stream(self, source.into_iter(), self.window, None, job);
        let core = Arc::new(core);
        let published: Arc<dyn Published> = core.clone();
        let is_unlisted = !self.scheduler.publish(Arc::clone(&published), now());
        Ordered::new(consumer_end, core, &self.scheduler, Some(published), is_unlisted)
    }
}
