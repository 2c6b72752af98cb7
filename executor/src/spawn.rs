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
/// use futures_util::stream::{self, StreamExt as _};
/// use reorder_executor::StreamExt as _;
///
/// // A simple runtime: one thread for each future.
/// let spawner = |task: Pin<Box<dyn Future<Output = ()> + Send>>| {
///     std::thread::spawn(|| futures_executor::block_on(task));
/// };
/// let doubled = stream::iter(0..10_u32).map_ordered(spawner, 4, |n| async move { n * 2 });
/// let doubled: Vec<u32> = futures_executor::block_on(doubled.map(Result::unwrap).collect());
/// assert_eq!(doubled, (0..10).map(|n| n * 2).collect::<Vec<_>>());
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` runs no futures",
    label = "neither a runtime nor a closure that spawns a future",
    note = "for the `Handle` of tokio, enable the feature `tokio` of `reorder-executor`",
    note = "for any other runtime, pass a closure: `move |task| _ = runtime.spawn(task)`"
)]
pub trait Spawn {
    /// Runs the future to its end, or drops it. Returns immediately.
    ///
    /// # Panics
    ///
    /// It may panic. If it has dropped the future, the panic is the outcome of the item:
    /// [`Failure::SpawnerPanicked`](crate::Failure::SpawnerPanicked).
    fn spawn(&self, task: Pin<Box<dyn Future<Output = ()> + Send>>);
}

// Without this, the error of another type would ask for a closure, and not say more.
#[diagnostic::do_not_recommend]
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
