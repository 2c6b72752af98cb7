//! Cancellation from anywhere.

use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Release};

use crate::primitive::AtomicBool;

/// Cancels the batches that it was given to, from any thread, also from a job.
///
/// Plain data behind an `Arc`: clones are the same token. Once cancelled, it stays so.
///
/// ```
/// use reorder_executor::{CancellationToken, Executor, Failure};
///
/// let executor = Executor::builder().workers(1).build()?;
/// let token = CancellationToken::new();
/// let report = executor.batch(0..1000).cancelled_by(&token).run(|n, _| {
///     token.cancel();
///     Ok::<_, String>(n)
/// });
/// // The caller and the worker may have started one each.
/// let (finished, cancelled): (Vec<_>, Vec<_>) = report.into_iter().partition(Result::is_ok);
/// assert!((1..=2).contains(&finished.len()));
/// assert!(cancelled.iter().all(|outcome| matches!(outcome, Err(Failure::Cancelled))));
/// # Ok::<(), reorder_executor::BuildError>(())
/// ```
///
/// # Progress
///
/// Wait-free: one access each.
#[derive(Clone, Debug)]
pub struct CancellationToken(Arc<AtomicBool>);

impl CancellationToken {
    /// One that is not cancelled.
    pub fn new() -> CancellationToken {
        CancellationToken(Arc::new(AtomicBool::new(false)))
    }

    /// Cancels. What this thread did before is seen by whoever sees the cancellation.
    pub fn cancel(&self) {
        // ORDERING: token:cancel: Release pairs with `token:look`.
        self.0.store(true, Release);
    }

    /// Whether it was cancelled.
    pub fn is_cancelled(&self) -> bool {
        // ORDERING: token:look: Acquire pairs with `token:cancel`.
        self.0.load(Acquire)
    }
}

impl Default for CancellationToken {
    fn default() -> Self {
        CancellationToken::new()
    }
}
