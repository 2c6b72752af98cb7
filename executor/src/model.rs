//! What the models in `loom-tests` see of the executor's inside: its hub and its workers, at work of which
//! the models decide when there is something to claim.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::Instant;

use loom::cell::UnsafeCell;
use loom::thread::{self, JoinHandle};

use crate::primitive::{AtomicUsize, Parker};
use crate::scheduler::{
    BorrowGuard, FairShare, Progress, Published, Scheduler, TimeSlice, Work, park, with_borrowed,
    worker,
};

/// A hub and its workers, on loom's threads.
pub struct Workers {
    scheduler: Arc<Scheduler>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    /// Starts `count` workers.
    pub fn start(count: usize) -> Workers {
        let parkers: Vec<_> = (0..count).map(|_| Parker::new()).collect();
        let unparkers = parkers.iter().map(Parker::unparker).collect();
        let scheduler = Arc::new(Scheduler::new(unparkers, true));
        let start = |(index, parker)| {
            let scheduler = Arc::clone(&scheduler);
            thread::spawn(move || worker::run(scheduler, index, parker))
        };
        let threads = parkers.into_iter().enumerate().map(start).collect();
        Workers { scheduler, threads }
    }

    /// Waits until all of them sleep.
    pub fn wait_until_asleep(&self) {
        while self.scheduler.idle.sleepers() < self.threads.len() {
            thread::yield_now();
        }
    }

    /// Opens work, as a stream or a detached batch is.
    pub fn publish(&self, jobs: &Arc<Jobs>) {
        let work: Arc<dyn Published> = jobs.clone();
        self.scheduler.publish(work, Instant::now());
    }

    /// Closes it.
    pub fn withdraw(&self, jobs: &Arc<Jobs>) {
        let work: Arc<dyn Published> = jobs.clone();
        self.scheduler.withdraw(&work);
    }

    /// Makes one more job of open work claimable.
    pub fn add(&self, jobs: &Jobs) {
        // ORDERING: model:add: Release pairs with `model:claim`.
        jobs.left.fetch_add(1, Release);
        self.scheduler.idle.notify_work();
    }

    /// Makes jobs of open work claimable and takes a turn at it, as the consumer of a stream does: whoever
    /// claims the first tells of the rest.
    pub fn pull_and_help(&self, jobs: &Jobs, count: usize) {
        // ORDERING: model:pull: Release, as `model:add`.
        jobs.left.store(count, Release);
        jobs.run_slice(&TimeSlice::own(&self.scheduler));
    }

    /// Shows borrowed work to the workers while `f` runs; then comes a wake-up that was meant for an earlier wait
    /// of this thread.
    pub fn with_borrowed(&self, jobs: &Jobs, f: impl FnOnce()) {
        with_borrowed(&self.scheduler, jobs, Instant::now(), || {
            f();
            park::with_current(|_, waker| waker.wake_by_ref());
        });
    }

    /// As `lend`, and lets go of the work when nobody visits it, instead of waiting for that.
    pub fn borrow_until_unvisited(&self, jobs: &Jobs, f: impl FnOnce()) {
        // SAFETY: it is dropped below, within the borrow of `jobs`; a model that panics before has failed.
        let guard = unsafe { BorrowGuard::new(&self.scheduler, jobs, Instant::now()) };
        f();
        while !guard.try_close() {
            thread::yield_now();
        }
    }

    /// Waits until all that is open has run, as a shutdown does.
    pub fn drain(&self) {
        self.scheduler.close();
        self.scheduler.wait_for(|left| left.calls == 0, None);
    }

    /// Ends the workers, and waits for them.
    pub fn stop(self) {
        self.scheduler.stop();
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
}

impl fmt::Debug for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workers").finish_non_exhaustive()
    }
}

/// Work that consists of a number of calls of one function.
pub struct Jobs {
    left: AtomicUsize,
    /// Those that have not run.
    unfinished: AtomicUsize,
    /// Looked at whenever the work is.
    alive: UnsafeCell<()>,
    fair_share: FairShare,
    job: Box<dyn Fn() + Send + Sync>,
}

impl Jobs {
    /// So many calls of `job`.
    pub fn new(count: usize, job: impl Fn() + Send + Sync + 'static) -> Jobs {
        Jobs {
            left: AtomicUsize::new(count),
            unfinished: AtomicUsize::new(count),
            alive: UnsafeCell::new(()),
            fair_share: FairShare::default(),
            job: Box::new(job),
        }
    }

    /// Runs what is left on this thread, as a caller does that helps.
    pub fn help(&self) {
        while self.claim() {
            (self.job)();
        }
    }

    /// From here on the work is gone: a model fails if a look at it is not ordered before.
    pub fn end(&self) {
        self.alive.with_mut(|_| ());
    }

    fn claim(&self) -> bool {
        self.alive.with(|_| ());
        // ORDERING: model:claim: Acquire pairs with `model:add`.
        self.left.fetch_update(Acquire, Relaxed, |left| left.checked_sub(1)).is_ok()
    }
}

// SAFETY: loom reports two accesses of `alive` that are not ordered, before they happen.
unsafe impl Sync for Jobs {}

impl fmt::Debug for Jobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jobs").finish_non_exhaustive()
    }
}

impl Work for Jobs {
    fn run_slice(&self, slice: &TimeSlice<'_>) -> bool {
        let mut worked = false;
        while self.claim() {
            slice.claimed(self);
            (self.job)();
            // ORDERING: model:finished: Relaxed; ordered by the fences in `hub`, as any work's.
            self.unfinished.fetch_sub(1, Relaxed);
            worked = true;
        }
        worked
    }

    fn claimable(&self) -> bool {
        self.alive.with(|_| ());
        // ORDERING: model:claimable: Relaxed; ordered by the fences in `hub`, as any work's.
        self.left.load(Relaxed) > 0
    }

    fn progress(&self) -> Option<Progress> {
        None
    }

    fn notify(&self) {}
}

impl Published for Jobs {
    fn fair_share(&self) -> &FairShare {
        &self.fair_share
    }

    fn is_done(&self) -> bool {
        // ORDERING: model:done: Relaxed; as `model:finished`.
        self.unfinished.load(Relaxed) == 0
    }
}
