//! Runs futures.

use std::pin::Pin;

/// Runs futures: a runtime, or a handle of one.
///
/// Closures implement this trait. So does the `Handle` of tokio, with the feature `tokio`. A future
/// that is dropped before it is ready ends its item, with
/// [`Failure::FutureDropped`](crate::Failure::FutureDropped). So nothing waits for a runtime that
/// has ended.
///
/// ```
/// use std::pin::Pin;
/// use std::sync::Arc;
/// use reorder_executor::{AttemptOutcome, Executor};
///
/// // A simple runtime: one thread for each future.
/// let spawner = |task: Pin<Box<dyn Future<Output = ()> + Send>>| {
///     std::thread::spawn(|| futures_executor::block_on(task));
/// };
/// let executor = Executor::builder().workers(1).build()?;
/// let batch = executor.batch(0..10_u32).requests();
/// let job = |n: Arc<u32>, _| async move { AttemptOutcome::<_, ()>::Done(*n * 2) };
/// let handle = batch.submit_async(spawner, job)?;
/// assert_eq!(handle.wait().into_values().unwrap(), (0..10).map(|n| n * 2).collect::<Vec<_>>());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Spawn {
    /// Runs the future to its end, or drops it. Returns immediately.
    ///
    /// # Panics
    ///
    /// It may panic. If it has dropped the future, the panic is the outcome of the item:
    /// [`Failure::SpawnerPanicked`](crate::Failure::SpawnerPanicked).
    fn spawn(&self, task: Pin<Box<dyn Future<Output = ()> + Send>>);
}

impl<F: Fn(Pin<Box<dyn Future<Output = ()> + Send>>)> Spawn for F {
    fn spawn(&self, task: Pin<Box<dyn Future<Output = ()> + Send>>) {
        self(task);
    }
}

impl<S: Spawn + ?Sized> Spawn for std::sync::Arc<S> {
    fn spawn(&self, task: Pin<Box<dyn Future<Output = ()> + Send>>) {
        S::spawn(self, task);
    }
}

#[cfg(feature = "tokio")]
impl Spawn for tokio::runtime::Handle {
    fn spawn(&self, task: Pin<Box<dyn Future<Output = ()> + Send>>) {
        // The task itself reports its end.
        drop(tokio::runtime::Handle::spawn(self, task));
    }
}
