//! The scheduler of one executor: the open calls, and the workers that look for them.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::{Arc, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use crossbeam_utils::CachePadded;
use reorder_ring::RingPool;

use crate::cost::CostHistory;
use crate::primitive::hints::AtomicU64;
use crate::primitive::{AtomicBool, AtomicUsize, Condvar, Mutex, fence, lock, now};
use crate::scheduler::fair_share::RunTime;
use crate::scheduler::idle::Idle;
use crate::scheduler::known::{Known, KnownCalls};
use crate::scheduler::monitor::Monitor;
use crate::scheduler::rest::{EndedRests, Rest};
use crate::scheduler::threads::{ThreadSettings, Threads};
use crate::scheduler::work::Published;
use crate::scheduler::worker_thread::WorkerThread;
use crate::unwind::catch_panic;

/// The age at which workers that are awake begin to look at a call. A batch that its caller
/// finishes faster is not worth the cache lines that sharing moves.
pub(crate) const GRACE: Duration = Duration::from_micros(if cfg!(reorder_loom) { 0 } else { 3 });

/// The interval at which a shutdown looks again. No thread notifies it when a token or a deadline
/// ends a call.
const SHUTDOWN_POLL: Duration = Duration::from_millis(50);

/// A published call, and when it was published.
#[derive(Clone)]
pub(crate) struct OpenWork {
    pub(crate) work: Arc<dyn Published>,
    pub(crate) since: Instant,
}

#[derive(Default)]
struct Calls {
    /// The open calls that workers ask for something to claim.
    open: Vec<OpenWork>,
    /// The open calls that rest, by their numbers.
    resting: BTreeMap<u64, OpenWork>,
    /// The number of calls that are admitted and not published yet.
    admitted: usize,
    /// `true` if new calls are refused.
    closed: bool,
    /// The number of calls that were published.
    opened: u64,
}

/// The open calls and workers that a shutdown waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Remaining {
    /// The number of calls with items that have not run.
    pub(crate) calls: usize,
    /// The number of workers that have not ended, except workers that are blocked inside a source.
    pub(crate) workers: usize,
    /// The number of calls with items that run and keep no worker.
    pub(crate) in_flight: usize,
}

impl Calls {
    /// Returns all open calls.
    fn all(&self) -> impl Iterator<Item = &OpenWork> {
        self.open.iter().chain(self.resting.values())
    }

    /// Removes a call from the open calls.
    fn remove(&mut self, work: &Arc<dyn Published>) -> Option<OpenWork> {
        let place = self.open.iter().position(|other| Arc::ptr_eq(&other.work, work));
        match place {
            Some(place) => Some(self.open.swap_remove(place)),
            None => self.resting.remove(&work.rest()?.call()),
        }
    }

    /// Moves the call at `place` to the calls that rest, if it rests. Returns `true` if so.
    fn put_to_rest(&mut self, place: usize) -> bool {
        let rest = self.open[place].work.rest().filter(|rest| rest.is_resting());
        let call = rest.map(Rest::call);
        if let Some(call) = call {
            let open = self.open.swap_remove(place);
            self.resting.insert(call, open);
        }
        call.is_some()
    }

    fn remaining(&self, threads: &Threads) -> Remaining {
        let unfinished = self.all().filter(|open| !open.work.is_done()).count();
        let in_flight = self.all().filter(|open| open.work.is_in_flight()).count();
        Remaining { calls: self.admitted + unfinished, workers: threads.working(), in_flight }
    }
}

pub(crate) struct Scheduler {
    calls: Mutex<Calls>,
    ended_rests: Arc<EndedRests>,
    /// Notified when a call or a worker of a closed scheduler ends.
    ended: Condvar,
    /// A copy of `Calls::closed` that is readable without the lock.
    closing: AtomicBool,
    /// Changes with the list of open calls. A worker that has seen this version need not lock it.
    /// Searching workers read it all the time, so nothing else is on its cache line.
    version: CachePadded<AtomicUsize>,
    /// The virtual run time of the call that was chosen last. No open call counts as having less.
    /// It changes with each time slice.
    runtime: CachePadded<AtomicU64>,
    /// The process that started the workers. A fork of it has none of them.
    process: u32,
    pub(crate) threads: Threads,
    /// The calls that each worker knows.
    pub(crate) known: Known<dyn Published>,
    pub(crate) monitor: Arc<Monitor>,
    stopping: AtomicBool,
    pub(crate) idle: Arc<Idle>,
    /// The rings of batches. In the steady state, a batch allocates none.
    pub(crate) rings: RingPool<()>,
    /// The costs of items, by type of job.
    pub(crate) costs: CostHistory,
    /// `true` if the consumer of a stream runs items that were measured to be cheap.
    pub(crate) consumer_helps: bool,
}

impl Scheduler {
    /// Returns a scheduler whose threads have not started.
    pub(crate) fn new(settings: ThreadSettings, consumer_helps: bool) -> Arc<Scheduler> {
        let idle = Arc::new(Idle::new(settings.workers));
        Arc::new(Scheduler {
            calls: Mutex::default(),
            ended_rests: EndedRests::new(&idle),
            ended: Condvar::new(),
            closing: AtomicBool::new(false),
            version: CachePadded::new(AtomicUsize::new(0)),
            runtime: CachePadded::new(AtomicU64::new(0)),
            process: std::process::id(),
            stopping: AtomicBool::new(false),
            idle,
            threads: Threads::new(settings),
            known: Known::new(),
            monitor: Arc::new(Monitor::new()),
            rings: RingPool::new(),
            costs: CostHistory::new(),
            consumer_helps,
        })
    }

    /// Returns the number of threads that run one batch at the same time: the workers and its
    /// caller.
    pub(crate) fn parallelism(&self) -> usize {
        self.threads.wanted() + 1
    }

    /// Returns the number of participants in a batch that starts now: the threads that there are,
    /// and its caller. A thread that starts later has a higher number.
    pub(crate) fn participants(&self) -> usize {
        self.threads.indices() + 1
    }

    /// Makes a call visible to the workers. Returns `false` if the scheduler is closed. Then the
    /// owner of the call has to run it.
    pub(crate) fn publish(&self, work: Arc<dyn Published>, since: Instant) -> bool {
        let span = work.fair_share().span.clone();
        let taken = self.change(|calls| (!calls.closed).then(|| self.push(calls, work, since)));
        if let Some(call) = taken {
            span.opened(call);
            self.idle.notify_work();
        }
        taken.is_some()
    }

    /// Adds a call to the list and returns its number.
    fn push(&self, calls: &mut Calls, work: Arc<dyn Published>, since: Instant) -> u64 {
        calls.opened += 1;
        work.fair_share().note_id(calls.opened);
        if let Some(rest) = work.rest() {
            rest.open(calls.opened);
            // Forgets the numbers of calls that have ended.
            self.take_ended_rests(calls);
        }
        work.runtime().catch_up(self.runtime());
        calls.open.push(OpenWork { work, since });
        calls.opened
    }

    /// Hides a call from workers that look from now on. A worker that runs it stays until its time
    /// slice ends. Other workers keep no reference to it.
    pub(crate) fn withdraw(&self, work: &Arc<dyn Published>) {
        let gone = self.change(|calls| calls.remove(work));
        let Some(gone) = gone else { return };
        let fair_share = gone.work.fair_share();
        if fair_share.listed.by_any() {
            self.known.forget(work, &fair_share.listed);
        }
        let counts = || work.progress().map(|progress| progress.counts());
        fair_share.span.closed(fair_share.id(), counts);
        // The last reference may run user code, which must not run under a lock.
        drop(gone);
    }

    fn change<R>(&self, f: impl FnOnce(&mut Calls) -> R) -> R {
        let mut calls = lock(&self.calls);
        let result = f(&mut calls);
        // ORDERING: scheduler:version: Relaxed; changed under the list's lock, see
        // `scheduler:list`.
        self.version.fetch_add(1, Relaxed);
        if calls.closed {
            self.ended.notify_all();
        }
        result
    }

    /// Returns the rest of a call that is not published yet.
    pub(crate) fn rest(&self) -> Arc<Rest> {
        Rest::new(&self.ended_rests)
    }

    /// Lets workers ask the calls again whose rest has ended.
    fn list_ended_rests(&self, calls: &mut Calls) {
        // Without a call that rests, there is none to move. This spares small batches the lock.
        if !calls.resting.is_empty() {
            self.take_ended_rests(calls);
        }
    }

    fn take_ended_rests(&self, calls: &mut Calls) {
        let ended = self.ended_rests.take();
        calls.open.extend(ended.iter().filter_map(|call| calls.resting.remove(call)));
    }

    fn runtime(&self) -> u64 {
        // ORDERING: scheduler:runtime: Relaxed; a number.
        self.runtime.load(Relaxed)
    }

    /// Sets the virtual run time of the scheduler and of a chosen call to the larger of the two. A
    /// worker calls this before it runs the call.
    pub(crate) fn advance(&self, chosen: &RunTime) {
        let (chosens, runtime) = (chosen.get(), self.runtime());
        if chosens > runtime {
            // ORDERING: scheduler:advance: Relaxed; as `scheduler:runtime`.
            self.runtime.fetch_max(chosens, Relaxed);
        } else {
            chosen.catch_up(runtime);
        }
    }

    /// Lists the open calls that do not rest and are older than [`GRACE`], as the calls that a
    /// worker knows. Exchanges its last list for `last`, which is empty.
    ///
    /// Returns `false` and does nothing if the calls have not changed since version `seen`, or if
    /// another thread holds the lock.
    pub(crate) fn list(
        &self,
        known: &KnownCalls<dyn Published>,
        seen: &mut Option<usize>,
        last: &mut Vec<Arc<dyn Published>>,
    ) -> bool {
        // ORDERING: scheduler:list: Relaxed; the list that is locked next is of this version or a
        // later one. Had it been locked before that version was made, this load would come before
        // it, too.
        let version = self.version.load(Relaxed).wrapping_add(self.ended_rests.version());
        if *seen == Some(version) {
            return false;
        }
        let mut calls = match self.calls.try_lock() {
            Ok(calls) => calls,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return false,
        };
        let mut place = 0;
        while place < calls.open.len() {
            place += usize::from(!calls.put_to_rest(place));
        }
        // Afterwards: a rest that ends from now on makes a new version.
        self.list_ended_rests(&mut calls);
        let now = now();
        let old = calls.open.iter().filter(|open| now.duration_since(open.since) >= GRACE);
        let old = old.map(|open| &open.work);
        let listed = known.list(old, |work| &work.fair_share().listed, last);
        *seen = (listed == calls.open.len()).then_some(version);
        true
    }

    /// Returns a number that changes whenever a call is published, withdrawn, or ends its rest.
    pub(crate) fn version(&self) -> usize {
        // ORDERING: scheduler:activity: Relaxed; a hint.
        self.version.load(Relaxed).wrapping_add(self.ended_rests.version())
    }

    /// Returns `true` if any open call has something to claim.
    pub(crate) fn any_claimable(&self) -> bool {
        let mut calls = lock(&self.calls);
        self.list_ended_rests(&mut calls);
        let mut place = 0;
        while let Some(open) = calls.open.get(place) {
            if open.work.fair_share().is_open() && open.work.claimable() {
                return true;
            }
            place += usize::from(!calls.put_to_rest(place));
        }
        false
    }

    /// Shows the open calls to `f`, under the lock.
    pub(crate) fn with_open(&self, f: impl FnOnce(&mut dyn Iterator<Item = &Arc<dyn Published>>)) {
        f(&mut lock(&self.calls).all().map(|open| &open.work));
    }

    pub(crate) fn open_calls(&self) -> Vec<OpenWork> {
        lock(&self.calls).all().cloned().collect()
    }

    /// Declares a searching worker asleep unless there is work or the scheduler stops; see
    /// [`Idle::try_sleep`].
    pub(crate) fn try_sleep(&self, worker: &Arc<WorkerThread>) -> bool {
        self.idle.try_sleep(worker, || self.is_stopping() || self.any_claimable())
    }

    /// Ends each worker after its time slice. The threads that wait for open calls run them.
    pub(crate) fn stop(&self) {
        // ORDERING: scheduler:stop: Relaxed; ordered by the lock of the sleepers. A worker that
        // enters their list after it was taken here sees the stop, and stays awake.
        self.stopping.store(true, Relaxed);
        self.idle.wake_all();
        let open = self.open_calls();
        open.iter().for_each(|open| catch_panic(|| open.work.notify()));
    }

    pub(crate) fn is_stopping(&self) -> bool {
        // ORDERING: scheduler:stopping: Relaxed; nothing is passed on by it. A worker that sleeps
        // next has it from `scheduler:stop`, a thread that waits in a call from the waker's cell.
        self.stopping.load(Relaxed)
    }

    /// Refuses new calls.
    pub(crate) fn close(&self) {
        lock(&self.calls).closed = true;
        // ORDERING: scheduler:close: Relaxed; ordered by the fence in `wait_for`.
        self.closing.store(true, Relaxed);
    }

    /// Closes and stops the scheduler if this process is a fork, which has no workers.
    pub(crate) fn look_for_fork(&self) {
        if self.process != std::process::id() && !self.is_stopping() {
            self.threads.forget();
            self.close();
            self.stop();
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        lock(&self.calls).closed
    }

    /// Notifies a shutdown that items have run. A worker calls this after a time slice, and a
    /// consumer after it ran items.
    pub(crate) fn after_run(&self) {
        // ORDERING: scheduler:ran: SeqCst fence, pairs with `scheduler:wait`: either this thread
        // sees that the scheduler was closed, or the shutdown sees what it has run.
        fence(SeqCst);
        // ORDERING: scheduler:closing: Relaxed; ordered by the fence.
        if self.closing.load(Relaxed) {
            // With the lock: otherwise the notice could fall between a look and a wait.
            drop(lock(&self.calls));
            self.ended.notify_all();
        }
    }

    /// Notes that a worker ends.
    pub(crate) fn worker_ended(&self, worker: &Arc<WorkerThread>) {
        self.threads.ended(worker);
        // With the lock, as in `after_run`.
        drop(lock(&self.calls));
        self.ended.notify_all();
    }

    /// Waits, after `close`, until `enough` accepts the remaining calls and workers, or until the
    /// deadline. Returns the calls and workers that remain.
    pub(crate) fn wait_for(
        &self,
        enough: impl Fn(Remaining) -> bool,
        deadline: Option<Instant>,
    ) -> Remaining {
        // ORDERING: scheduler:wait: SeqCst fence, pairs with `scheduler:ran`.
        fence(SeqCst);
        let mut calls = lock(&self.calls);
        loop {
            let remaining = calls.remaining(&self.threads);
            if enough(remaining) {
                return remaining;
            }
            let time = deadline
                .map_or(SHUTDOWN_POLL, |at| at.saturating_duration_since(now()).min(SHUTDOWN_POLL));
            if time.is_zero() {
                return remaining;
            }
            calls = self.ended.wait_timeout(calls, time).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// The right to open a call that only the workers will run. If the scheduler is closed meanwhile, a
/// shutdown waits for this admission and for the call that it publishes.
pub(crate) struct Admission(Arc<Scheduler>);

impl Admission {
    /// Returns `None` if the scheduler is closed.
    pub(crate) fn new(scheduler: &Arc<Scheduler>) -> Option<Admission> {
        scheduler.look_for_fork();
        let is_closed = scheduler.change(|calls| {
            calls.admitted += usize::from(!calls.closed);
            calls.closed
        });
        (!is_closed).then(|| Admission(Arc::clone(scheduler)))
    }

    /// Publishes the call, also if the scheduler was closed meanwhile.
    pub(crate) fn publish(self, work: Arc<dyn Published>, since: Instant) {
        let Admission(scheduler) = &self;
        let span = work.fair_share().span.clone();
        span.opened(scheduler.change(|calls| scheduler.push(calls, work, since)));
        scheduler.idle.notify_work();
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.0.change(|calls| calls.admitted -= 1);
    }
}
