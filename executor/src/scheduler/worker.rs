//! The loop of a worker thread.
//!
//! A worker searches for a call with something to claim, runs one time slice of it, and searches
//! again. After [`LOOKS`] vain looks it sleeps.

use std::cell::Cell;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::observe::trace;
use crate::primitive::{Backoff, IS_MODEL, Parker, thread_local};
use crate::scheduler::known::KnownCalls;
use crate::scheduler::registry::Scheduler;
use crate::scheduler::time_slice::TimeSlice;
use crate::scheduler::work::Published;
use crate::scheduler::worker_thread::{WorkerThread, set_this_worker};
use crate::unwind::discard;

/// The number of looks before a worker sleeps. The first looks follow each other quickly. The
/// worker yields between the later ones.
const LOOKS: u32 = if IS_MODEL { 1 } else { 48 };

thread_local! {
    #[allow(clippy::missing_const_for_thread_local, reason = "loom's take no const block")]
    static SCHEDULER_OF_THIS_WORKER: Cell<*const Scheduler> = Cell::new(std::ptr::null());
}

/// Returns `true` if the current thread is a worker of any scheduler.
pub(crate) fn is_worker() -> bool {
    SCHEDULER_OF_THIS_WORKER.try_with(|own| !own.get().is_null()).unwrap_or(false)
}

/// Returns `true` if the current thread is a worker of this scheduler.
pub(crate) fn is_worker_of(scheduler: &Scheduler) -> bool {
    SCHEDULER_OF_THIS_WORKER.try_with(|own| std::ptr::eq(own.get(), scheduler)).unwrap_or(false)
}

/// Marks the current thread as a worker that has no scheduler.
#[cfg(reorder_loom)]
pub(crate) fn mark_as_worker() {
    SCHEDULER_OF_THIS_WORKER.with(|own| own.set(std::ptr::dangling()));
}

struct Worker {
    scheduler: Arc<Scheduler>,
    thread: Arc<WorkerThread>,
    /// The calls that were open at the last look, and have not been withdrawn since.
    known: Arc<KnownCalls<dyn Published>>,
    /// The buffer of the next list. Both buffers are kept, so that a look allocates nothing.
    spare: Vec<Arc<dyn Published>>,
    /// The version of `known`.
    version: Option<usize>,
    /// The place in `known` of the call that this worker ran last.
    last: usize,
    searching: bool,
}

/// Runs a worker until the scheduler stops, or has too many workers.
pub(crate) fn run(scheduler: Arc<Scheduler>, thread: Arc<WorkerThread>, parker: Parker) {
    SCHEDULER_OF_THIS_WORKER.with(|own| own.set(Arc::as_ptr(&scheduler)));
    set_this_worker(Some(Arc::clone(&thread)));
    scheduler.threads.call_start_hook(thread.index);
    let mut worker = Worker {
        known: scheduler.known.started(thread.index),
        scheduler,
        thread,
        spare: Vec::new(),
        version: None,
        last: 0,
        searching: false,
    };
    while !worker.scheduler.is_stopping() && !worker.scheduler.threads.try_retire(&worker.thread) {
        if !worker.search() && worker.try_sleep() {
            parker.park();
            worker.searching = true;
        }
    }
    worker.retire();
    set_this_worker(None);
}

impl Worker {
    /// Looks for work for a short while. Returns `true` if it ran some.
    fn search(&mut self) -> bool {
        let backoff = Backoff::new();
        let (mut version, mut looks) = (self.scheduler.version(), 0);
        loop {
            if self.run_next() {
                return true;
            }
            self.start_searching();
            let now = self.scheduler.version();
            looks += 1;
            if now != version && self.scheduler.idle.has_one_searcher() {
                // Callers are active. One worker stays awake for them: waking one costs more than
                // a small batch.
                (version, looks) = (now, 0);
            }
            if looks == LOOKS || backoff.is_disturbed() || self.scheduler.is_stopping() {
                return false;
            }
            backoff.snooze();
        }
    }

    fn start_searching(&mut self) {
        if !self.searching {
            self.searching = true;
            self.scheduler.idle.start_searching();
        }
    }

    /// Runs one time slice of the open call that comes next. Returns `false` if no call has
    /// anything to claim.
    fn run_next(&mut self) -> bool {
        if self.scheduler.list(&self.known, &mut self.version, &mut self.spare) {
            self.discard_spare();
        }
        let Some(work) = self.choose() else { return false };
        let ran = self.run_slice(&*work);
        self.drop_chosen(work);
        ran
    }

    /// Runs one time slice of a call. Returns `false` if there was nothing to claim.
    fn run_slice(&mut self, work: &dyn Published) -> bool {
        self.scheduler.advance(work.runtime());
        let call = work.fair_share().id();
        let span = &work.fair_share().span;
        let _slice_span = trace::time_slice(self.thread.index, call, span);
        let gate = work.fair_share().gate();
        let slice = TimeSlice::new(&self.scheduler, Some(&self.thread), call, self.searching, gate);
        if !slice.enter() {
            // Other threads were faster.
            return false;
        }
        // Jobs are caught one by one. This catches the `Drop` of a user value between two of them.
        let ran = {
            let _span = span.enter();
            catch_unwind(AssertUnwindSafe(|| work.run_slice(&slice)))
        };
        work.tell_progress();
        self.searching = slice.is_searching();
        work.runtime().charge(slice.length());
        drop(slice);
        self.scheduler.after_run();
        ran.unwrap_or_else(|payload| {
            discard(payload);
            true
        })
    }

    /// Drops a reference to the call that [`choose`](Worker::choose) returned last.
    fn drop_chosen(&mut self, work: Arc<dyn Published>) {
        let known = self.known.lock();
        if known.get(self.last).is_some_and(|listed| Arc::ptr_eq(listed, &work)) {
            // Under the lock: the list keeps the call, so no user code runs here.
            drop(work);
            return;
        }
        // The call was withdrawn meanwhile, and this may be its last reference.
        drop(known);
        self.spare.push(work);
        self.discard_spare();
    }

    /// Returns the claimable call with the least run time. Calls with the same run time take turns.
    fn choose(&mut self) -> Option<Arc<dyn Published>> {
        let known = self.known.lock();
        let mut chosen: Option<(u64, usize)> = None;
        for step in 1..=known.len() {
            let place = (self.last + step) % known.len();
            let work = &known[place];
            let runtime = work.runtime().get();
            if chosen.is_none_or(|(least, _)| runtime < least)
                && work.fair_share().is_open()
                && work.claimable()
            {
                chosen = Some((runtime, place));
            }
        }
        let (_, place) = chosen?;
        self.last = place;
        Some(Arc::clone(&known[place]))
    }

    /// Returns `true` if this worker has to park.
    fn try_sleep(&mut self) -> bool {
        // A sleeping worker must not keep a closed call alive.
        mem::swap(&mut *self.known.lock(), &mut self.spare);
        self.discard_spare();
        self.start_searching();
        self.version = None;
        if self.scheduler.is_stopping() {
            return false;
        }
        let asleep = self.scheduler.try_sleep(&self.thread);
        self.searching = !asleep;
        asleep
    }

    /// Drops the calls in `spare`. The last reference to a call may run the user's code, so another
    /// worker searches meanwhile if it has to.
    fn discard_spare(&mut self) {
        if self.spare.is_empty() {
            return;
        }
        self.hand_over_search();
        self.spare.drain(..).for_each(discard);
    }

    /// Ends the search of this worker. Another worker searches if anything is claimable.
    fn hand_over_search(&mut self) {
        if mem::take(&mut self.searching) {
            let idle = &self.scheduler.idle;
            idle.stop_searching();
            if idle.should_wake() && self.scheduler.any_claimable() {
                idle.wake_one();
            }
        }
    }

    fn retire(mut self) {
        mem::swap(&mut *self.known.lock(), &mut self.spare);
        self.discard_spare();
        self.scheduler.known.ended(&self.known);
        self.hand_over_search();
        // A shutdown waits for this, as for the end of a job.
        self.scheduler.threads.call_stop_hook(self.thread.index);
        self.scheduler.worker_ended(&self.thread);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
    use std::time::{Duration, Instant};

    use super::*;
    use crate::scheduler::{FairShare, Progress, ThreadSettings, Work};

    /// A call that has nothing to claim, although it looks as if it had.
    struct Empty {
        fair_share: FairShare,
        scheduler: Arc<Scheduler>,
        /// The number of calls that were dropped while a worker counted as searching.
        dropped_in_search: Arc<AtomicU32>,
    }

    impl Work for Empty {
        fn run_slice(&self, _: &TimeSlice<'_>) -> bool {
            false
        }

        fn claimable(&self) -> bool {
            true
        }

        fn progress(&self) -> Option<Progress> {
            None
        }

        fn notify(&self) {}
    }

    impl Published for Empty {
        fn fair_share(&self) -> &FairShare {
            &self.fair_share
        }
    }

    impl Drop for Empty {
        fn drop(&mut self) {
            let is_searched = self.scheduler.idle.has_one_searcher();
            self.dropped_in_search.fetch_add(u32::from(is_searched), SeqCst);
        }
    }

    /// Returns a worker that searches, and a call that was published.
    fn worker_and_call() -> (Worker, Arc<Empty>) {
        let scheduler = Scheduler::new(ThreadSettings::default(), false);
        let monitor = Arc::clone(&scheduler.monitor);
        let mut worker = Worker {
            known: scheduler.known.started(0),
            thread: WorkerThread::new(0, Parker::new().unparker(), monitor),
            scheduler: Arc::clone(&scheduler),
            spare: Vec::new(),
            version: None,
            last: 0,
            searching: false,
        };
        worker.start_searching();
        let call = Arc::new(Empty {
            fair_share: FairShare::default(),
            scheduler: Arc::clone(&scheduler),
            dropped_in_search: Arc::default(),
        });
        let published: Arc<dyn Published> = call.clone();
        let since = Instant::now().checked_sub(Duration::from_secs(1));
        assert!(scheduler.publish(published, since.expect("the machine has been up for a second")));
        (worker, call)
    }

    #[test]
    fn a_worker_gives_up_its_search_before_it_drops_the_last_reference() {
        let (mut worker, call) = worker_and_call();
        let (weak, dropped_in_search) = (Arc::downgrade(&call), call.dropped_in_search.clone());
        drop(call);
        assert!(worker.scheduler.list(&worker.known, &mut worker.version, &mut worker.spare));
        let work = worker.choose().expect("the call was listed");
        assert!(!worker.run_slice(&*work));
        worker.scheduler.withdraw(&work);
        worker.drop_chosen(work);
        assert_eq!(weak.strong_count(), 0);
        assert_eq!(dropped_in_search.load(SeqCst), 0);
        assert!(!worker.searching);
    }

    #[test]
    fn a_worker_that_claims_nothing_goes_on_searching() {
        let (mut worker, call) = worker_and_call();
        assert!(!worker.run_next());
        assert!(worker.searching && worker.scheduler.idle.has_one_searcher());
        let published: Arc<dyn Published> = call.clone();
        worker.scheduler.withdraw(&published);
        assert_eq!(Arc::strong_count(&call), 2, "the worker's list keeps no ended call");
    }
}
