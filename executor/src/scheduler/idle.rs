//! Which workers sleep, which ones search for work, and which thread wakes them.
//!
//! No wake-up is lost between "there is work" and "every worker sleeps":
//!
//! | a thread that makes work claimable | a worker that goes to sleep |
//! |---|---|
//! | 1. makes the work visible | 1. enters the list of sleepers |
//! | 2. `SeqCst` fence | 2. `SeqCst` fence |
//! | 3. looks for sleepers and searchers | 3. looks for claimable work |
//!
//! So the thread or the worker sees the other.
//!
//! Waking a parked thread costs far more than a small batch. So a worker is woken to *search*, and
//! no further worker is woken while one searches. (Several threads that publish at the same
//! instant may wake one worker each.) A searching worker gives its role up after it has claimed
//! something and before it runs it. It then wakes another worker if more work is claimable.

use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};

use crate::primitive::{AtomicUsize, Mutex, fence, lock};
use crate::scheduler::worker_thread::WorkerThread;

pub(crate) struct Idle {
    sleepers: Mutex<Vec<Arc<WorkerThread>>>,
    /// The number of `sleepers`, readable without the lock.
    asleep: AtomicUsize,
    /// The number of workers that search, or are being woken to search.
    searching: AtomicUsize,
}

impl Idle {
    pub(crate) fn new(workers: usize) -> Idle {
        Idle {
            sleepers: Mutex::new(Vec::with_capacity(workers)),
            asleep: AtomicUsize::new(0),
            searching: AtomicUsize::new(0),
        }
    }

    /// Wakes a worker if one should search. A thread calls this after it made work claimable.
    pub(crate) fn notify_work(&self) {
        if self.should_wake() {
            self.wake_one();
        }
    }

    /// Returns `true` if workers sleep and none searches.
    pub(crate) fn should_wake(&self) -> bool {
        // ORDERING: idle:notify: SeqCst fence, pairs with `idle:sleep`: either the sleeper sees the
        // work, or this thread sees the sleeper or a searching worker, which will look again.
        fence(SeqCst);
        // ORDERING: idle:count: Relaxed; the fence above orders both loads.
        self.asleep.load(Relaxed) > 0 && self.searching.load(Relaxed) == 0
    }

    /// Wakes the worker that fell asleep last, as a searching worker.
    pub(crate) fn wake_one(&self) {
        let mut sleepers = lock(&self.sleepers);
        if let Some(sleeper) = sleepers.pop() {
            // ORDERING: idle:wake: Relaxed; changed under the lock, or ordered by the fences.
            self.asleep.store(sleepers.len(), Relaxed);
            self.searching.fetch_add(1, Relaxed);
            drop(sleepers);
            sleeper.unparker.unpark();
        }
    }

    /// Wakes all sleeping workers.
    pub(crate) fn wake_all(&self) {
        let sleepers = std::mem::take(&mut *lock(&self.sleepers));
        for sleeper in sleepers {
            // ORDERING: idle:wake_all: Relaxed; as `idle:wake`.
            self.searching.fetch_add(1, Relaxed);
            sleeper.unparker.unpark();
        }
    }

    /// Returns the number of sleeping workers.
    #[cfg(reorder_loom)]
    pub(crate) fn sleepers(&self) -> usize {
        lock(&self.sleepers).len()
    }

    pub(crate) fn start_searching(&self) {
        // ORDERING: idle:search: Relaxed; a publisher that misses this wakes one worker too many.
        self.searching.fetch_add(1, Relaxed);
    }

    pub(crate) fn has_one_searcher(&self) -> bool {
        // ORDERING: idle:searchers: Relaxed; a hint.
        self.searching.load(Relaxed) == 1
    }

    pub(crate) fn stop_searching(&self) {
        // ORDERING: idle:found: Relaxed; a worker that stops searching fences and looks again.
        self.searching.fetch_sub(1, Relaxed);
    }

    /// Enters a searching worker in the list of sleepers.
    ///
    /// Returns `true` if the worker has to park. It is a searching worker again when it is
    /// unparked. Returns `false` if `has_work` found something: the worker is still searching.
    pub(crate) fn try_sleep(
        &self,
        worker: &Arc<WorkerThread>,
        has_work: impl FnOnce() -> bool,
    ) -> bool {
        {
            let mut sleepers = lock(&self.sleepers);
            sleepers.push(Arc::clone(worker));
            // ORDERING: idle:asleep: Relaxed; ordered by the fence below.
            self.asleep.store(sleepers.len(), Relaxed);
        }
        self.stop_searching();
        // ORDERING: idle:sleep: SeqCst fence, pairs with `idle:notify`.
        fence(SeqCst);
        if !has_work() {
            return true;
        }
        let mut sleepers = lock(&self.sleepers);
        let Some(place) = sleepers.iter().position(|sleeper| Arc::ptr_eq(sleeper, worker)) else {
            // Another thread woke this worker meanwhile. The wake-up token is set, and the worker
            // counts as searching.
            return true;
        };
        sleepers.swap_remove(place);
        // ORDERING: idle:awake: Relaxed; as `idle:asleep`.
        self.asleep.store(sleepers.len(), Relaxed);
        // Several threads may have published while this worker still counted as searching. They
        // woke no worker, so this one passes on the work that it does not claim itself.
        self.start_searching();
        false
    }
}
