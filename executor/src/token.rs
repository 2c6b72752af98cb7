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
/// let batch = executor.batch(0..1000).cancelled_by(&token);
/// let report = batch.run(|n, _| {
///     if n == 0 {
///         token.cancel();
///     }
///     Ok::<_, String>(n)
/// });
/// assert_eq!(report.outcomes().len(), 1000);
/// assert!(matches!(report.outcomes().last(), Some(Err(Failure::Cancelled))));
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
