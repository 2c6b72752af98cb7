//! The rest of a call that has nothing to claim before an event. Workers do not ask such a call.
//!
//! | state | meaning | left by |
//! |---|---|---|
//! | `AWAKE` | workers ask the call | a thread that looks: `LOOKING` |
//! | `LOOKING` | a thread looks for something to claim; workers ask the call | the thread, if it finds nothing: `RESTING` |
//! | `RESTING` | nothing can be claimed | an event: `AWAKE` |
//!
//! No event is lost between the look and the rest:
//!
//! | an event | a thread that looks |
//! |---|---|
//! | 1. changes what can be claimed | 1. sets `LOOKING` |
//! | 2. sets `AWAKE` | 2. looks for something to claim |
//! | | 3. sets `RESTING` if the state is still `LOOKING` |
//!
//! All of these steps exchange one word. If the event comes first there, the thread sees the
//! change. If it comes last, the call does not rest.

use std::collections::BTreeSet;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::task::Wake;

use crate::primitive::{AtomicU8, AtomicU64, AtomicUsize, Mutex, lock};
use crate::scheduler::idle::Idle;

const AWAKE: u8 = 0;
const LOOKING: u8 = 1;
const RESTING: u8 = 2;

/// The numbers of calls whose rest has ended, and that workers do not ask yet.
pub(crate) struct EndedRests {
    /// No lock is taken while this one is held.
    calls: Mutex<BTreeSet<u64>>,
    /// Changes with each rest that ends.
    version: AtomicUsize,
    idle: Arc<Idle>,
}

impl EndedRests {
    pub(crate) fn new(idle: &Arc<Idle>) -> Arc<EndedRests> {
        let (calls, version) = (Mutex::default(), AtomicUsize::new(0));
        Arc::new(EndedRests { calls, version, idle: Arc::clone(idle) })
    }

    /// Returns a number that changes whenever a rest has ended.
    pub(crate) fn version(&self) -> usize {
        // ORDERING: rest:version: Relaxed; as `scheduler:list`.
        self.version.load(Relaxed)
    }

    /// Takes the numbers. The caller lets workers ask these calls again.
    pub(crate) fn take(&self) -> BTreeSet<u64> {
        mem::take(&mut *lock(&self.calls))
    }

    fn add(&self, call: u64) {
        let mut calls = lock(&self.calls);
        calls.insert(call);
        // ORDERING: rest:ended: Relaxed; changed under the lock, as `scheduler:version`.
        self.version.fetch_add(1, Relaxed);
    }
}

/// The rest of one call. It keeps no user value alive, so that any thread may end it.
pub(crate) struct Rest {
    state: AtomicU8,
    /// The number of the call, or 0 before the call is published.
    call: AtomicU64,
    ended: Arc<EndedRests>,
}

impl Rest {
    /// Returns the rest of a call that is not published yet.
    pub(crate) fn new(ended: &Arc<EndedRests>) -> Arc<Rest> {
        let (state, call) = (AtomicU8::new(AWAKE), AtomicU64::new(0));
        Arc::new(Rest { state, call, ended: Arc::clone(ended) })
    }

    /// Sets the number of the call, when it is published.
    pub(crate) fn open(&self, call: u64) {
        // ORDERING: rest:open: Relaxed; a call rests after it was published.
        self.call.store(call, Relaxed);
    }

    /// Returns the number of the call.
    pub(crate) fn call(&self) -> u64 {
        // ORDERING: rest:call: Relaxed; as `rest:open`.
        self.call.load(Relaxed)
    }

    /// Returns `true` if the call rests.
    pub(crate) fn is_resting(&self) -> bool {
        // ORDERING: rest:look: Relaxed; ordered by the fences of `idle` for a worker that goes to
        // sleep, and by the lock of the ended rests for a list of calls.
        self.state.load(Relaxed) == RESTING
    }

    /// Looks for something to claim, by `is_due`. If there is nothing, the call rests.
    ///
    /// Returns `true` if the call does not rest: there is something to claim, or an event came
    /// during the look. A thread that is no worker wakes one then. One thread looks at a time.
    pub(crate) fn look(&self, is_due: impl FnOnce() -> bool) -> bool {
        // ORDERING: rest:begin: Acquire pairs with `rest:end`: a thread that looks after the event
        // sees its change.
        let before = self.state.swap(LOOKING, Acquire);
        let is_due = is_due();
        // ORDERING: rest:settle: Relaxed; it only matters whether an event came meanwhile.
        let rests =
            !is_due && self.state.compare_exchange(LOOKING, RESTING, Relaxed, Relaxed).is_ok();
        if before == RESTING && !rests {
            self.ended.add(self.call());
        }
        !rests
    }

    /// Ends the rest after a change, if the call rests. Workers ask the call again.
    pub(crate) fn end(&self) {
        // ORDERING: rest:end: Release pairs with `rest:begin`.
        if self.state.swap(AWAKE, Release) == RESTING {
            self.ended.add(self.call());
        }
    }
}

/// Ends the rest, and wakes a worker, which asks the call.
impl Wake for Rest {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.end();
        self.ended.idle.notify_work();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::primitive::{AtomicBool, AtomicUsize, now};
    use crate::scheduler::{
        FairShare, Progress, Published, Scheduler, ThreadSettings, TimeSlice, Work,
    };
    use std::time::Duration;

    struct Call {
        rest: Arc<Rest>,
        fair_share: FairShare,
        is_due: AtomicBool,
        /// The number of times that the call was asked.
        asked: AtomicUsize,
    }

    impl Call {
        fn published(scheduler: &Arc<Scheduler>) -> Arc<Call> {
            let call = Arc::new(Call {
                rest: scheduler.rest(),
                fair_share: FairShare::default(),
                is_due: AtomicBool::new(false),
                asked: AtomicUsize::new(0),
            });
            let long_ago = now() - Duration::from_secs(1);
            assert!(scheduler.publish(Arc::clone(&call) as Arc<dyn Published>, long_ago));
            call
        }

        fn asked(&self) -> usize {
            self.asked.load(Relaxed)
        }
    }

    impl Work for Call {
        fn run_slice(&self, _: &TimeSlice<'_>) -> bool {
            false
        }

        fn claimable(&self) -> bool {
            self.asked.fetch_add(1, Relaxed);
            self.rest.look(|| self.is_due.load(Relaxed))
        }

        fn progress(&self) -> Option<Progress> {
            None
        }

        fn notify(&self) {}
    }

    impl Published for Call {
        fn fair_share(&self) -> &FairShare {
            &self.fair_share
        }

        fn rest(&self) -> Option<&Rest> {
            Some(&self.rest)
        }
    }

    #[test]
    fn calls_that_rest_are_not_asked() {
        let scheduler = Scheduler::new(ThreadSettings::default(), false);
        let calls = [(); 3].map(|()| Call::published(&scheduler));
        let worker = scheduler.known.started(0);
        let asked = || calls.each_ref().map(|call| call.asked());
        let listed = || {
            assert!(scheduler.list(&worker, &mut None, &mut Vec::new()));
            let known = mem::take(&mut *worker.lock());
            let mut numbers: Vec<u64> = known.iter().map(|call| call.fair_share().id()).collect();
            numbers.sort_unstable();
            numbers
        };
        assert_eq!(listed(), [1, 2, 3]);
        assert!(!scheduler.any_claimable());
        assert!(!scheduler.any_claimable());
        assert_eq!((asked(), listed()), ([1; 3], vec![]), "each was asked once");
        // An event without effect: the call is asked once more.
        let version = scheduler.version();
        calls[0].rest.end();
        calls[0].rest.end();
        assert_eq!((scheduler.version(), listed()), (version + 1, vec![1]));
        assert!(!scheduler.any_claimable());
        assert_eq!((asked(), listed()), ([2, 1, 1], vec![]));
        // An event during the look. The woken worker does not know the call, so this thread wakes
        // one again.
        assert!(calls[1].rest.look(|| {
            calls[1].rest.end();
            false
        }));
        assert_eq!(listed(), [2]);
        // A look of a thread that is no worker finds something.
        calls[2].is_due.store(true, Relaxed);
        assert!(calls[2].claimable());
        assert_eq!(listed(), [2, 3]);
        assert!(scheduler.any_claimable());
        // All of them can be found and withdrawn.
        assert_eq!(scheduler.open_calls().len(), 3);
        for call in calls.clone() {
            let call: Arc<dyn Published> = call;
            scheduler.withdraw(&call);
        }
        assert_eq!(scheduler.open_calls().len(), 0);
        assert!(calls.iter().all(|call| Arc::strong_count(call) == 1));
    }
}
