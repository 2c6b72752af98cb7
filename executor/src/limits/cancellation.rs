//! Cancellation from anywhere.

use std::fmt;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::{Arc, Weak};

use crate::primitive::{AtomicBool, Mutex, MutexGuard, lock};
use crate::scheduler::Published;
use crate::unwind::catch_panic;

/// Cancels the batches and streams that it was given to, from any thread, also from a job.
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
#[derive(Clone)]
pub struct CancellationToken(Arc<Signal>);

struct Signal {
    is_cancelled: AtomicBool,
    /// Whose consumers are to be woken: they may be waiting for an item that takes its time.
    listeners: Mutex<Vec<Weak<dyn Published>>>,
}

impl CancellationToken {
    /// One that is not cancelled.
    pub fn new() -> CancellationToken {
        CancellationToken(Arc::new(Signal {
            is_cancelled: AtomicBool::new(false),
            listeners: Mutex::new(Vec::new()),
        }))
    }

    /// Cancels. What this thread did before is seen by whoever sees the cancellation. A panic of a waker is caught: the
    /// others are woken nevertheless.
    ///
    /// # Progress
    ///
    /// It wakes those that wait for one of the token's streams and detached batches, and waits for nobody but, for a
    /// moment, another thread that does the same or starts one.
    pub fn cancel(&self) {
        // ORDERING: cancellation:cancel: Release pairs with `cancellation:look`.
        self.0.is_cancelled.store(true, Release);
        // Wakers are the user's, and the last reference may run more of theirs: not under the lock.
        let listeners = std::mem::take(&mut *self.listeners());
        listeners.iter().filter_map(Weak::upgrade).for_each(|work| catch_panic(|| work.notify()));
    }

    /// Whether it was cancelled.
    ///
    /// # Progress
    ///
    /// Wait-free: one load.
    pub fn is_cancelled(&self) -> bool {
        // ORDERING: cancellation:look: Acquire pairs with `cancellation:cancel`.
        self.0.is_cancelled.load(Acquire)
    }

    /// Wakes whoever waits for this work, too, once it is cancelled. Whoever does so looks at the token after this
    /// and before it waits.
    pub(crate) fn notify(&self, work: &Arc<dyn Published>) {
        let mut listeners = self.listeners();
        if listeners.len() == listeners.capacity() {
            listeners.retain(|listener| listener.strong_count() > 0);
        }
        listeners.push(Arc::downgrade(work));
    }

    fn listeners(&self) -> MutexGuard<'_, Vec<Weak<dyn Published>>> {
        lock(&self.0.listeners)
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
