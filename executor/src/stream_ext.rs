//! The calls that are methods of async streams.

use futures_core::Stream;

use crate::spawn::Spawn;
use crate::spawned::map_ordered::MapOrdered;

/// Runs futures for the items of an async stream on a runtime, and yields their outcomes in order.
///
/// Import it by `use reorder_executor::StreamExt as _;`, because the traits of the crates `futures`
/// and `tokio-stream` have the same name.
///
/// This is `buffered` of the crate `futures`, with two differences:
///
/// * Each future is a task of the runtime. So futures run in parallel, and they run while the
///   consumer does not poll.
/// * A future that panics, or that its runtime drops, is a [`Failure`](crate::Failure) at its
///   place.
///
/// It needs no [`Executor`](crate::Executor). Jobs that block belong to one, not to a runtime.
///
/// ```
/// use futures_util::stream::{self, StreamExt as _};
/// use reorder_executor::StreamExt as _;
///
/// # let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build()?;
/// let handle = runtime.handle().clone();
/// // With the feature `tokio`, the handle itself is a spawner.
/// let spawner = move |task| _ = handle.spawn(task);
/// let words = stream::iter(["a", "bc", "def"]);
/// let mut lengths = words.map_ordered(spawner, 64, |word| async move { word.len() });
/// runtime.block_on(async {
///     while let Some(length) = lengths.next().await {
///         println!("{}", length?);
///     }
///     Ok::<_, reorder_executor::Failure>(())
/// })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A future that borrows from its caller does not compile. A task may outlive the caller:
///
/// ```compile_fail,E0597
/// # use std::pin::Pin;
/// # type Task = Pin<Box<dyn Future<Output = ()> + Send>>;
/// use futures_util::stream;
/// use reorder_executor::StreamExt as _;
///
/// let factor = 3;
/// let spawner = |task: Task| drop(task);
/// let times = stream::iter(0..9).map_ordered(spawner, 4, |n| {
///     let factor = &factor;
///     async move { n * factor }
/// });
/// ```
///
/// A future that must stay on one thread does not compile either:
///
/// ```compile_fail,E0277
/// # use std::pin::Pin;
/// # type Task = Pin<Box<dyn Future<Output = ()> + Send>>;
/// use std::rc::Rc;
/// use futures_util::stream;
/// use reorder_executor::StreamExt as _;
///
/// let spawner = |task: Task| drop(task);
/// let times = stream::iter(0..9).map_ordered(spawner, 4, |n| {
///     let n = Rc::new(n);
///     std::future::ready(n)
/// });
/// ```
pub trait StreamExt: Stream + Send + Sized + 'static {
    /// Runs a future for each item on `spawner`, and yields the outcomes in the order of the items.
    ///
    /// A task on the spawner polls this stream, and calls `job` for the future of each item. At
    /// most `window` items are outstanding: pulled from this stream, and their outcomes not taken.
    /// [`MapOrdered`] lists the outcomes of panics and of lost tasks.
    ///
    /// ```
    /// use std::pin::Pin;
    /// use futures_util::stream::{self, StreamExt as _};
    /// use reorder_executor::{Failure, StreamExt as _};
    ///
    /// // A simple runtime: one thread for each future.
    /// let spawner = |task: Pin<Box<dyn Future<Output = ()> + Send>>| {
    ///     std::thread::spawn(|| futures_executor::block_on(task));
    /// };
    /// let quotients = stream::iter([4, 0, 2]).map_ordered(spawner, 2, |n| async move { 8 / n });
    /// let quotients: Vec<_> = futures_executor::block_on(quotients.collect());
    /// let [Ok(2), Err(Failure::Panicked(panic)), Ok(4)] = &quotients[..] else { panic!() };
    /// assert_eq!(panic.message(), "attempt to divide by zero");
    /// ```
    ///
    /// # Panics
    ///
    /// If `window` is 0, or there is no memory for it. If the spawner panics at this call. Later
    /// panics of the spawner are outcomes.
    ///
    /// # Progress
    ///
    /// It does not wait for any item.
    fn map_ordered<S, F, A>(self, spawner: S, window: usize, job: F) -> MapOrdered<A::Output>
    where
        S: Spawn + Send + Sync + 'static,
        F: FnMut(Self::Item) -> A + Send + 'static,
        A: Future<Output: Send> + Send + 'static,
    {
        MapOrdered::open(self, spawner, window, job)
    }
}

impl<I: Stream + Send + 'static> StreamExt for I {}
