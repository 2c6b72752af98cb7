//! The gate of a call: it bounds the number of threads that run items of the call.
//!
//! A worker passes the gate of a call before its time slice, and the caller or the consumer before
//! it runs items. A thread that enters the source of the call leaves the gate, because it runs no
//! items there. Afterwards it may have to leave its items to other threads.
//!
//! No wake-up is lost between a thread that leaves and a thread that is refused:
//!
//! | a thread that leaves, or changes the limit | a thread that is refused |
//! |---|---|
//! | 1. changes the number | 1. enters the list of sleepers, registers its waker, or leaves items |
//! | 2. `SeqCst` fence | 2. `SeqCst` fence, or the cell of the waker |
//! | 3. wakes a worker, and uses the waker | 3. looks at the number |

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::{Arc, Weak};

use crate::memory;
use crate::primitive::{AtomicUsize, AtomicWaker, Mutex, fence, lock};
use crate::scheduler::idle::Idle;
use crate::unwind::catch_panic;

/// Bounds the number of threads that run items of a call at the same time: its share of the pool.
/// The [dispatcher](crate::dispatch) of a call may keep it for the jobs that it starts.
///
/// Clones are the same limit. Several calls may have one limit. Then each of them may have as many
/// threads, or jobs. The limit can be changed while they run.
///
/// The caller of a batch and the consumer of a stream count as well, while they run items. A thread
/// inside a source runs no items, and does not count.
///
/// ```
/// use std::convert::Infallible;
/// use std::num::NonZeroUsize;
/// use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
/// use reorder_executor::{ConcurrencyLimit, Executor};
///
/// let executor = Executor::builder().workers(4).build()?;
/// let limit = ConcurrencyLimit::new(NonZeroUsize::new(2).unwrap());
/// let (running, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
/// let report = executor.batch(0..100).concurrency(&limit).run(|n, _| {
///     most.fetch_max(running.fetch_add(1, SeqCst) + 1, SeqCst);
///     std::thread::yield_now();
///     running.fetch_sub(1, SeqCst);
///     Ok::<_, Infallible>(n)
/// });
/// assert_eq!(report.outcomes().len(), 100);
/// assert!(most.into_inner() <= 2);
/// # Ok::<(), reorder_executor::BuildError>(())
/// ```
#[derive(Clone)]
pub struct ConcurrencyLimit(Arc<Shared>);

struct Shared {
    threads: AtomicUsize,
    /// The calls with this limit, whose waiting threads look again after a change.
    calls: Mutex<Vec<Weak<dyn Limited>>>,
}

/// A part of a call with a [`ConcurrencyLimit`]. It keeps no value of the user alive, so that any
/// thread may change the limit.
pub(crate) trait Limited: Send + Sync {
    /// Notifies the threads that wait because of the limit.
    fn limit_changed(&self);
}

impl ConcurrencyLimit {
    /// Returns a limit of `threads` threads for each call.
    pub fn new(threads: NonZeroUsize) -> ConcurrencyLimit {
        let threads = AtomicUsize::new(threads.get());
        ConcurrencyLimit(Arc::new(Shared { threads, calls: Mutex::default() }))
    }

    /// Returns the maximum number of threads of a call.
    ///
    /// # Progress
    ///
    /// Wait-free: one load.
    pub fn get(&self) -> usize {
        // ORDERING: gate:limit: Relaxed; as `gate:look`.
        self.0.threads.load(Relaxed)
    }

    /// Changes the maximum number of threads of each call with this limit, or of its jobs.
    ///
    /// If the new number is smaller, threads that run items of a call stay with it until their time
    /// slice ends, after about 200 µs or one item. Jobs of a dispatcher that run go on.
    ///
    /// # Progress
    ///
    /// It wakes threads. It blocks only for a moment, on a lock that starting calls take.
    pub fn set(&self, threads: NonZeroUsize) {
        // ORDERING: gate:set: Relaxed; the fence `idle:notify` follows. Either a thread that leaves
        // sees this limit, or the threads that this one notifies see that it has left.
        self.0.threads.store(threads.get(), Relaxed);
        let calls = lock(&self.0.calls).clone();
        calls.iter().filter_map(Weak::upgrade).for_each(|call| call.limit_changed());
    }

    /// Registers a call, which is notified of each change.
    pub(crate) fn notify(&self, call: &Arc<impl Limited + 'static>) {
        let call = Arc::clone(call) as Arc<dyn Limited>;
        memory::push_weak(&mut lock(&self.0.calls), Arc::downgrade(&call));
    }
}

impl From<NonZeroUsize> for ConcurrencyLimit {
    fn from(threads: NonZeroUsize) -> Self {
        ConcurrencyLimit::new(threads)
    }
}

impl From<&ConcurrencyLimit> for ConcurrencyLimit {
    fn from(limit: &ConcurrencyLimit) -> Self {
        limit.clone()
    }
}

impl fmt::Debug for ConcurrencyLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ConcurrencyLimit").field(&self.get()).finish()
    }
}

/// The gate of one call.
pub(crate) struct Gate {
    limit: ConcurrencyLimit,
    /// The number of threads that have passed and not left.
    inside: AtomicUsize,
    /// The waker of the caller or the consumer, if the gate has refused it.
    pub(crate) waiter: AtomicWaker,
    idle: Arc<Idle>,
}

impl Gate {
    pub(crate) fn new(limit: &ConcurrencyLimit, idle: &Arc<Idle>) -> Arc<Gate> {
        let gate = Arc::new(Gate {
            limit: limit.clone(),
            inside: AtomicUsize::new(0),
            waiter: AtomicWaker::new(),
            idle: Arc::clone(idle),
        });
        limit.notify(&gate);
        gate
    }

    /// Returns `true` if a thread could pass now.
    pub(crate) fn is_open(&self) -> bool {
        // ORDERING: gate:look: Relaxed; ordered as the table above says.
        self.inside.load(Relaxed) < self.limit.get()
    }

    /// Lets this thread pass. Returns `false` if the gate is full.
    pub(crate) fn enter(&self) -> bool {
        let limit = self.limit.get();
        // ORDERING: gate:enter: Relaxed; the gate passes on no data.
        let more = |inside| (inside < limit).then_some(inside + 1);
        self.inside.fetch_update(Relaxed, Relaxed, more).is_ok()
    }

    /// Lets this thread pass again, after it made items claimable. If it is refused, the threads
    /// that leave later see the items.
    pub(crate) fn reenter(&self) -> bool {
        // ORDERING: gate:reenter: SeqCst fence, pairs with `idle:notify`: either this thread sees
        // that another one has left, or the woken worker sees the items.
        fence(SeqCst);
        self.enter()
    }

    /// Counts this thread out, and wakes a thread that may pass now.
    pub(crate) fn leave(&self) {
        // ORDERING: gate:leave: Relaxed; the fences below and `idle:notify` order it.
        let before = self.inside.fetch_sub(1, Relaxed);
        // ORDERING: gate:left: SeqCst fence, pairs with `idle:notify`: either this thread sees a
        // limit that was lowered meanwhile, or the thread that lowered it notifies afterwards.
        fence(SeqCst);
        if before >= self.limit.get() {
            self.notify();
        }
    }

    fn notify(&self) {
        self.idle.notify_work();
        catch_panic(|| self.waiter.wake());
    }
}

impl Limited for Gate {
    fn limit_changed(&self) {
        self.notify();
    }
}
