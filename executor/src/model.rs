//! The parts of the executor that the models in `loom-tests` use: its scheduler and its workers,
//! and smaller parts in the files below. The models decide when there is something to claim.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::task::Wake;
use std::time::Instant;

use loom::cell::UnsafeCell;
use loom::thread;

use crate::observe::CallSpan;
use crate::primitive::AtomicUsize;
use crate::scheduler::{
    BorrowGuard, ConcurrencyLimit, FairShare, Gate, Progress, Published, Rest, Scheduler,
    ThreadSettings, TimeSlice, Work, park, with_borrowed,
};

mod items;
mod monitor;
mod queue;
mod stream;

pub use self::items::{BatchItems, PulledItems, Ranges};
pub use self::monitor::WatchedSource;
pub use self::queue::{
    FullWindow, open_queue, open_weighted_queue, open_weighted_queue_with, send_as_worker,
};
pub use self::stream::StreamItems;

/// A scheduler and its workers, on threads of loom.
pub struct Workers {
    scheduler: Arc<Scheduler>,
    count: usize,
}

impl Workers {
    /// Starts `count` workers.
    pub fn start(count: usize) -> Workers {
        let settings = ThreadSettings { workers: count, ..ThreadSettings::default() };
        let scheduler = Scheduler::new(settings, true);
        (0..count).for_each(|_| scheduler.start_worker().expect("loom's threads start"));
        Workers { scheduler, count }
    }

    /// Waits until all workers sleep.
    pub fn wait_until_asleep(&self) {
        while self.scheduler.idle.sleepers() < self.count {
            thread::yield_now();
        }
    }

    /// Publishes work, as a stream or a submitted batch does.
    pub fn publish(&self, jobs: &Arc<Jobs>) {
        let work: Arc<dyn Published> = jobs.clone();
        self.scheduler.publish(work, Instant::now());
    }

    /// Withdraws it.
    pub fn withdraw(&self, jobs: &Arc<Jobs>) {
        let work: Arc<dyn Published> = jobs.clone();
        self.scheduler.withdraw(&work);
    }

    /// Makes one more job of published work claimable.
    pub fn add(&self, jobs: &Jobs) {
        jobs.more();
        match &jobs.rest {
            Some(rest) => rest.wake_by_ref(),
            None => self.scheduler.idle.notify_work(),
        }
    }

    /// Makes jobs claimable and runs a time slice of them, as the consumer of a stream does. The
    /// thread that claims the first one wakes a worker for the rest.
    pub fn pull_and_help(&self, jobs: &Jobs, count: usize) {
        // ORDERING: model:pull: Release, as `model:add`.
        jobs.left.store(count, Release);
        jobs.run_slice(&TimeSlice::own(&self.scheduler, None));
    }

    /// Shows borrowed work to the workers while `f` runs. Afterwards, the late wake-up of an
    /// earlier wait of this thread arrives.
    pub fn with_borrowed(&self, jobs: &Jobs, f: impl FnOnce()) {
        with_borrowed(&self.scheduler, jobs, Instant::now(), FairShare::default(), || {
            f();
            park::with_current(|_, waker| waker.wake_by_ref());
        });
    }

    /// Does the same as `with_borrowed`, but tries to end the borrow until there is no visitor. It
    /// does not wait for the last visitor.
    pub fn borrow_until_unvisited(&self, jobs: &Jobs, f: impl FnOnce()) {
        // SAFETY: the guard is dropped below, within the borrow of `jobs`. A model that panics
        // before has failed.
        let guard = unsafe {
            BorrowGuard::new(&self.scheduler, jobs, Instant::now(), FairShare::default())
        };
        f();
        while !guard.try_close() {
            thread::yield_now();
        }
    }

    /// Runs `f` while this thread is inside the gate of the work, as a consumer that helps.
    pub fn inside(&self, jobs: &Jobs, f: impl FnOnce()) {
        let slice = TimeSlice::own(&self.scheduler, jobs.fair_share.gate());
        assert!(slice.enter(), "the gate is full");
        f();
    }

    /// Adds a job, as a thread that comes back from the source, and passes the gate if it can. Then
    /// it runs the job.
    pub fn add_and_pass(&self, jobs: &Jobs) {
        jobs.more();
        let slice = TimeSlice::own(&self.scheduler, jobs.fair_share.gate());
        if slice.reenter() {
            jobs.run_slice(&slice);
        }
    }

    /// Blocks until a thread could pass the gate of the work, as a caller or consumer does.
    pub fn wait_at_gate(&self, jobs: &Jobs) {
        let gate = jobs.fair_share.gate().expect("the work has a gate");
        park::with_current(|parker, waker| {
            loop {
                gate.waiter.register(waker);
                if gate.is_open() {
                    return;
                }
                parker.park();
            }
        });
    }

    /// Looks at the sources and the workers once, as the monitor does.
    pub fn look(&self) {
        self.scheduler.look_at_sources();
    }

    /// Waits until all threads sleep, and looks once. Then waits until no more threads are left
    /// than were started.
    pub fn wait_until_none_is_surplus(&self) {
        while self.scheduler.idle.sleepers() < self.scheduler.threads.lock().entries.len() {
            thread::yield_now();
        }
        self.look();
        self.scheduler.wait_for(|left| left.workers <= self.count, None);
    }

    /// Waits until all published work has run, as a shutdown does.
    pub fn drain(&self) {
        self.scheduler.close();
        self.scheduler.wait_for(|left| left.calls == 0, None);
    }

    /// Stops the workers and waits for them.
    pub fn stop(self) {
        self.scheduler.stop();
        self.scheduler.wait_for(|left| left.workers == 0, None);
        let ended = self.scheduler.threads.take_ended();
        ended.into_iter().for_each(|thread| thread.join().unwrap());
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
    /// The number of calls that have not run.
    unfinished: AtomicUsize,
    /// Accessed at each access of the work.
    alive: UnsafeCell<()>,
    fair_share: FairShare,
    /// `true` if the calls count as calls of a source.
    is_source: bool,
    /// The rest of work that workers need not ask while it has no job.
    rest: Option<Arc<Rest>>,
    job: Box<dyn Fn() + Send + Sync>,
}

impl Jobs {
    /// Returns work that consists of `count` calls of `job`.
    pub fn new(count: usize, job: impl Fn() + Send + Sync + 'static) -> Jobs {
        Jobs {
            left: AtomicUsize::new(count),
            unfinished: AtomicUsize::new(count),
            alive: UnsafeCell::new(()),
            fair_share: FairShare::default(),
            is_source: false,
            rest: None,
            job: Box::new(job),
        }
    }

    /// Returns work as `new` does, but its workers are inside a source while they run the calls.
    pub fn of_source(count: usize, job: impl Fn() + Send + Sync + 'static) -> Jobs {
        Jobs { is_source: true, ..Jobs::new(count, job) }
    }

    /// As `new`, without a call. The work rests while it has none. Only one worker may look.
    pub fn that_rest(workers: &Workers, job: impl Fn() + Send + Sync + 'static) -> Jobs {
        Jobs { rest: Some(workers.scheduler.rest()), ..Jobs::new(0, job) }
    }

    /// Returns work as `new` does, whose calls run on one thread at a time.
    pub fn one_at_a_time(workers: &Workers, job: impl Fn() + Send + Sync + 'static) -> Jobs {
        Jobs::limited(workers, &ConcurrencyLimit::new(NonZeroUsize::MIN), job)
    }

    /// Returns work as `new` does, without a call. Its calls run on as many threads as the limit
    /// allows.
    pub fn limited(
        workers: &Workers,
        limit: &ConcurrencyLimit,
        job: impl Fn() + Send + Sync + 'static,
    ) -> Jobs {
        let gate = Gate::new(limit, &workers.scheduler.idle);
        Jobs { fair_share: FairShare::new(Some(gate), CallSpan::default()), ..Jobs::new(0, job) }
    }

    /// Runs the remaining calls on this thread, as a caller does that helps.
    pub fn help(&self) {
        while self.claim() {
            (self.job)();
        }
    }

    /// Marks the end of the work. A model fails if an access to it is not ordered before.
    pub fn end(&self) {
        self.alive.with_mut(|_| ());
    }

    fn more(&self) {
        // ORDERING: model:add: Release pairs with `model:claim`.
        self.left.fetch_add(1, Release);
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
            let inside = self.is_source.then(|| slice.enter_source());
            (self.job)();
            drop(inside);
            // ORDERING: model:finished: Relaxed; ordered by the fences in `hub`, as any work's.
            self.unfinished.fetch_sub(1, Relaxed);
            worked = true;
        }
        worked
    }

    fn claimable(&self) -> bool {
        self.alive.with(|_| ());
        // ORDERING: model:claimable: Relaxed; ordered by the fences in `hub`, as any work's.
        let is_due = || self.left.load(Relaxed) > 0;
        self.rest.as_ref().map_or_else(is_due, |rest| !rest.is_resting() && rest.look(is_due))
    }

    fn progress(&self) -> Option<Progress> {
        None
    }

    fn is_done(&self) -> bool {
        // ORDERING: model:done: Relaxed; as `model:finished`.
        self.unfinished.load(Relaxed) == 0
    }

    fn notify(&self) {}
}

impl Published for Jobs {
    fn fair_share(&self) -> &FairShare {
        &self.fair_share
    }

    fn rest(&self) -> Option<&Rest> {
        self.rest.as_deref()
    }
}
