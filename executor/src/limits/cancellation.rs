//! The token that cancels calls.
//!
//! A parent lists its children, and a child keeps its parent. So a cancellation reaches the child
//! of a child, also if the token between them was dropped.
//!
//! A listener, such as a call, a task or a child, enters the list of its token, and then looks
//! whether the token is cancelled. A cancellation sets the flag, and then takes the list. Both hold
//! the lock of the list meanwhile, so one of the two sees the other.

use std::collections::BTreeMap;
use std::fmt;
use std::mem;
use std::pin::Pin;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};

use crate::memory;
use crate::primitive::{AtomicBool, Mutex, lock};
use crate::scheduler::Published;
use crate::unwind::{catch_panic, discard};

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
///
/// A [child](CancellationToken::child_token) is cancelled with its parent, and may be cancelled
/// alone. A task awaits a [cancellation](CancellationToken::cancelled). A
/// [guard](CancellationToken::drop_guard) cancels its token when it is dropped.
#[derive(Clone)]
pub struct CancellationToken(Arc<Signal>);

struct Signal {
    is_cancelled: AtomicBool,
    listeners: Mutex<Listeners>,
    parent: Option<Arc<Signal>>,
}

/// The calls, tasks and tokens that a cancellation notifies.
#[derive(Default)]
struct Listeners {
    /// The calls whose consumers are woken. They may be waiting for a slow item.
    calls: Vec<Weak<dyn Published>>,
    children: Vec<Weak<Signal>>,
    /// The wakers of the tasks that await the cancellation.
    tasks: BTreeMap<u64, Waker>,
    /// The number of tasks that ever waited.
    last_task: u64,
}

impl Signal {
    fn new(parent: Option<Arc<Signal>>) -> Arc<Signal> {
        let (is_cancelled, listeners) = (AtomicBool::new(false), Mutex::default());
        Arc::new(Signal { is_cancelled, listeners, parent })
    }

    fn is_cancelled(&self) -> bool {
        // ORDERING: cancellation:look: Acquire pairs with `cancellation:cancel`.
        self.is_cancelled.load(Acquire)
    }

    /// Cancels this signal and all signals below it, and then notifies the listeners. So a task
    /// that is woken finds the whole tree cancelled.
    fn cancel(&self) {
        let (mut listeners, mut next) = (vec![self.cancel_alone()], 0);
        // Without recursion, because there may be any number of generations.
        while let Some(of_one) = listeners.get_mut(next) {
            let children = mem::take(&mut of_one.children);
            let children = children.iter().filter_map(Weak::upgrade);
            listeners.extend(children.map(|child| child.cancel_alone()));
            next += 1;
        }
        listeners.into_iter().for_each(Listeners::notify);
    }

    /// Sets the flag of this signal, and takes its listeners.
    fn cancel_alone(&self) -> Listeners {
        // ORDERING: cancellation:cancel: Release pairs with `cancellation:look`.
        self.is_cancelled.store(true, Release);
        mem::take(&mut *lock(&self.listeners))
    }
}

impl Listeners {
    /// Notifies the calls and the tasks. No lock may be held, because a waker and the last
    /// reference to a call may run user code.
    fn notify(self) {
        let calls = self.calls.iter().filter_map(Weak::upgrade);
        calls.for_each(|work| catch_panic(|| work.notify()));
        self.tasks.into_values().for_each(|task| catch_panic(|| task.wake()));
    }
}

impl Drop for Signal {
    fn drop(&mut self) {
        // Without recursion, as in `cancel`.
        let mut parent = self.parent.take();
        while let Some(signal) = parent {
            parent = Arc::into_inner(signal).and_then(|mut signal| signal.parent.take());
        }
    }
}

impl CancellationToken {
    /// Returns a token that is not cancelled.
    pub fn new() -> CancellationToken {
        CancellationToken(Signal::new(None))
    }

    /// Returns a token that is cancelled when this one is. Cancelling the new token does not cancel
    /// this one.
    ///
    /// So one part of a service can be cancelled alone, or with all others.
    ///
    /// ```
    /// use reorder_executor::CancellationToken;
    ///
    /// let service = CancellationToken::new();
    /// let (first, second) = (service.child_token(), service.child_token());
    /// first.cancel();
    /// assert!(!service.is_cancelled() && !second.is_cancelled());
    /// service.cancel();
    /// assert!(second.is_cancelled() && service.child_token().is_cancelled());
    /// ```
    ///
    /// # Progress
    ///
    /// Blocking for a moment, as [`cancel`](CancellationToken::cancel).
    pub fn child_token(&self) -> CancellationToken {
        let child = Signal::new(Some(Arc::clone(&self.0)));
        memory::push_weak(&mut lock(&self.0.listeners).children, Arc::downgrade(&child));
        if self.is_cancelled() {
            child.cancel();
        }
        CancellationToken(child)
    }

    /// Cancels the token, and all its children.
    ///
    /// A thread that sees the cancellation sees what this thread did before. A panic of a waker is
    /// caught, so that the other wakers are used as well.
    ///
    /// # Progress
    ///
    /// Blocking for a moment: it takes a lock that other calls of `cancel`, calls that start, and
    /// tasks that wait take as well. It then wakes the consumers of the streams, queues and
    /// submitted batches that have this token, and the tasks.
    pub fn cancel(&self) {
        self.0.cancel();
    }

    /// Returns `true` if the token is cancelled.
    ///
    /// # Progress
    ///
    /// Wait-free: one load.
    pub fn is_cancelled(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Waits in async code until the token is cancelled.
    ///
    /// The future has a clone of the token, so it borrows nothing. It can be dropped at any time,
    /// as by `select!`.
    ///
    /// ```
    /// use reorder_executor::CancellationToken;
    ///
    /// let token = CancellationToken::new();
    /// let cancelled = token.cancelled();
    /// std::thread::spawn(move || token.cancel());
    /// futures_executor::block_on(cancelled);
    /// ```
    ///
    /// # Progress
    ///
    /// A poll blocks for a moment, as [`cancel`](CancellationToken::cancel).
    pub fn cancelled(&self) -> impl Future<Output = ()> + Send + Sync + Unpin + use<> {
        Cancelled { signal: Arc::clone(&self.0), task: None }
    }

    /// Returns a guard that cancels the token when it is dropped, also by a panic or by an early
    /// return.
    ///
    /// ```
    /// use reorder_executor::CancellationToken;
    ///
    /// let token = CancellationToken::new();
    /// {
    ///     let _guard = token.clone().drop_guard();
    ///     assert!(!token.is_cancelled());
    /// }
    /// assert!(token.is_cancelled());
    /// ```
    pub fn drop_guard(self) -> CancelOnDrop {
        CancelOnDrop(Some(self))
    }

    /// Registers a call whose consumer is woken by the cancellation. The consumer checks the token
    /// after this and before it waits.
    pub(crate) fn notify(&self, work: &Arc<dyn Published>) {
        memory::push_weak(&mut lock(&self.0.listeners).calls, Arc::downgrade(work));
    }
}

/// Waits until a signal is cancelled.
struct Cancelled {
    signal: Arc<Signal>,
    /// The number under which the waker of the task is listed.
    task: Option<u64>,
}

impl Cancelled {
    /// Lists the waker of the task.
    fn register(&mut self, waker: &Waker) {
        let known = |task: &u64| {
            let listeners = lock(&self.signal.listeners);
            listeners.tasks.get(task).is_some_and(|known| known.will_wake(waker))
        };
        if self.task.as_ref().is_some_and(known) {
            return;
        }
        // Wakers are user code. So neither the clone nor the drop is under the lock.
        let waker = waker.clone();
        let mut listeners = lock(&self.signal.listeners);
        let task = *self.task.get_or_insert_with(|| {
            listeners.last_task += 1;
            listeners.last_task
        });
        let old = listeners.tasks.insert(task, waker);
        drop(listeners);
        drop(old);
    }
}

impl Future for Cancelled {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if !self.signal.is_cancelled() {
            self.register(cx.waker());
        }
        if self.signal.is_cancelled() { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Cancelled {
    fn drop(&mut self) {
        if let Some(task) = self.task {
            let waker = lock(&self.signal.listeners).tasks.remove(&task);
            discard(waker);
        }
    }
}

/// Cancels its token when it is dropped. Made by [`CancellationToken::drop_guard`], which has an
/// example.
#[derive(Debug)]
#[must_use = "dropping the guard cancels its token"]
pub struct CancelOnDrop(Option<CancellationToken>);

impl CancelOnDrop {
    /// Returns the token, and does not cancel it.
    ///
    /// ```
    /// let guard = reorder_executor::CancellationToken::new().drop_guard();
    /// let token = guard.disarm();
    /// assert!(!token.is_cancelled());
    /// ```
    pub fn disarm(mut self) -> CancellationToken {
        self.0.take().expect("the token is there until the drop")
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.take().iter().for_each(CancellationToken::cancel);
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
