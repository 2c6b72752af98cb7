//! The worker threads of an executor. `supervise` starts and ends them.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use crate::observe::BusyWorker;
use crate::primitive::thread::{self, JoinHandle};
use crate::primitive::{AtomicUsize, Mutex, MutexGuard, lock, now};
use crate::scheduler::worker_thread::WorkerThread;
use crate::unwind::{DiscardOnDrop, catch_panic};

/// The settings of worker threads.
#[derive(Clone, Debug, Default)]
pub(crate) struct ThreadSettings {
    pub(crate) workers: usize,
    pub(crate) name: String,
    pub(crate) stack_size: Option<usize>,
    /// Called by each thread at its start.
    pub(crate) on_start: ThreadHook,
    /// Called by each thread at its end.
    pub(crate) on_stop: ThreadHook,
}

/// A function of the user that a worker thread calls with its number.
#[derive(Clone, Default)]
pub(crate) struct ThreadHook(Option<Arc<DiscardOnDrop<HookFunction>>>);

type HookFunction = Box<dyn Fn(usize) + Send + Sync>;

impl ThreadHook {
    pub(crate) fn new(hook: impl Fn(usize) + Send + Sync + 'static) -> ThreadHook {
        ThreadHook(Some(Arc::new(DiscardOnDrop::new(Box::new(hook)))))
    }

    /// Calls the function, if there is one. A panic is caught: the thread goes on.
    fn call(&self, index: usize) {
        if let Some(hook) = &self.0 {
            catch_panic(|| (***hook)(index));
        }
    }
}

impl fmt::Debug for ThreadHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ThreadHook").field(&self.0.is_some()).finish()
    }
}

pub(crate) struct Entry {
    pub(crate) thread: Arc<WorkerThread>,
    pub(crate) handle: JoinHandle<()>,
    /// The thread ends because there were too many.
    pub(crate) is_retiring: bool,
}

/// The threads that have not ended, and what the monitor notes about them.
#[derive(Default)]
pub(crate) struct Alive {
    pub(crate) entries: Vec<Entry>,
    pub(crate) ended: Vec<JoinHandle<()>>,
    /// The number of looks since there were too many threads.
    pub(crate) surplus_looks: u32,
    /// The number of looks since the system refused a thread.
    pub(crate) refused_looks: u32,
}

pub(crate) struct Threads {
    settings: ThreadSettings,
    epoch: Instant,
    alive: Mutex<Alive>,
    /// One more than the highest index that a thread has had.
    indices: AtomicUsize,
    /// The number of threads that should end.
    surplus: AtomicUsize,
}

impl Threads {
    pub(crate) fn new(settings: ThreadSettings) -> Threads {
        Threads {
            indices: AtomicUsize::new(settings.workers),
            settings,
            epoch: now(),
            alive: Mutex::default(),
            surplus: AtomicUsize::new(0),
        }
    }

    /// Locks the list of the threads.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Alive> {
        lock(&self.alive)
    }

    /// Notes that a thread has started.
    pub(crate) fn started(&self, alive: &mut Alive, entry: Entry) {
        // ORDERING: threads:index: Relaxed; as `threads:indices`.
        self.indices.fetch_max(entry.thread.index + 1, Relaxed);
        alive.entries.push(entry);
    }

    /// Returns the number of workers that the executor was built with.
    pub(crate) fn wanted(&self) -> usize {
        self.settings.workers
    }

    /// Returns a number that is above the index of each thread that has started.
    pub(crate) fn indices(&self) -> usize {
        // ORDERING: threads:indices: Relaxed; a thread with a higher index does without.
        self.indices.load(Relaxed)
    }

    /// Returns the name of the thread with this index.
    pub(crate) fn name(&self, index: usize) -> String {
        format!("{}-{index}", self.settings.name)
    }

    /// Calls the hook for the start of a thread.
    pub(crate) fn call_start_hook(&self, index: usize) {
        self.settings.on_start.call(index);
    }

    /// Calls the hook for the end of a thread.
    pub(crate) fn call_stop_hook(&self, index: usize) {
        self.settings.on_stop.call(index);
    }

    /// Returns what the names of the threads begin with.
    pub(crate) fn prefix(&self) -> &str {
        &self.settings.name
    }

    /// Returns `true` if a thread is blocked inside a source, or if there are too many threads: a
    /// thread that leaves a source does not wake the monitor.
    pub(crate) fn need_monitor(&self) -> bool {
        let entries = &lock(&self.alive).entries;
        let is_any_blocked = || entries.iter().any(|entry| entry.thread.watch.is_blocked());
        entries.len() > self.wanted() || is_any_blocked()
    }

    /// Returns a builder of threads with the settings of a worker.
    pub(crate) fn builder(&self, name: String) -> thread::Builder {
        let builder = thread::Builder::new().name(name);
        match self.settings.stack_size {
            Some(bytes) => builder.stack_size(bytes),
            None => builder,
        }
    }

    /// Returns the time from the start of the executor to an instant.
    pub(crate) fn since_epoch(&self, at: Instant) -> Duration {
        at.saturating_duration_since(self.epoch)
    }

    /// Returns the activities of the threads that run a call.
    pub(crate) fn busy(&self, now: Instant) -> Vec<BusyWorker> {
        let alive = lock(&self.alive);
        let now = self.since_epoch(now);
        let busy = |entry: &Entry| entry.thread.status.read(entry.thread.index, now);
        alive.entries.iter().filter_map(busy).collect()
    }

    /// Returns the number of threads that a shutdown has to wait for.
    pub(crate) fn working(&self) -> usize {
        lock(&self.alive).entries.iter().filter(|entry| entry.thread.is_working()).count()
    }

    /// Returns the handles of the threads that have ended since the last call.
    pub(crate) fn take_ended(&self) -> Vec<JoinHandle<()>> {
        std::mem::take(&mut lock(&self.alive).ended)
    }

    /// Returns `true` if this thread has to end, because there are too many. From then on, the
    /// monitor does not count it.
    pub(crate) fn try_retire(&self, thread: &Arc<WorkerThread>) -> bool {
        // ORDERING: threads:surplus: Relaxed; a hint. A thread that misses it goes to sleep, and is
        // woken again.
        if self.surplus.load(Relaxed) == 0 {
            return false;
        }
        let mut alive = lock(&self.alive);
        // ORDERING: threads:retire: Relaxed; changed under the lock.
        let surplus = self.surplus.load(Relaxed);
        let own = alive.entries.iter_mut().find(|entry| Arc::ptr_eq(&entry.thread, thread));
        let Some(own) = own.filter(|_| surplus > 0) else { return false };
        own.is_retiring = true;
        self.set_surplus(surplus - 1);
        true
    }

    /// Forgets all threads, in a fork of the process, which has none of them.
    pub(crate) fn forget(&self) {
        // Their handles name threads of the parent.
        std::mem::take(&mut lock(&self.alive).entries).into_iter().for_each(std::mem::forget);
    }

    /// Notes that a thread ends.
    pub(crate) fn ended(&self, thread: &Arc<WorkerThread>) {
        let mut alive = lock(&self.alive);
        let place = alive.entries.iter().position(|entry| Arc::ptr_eq(&entry.thread, thread));
        if let Some(place) = place {
            let entry = alive.entries.swap_remove(place);
            alive.ended.push(entry.handle);
        }
    }

    /// Sets the number of threads that should end. The caller has the lock of the list.
    pub(crate) fn set_surplus(&self, threads: usize) {
        // ORDERING: threads:set_surplus: Relaxed; as `threads:retire`.
        self.surplus.store(threads, Relaxed);
    }
}
