//! The token that cancels calls.

use std::fmt;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::{Arc, Weak};

use crate::primitive::{AtomicBool, Mutex, lock};
use crate::scheduler::Published;
use crate::unwind::catch_panic;

/// A token that cancels every batch, stream and queue to which it was given. Any thread may cancel
/// it, even a job.
///
/// Clones are the same token. A cancelled token stays cancelled.
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
/// assert!(cancelled.iter().all(|outcome| matches!(outcome, Err(Failure::Cancelled(_)))));
/// # Ok::<(), reorder_executor::BuildError>(())
/// ```
#[derive(Clone)]
pub struct CancellationToken(Arc<Signal>);

struct Signal {
    is_cancelled: AtomicBool,
    /// The calls whose consumers are woken. They may be waiting for a slow item.
    listeners: Mutex<Vec<Weak<dyn Published>>>,
}

impl CancellationToken {
    /// Returns a token that is not cancelled.
    pub fn new() -> CancellationToken {
        CancellationToken(Arc::new(Signal {
            is_cancelled: AtomicBool::new(false),
            listeners: Mutex::new(Vec::new()),
        }))
    }

    /// Cancels the token.
    ///
    /// A thread that sees the cancellation sees what this thread did before. A panic of a waker is
    /// caught, so that the other wakers are used as well.
    ///
    /// # Progress
    ///
    /// Blocking for a moment: it takes a lock that other calls of `cancel`, and calls that start,
    /// take as well. It then wakes the consumers of the streams, queues and submitted batches that
    /// have this token.
    pub fn cancel(&self) {
        // ORDERING: cancellation:cancel: Release pairs with `cancellation:look`.
        self.0.is_cancelled.store(true, Release);
        // Not under the lock: wakers and the last reference to a call may run user code.
        let listeners = std::mem::take(&mut *lock(&self.0.listeners));
        listeners.iter().filter_map(Weak::upgrade).for_each(|work| catch_panic(|| work.notify()));
    }

    /// Returns `true` if the token is cancelled.
    ///
    /// # Progress
    ///
    /// Wait-free: one load.
    pub fn is_cancelled(&self) -> bool {
        // ORDERING: cancellation:look: Acquire pairs with `cancellation:cancel`.
        self.0.is_cancelled.load(Acquire)
    }

    /// Registers a call whose consumer is woken by the cancellation. The consumer checks the token
    /// after this and before it waits.
    pub(crate) fn notify(&self, work: &Arc<dyn Published>) {
        let mut listeners = lock(&self.0.listeners);
        if listeners.len() == listeners.capacity() {
            listeners.retain(|listener| listener.strong_count() > 0);
        }
        listeners.push(Arc::downgrade(work));
    }
}

impl Default for CancellationToken {
    fn default() -> Self {
        CancellationToken::new()
    }
}

impl fmt::Debug for CancellationToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancellationToken")
            .field("is_cancelled", &self.is_cancelled())
            .finish_non_exhaustive()
    }
}
