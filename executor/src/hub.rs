//! Where open work is published, and where workers sleep.
//!
//! Nothing is lost between "there is work" and "there is nobody awake": whoever makes work
//! claimable does so *before* a `SeqCst` fence and looks for sleepers *after* it; whoever goes to
//! sleep says so before a fence and looks for work after it. One of the two sees the other.
//!
//! Waking a parked thread costs far more than a small batch, so one worker at a time is woken to
//! *search*, or one each if several publish at the same instant. While one searches, publishing
//! wakes nobody. It gives the role up when it has claimed something and before it runs it, and
//! wakes the next one if more is left.

use std::cell::Cell;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::{Arc, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use reorder_ring::RingPool;

use crate::cells::Token;
use crate::history::{History, Kind};
use crate::primitive::{AtomicBool, AtomicUsize, Mutex, MutexGuard, Unparker, fence, now};
use crate::work::Work;

/// How old work is before a worker that is awake looks at it. A batch that its caller alone finishes
/// faster than this is not worth the cache lines that sharing it moves.
pub(crate) const GRACE: Duration = Duration::from_micros(if cfg!(reorder_loom) { 0 } else { 3 });
/// How long a worker stays with one batch while others are open.
const QUANTUM: Duration = Duration::from_micros(200);

/// Work that was published, and when.
struct Open {
    work: Arc<dyn Work>,
    since: Instant,
}

pub(crate) struct Hub {
    open: Mutex<Vec<Open>>,
    /// Changes whenever `open` does, so that workers need not lock it to know what they know.
    version: AtomicUsize,
    sleepers: Mutex<Vec<usize>>,
    /// How many `sleepers` there are, readable without the lock.
    asleep: AtomicUsize,
    /// Workers that are awake and look for work, and those that are being woken to do so.
    searching: AtomicUsize,
    stopping: AtomicBool,
    unparkers: Vec<Unparker>,
    /// The rings of plain batches. In steady state, a batch allocates none.
    pub(crate) tokens: RingPool<Token>,
    /// What items of batches cost.
    pub(crate) history: History,
    /// Whether a stream's consumer runs items that were measured to be cheap.
    pub(crate) consumer_helps: bool,
}

/// No user code runs under these locks, so a poisoned one is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hub {
    pub(crate) fn new(unparkers: Vec<Unparker>, consumer_helps: bool) -> Hub {
        Hub {
            open: Mutex::new(Vec::new()),
            version: AtomicUsize::new(0),
            sleepers: Mutex::new(Vec::with_capacity(unparkers.len())),
            asleep: AtomicUsize::new(0),
            searching: AtomicUsize::new(0),
            stopping: AtomicBool::new(false),
            unparkers,
            tokens: RingPool::new(),
            history: History::new(),
            consumer_helps,
        }
    }

    /// How many threads may take part in one batch: the workers and its caller.
    pub(crate) fn seats(&self) -> usize {
        self.unparkers.len() + 1
    }

    /// Whether a batch should be over before a worker would look at it.
    pub(crate) fn begins_alone(&self, kind: Kind, items: usize) -> bool {
        let expected = || self.history.expect(kind, items);
        items == 1 || expected().is_some_and(|expected| expected < GRACE)
    }

    /// Makes work visible to the workers.
    pub(crate) fn publish(&self, work: Arc<dyn Work>, since: Instant) {
        self.change(|open| open.push(Open { work, since }));
        self.announce();
    }

    /// Hides work from workers that look from now on. Those at it stay until their turn ends.
    pub(crate) fn withdraw(&self, work: &Arc<dyn Work>) {
        let gone = self.change(|open| {
            let place = open.iter().position(|other| Arc::ptr_eq(&other.work, work))?;
            Some(open.swap_remove(place))
        });
        // The last reference may run user code, which must not meet the lock.
        drop(gone);
    }

    fn change<R>(&self, f: impl FnOnce(&mut Vec<Open>) -> R) -> R {
        let mut open = lock(&self.open);
        let result = f(&mut open);
        // ORDERING: hub:version: Relaxed; changed under the list's lock, see `hub:list`.
        self.version.fetch_add(1, Relaxed);
        result
    }

    /// Puts what is open, and not quite new, into `list`, which is empty, if it changed since
    /// `seen`. `false` if not, or if it is just changing.
    pub(crate) fn list(&self, seen: &mut Option<usize>, list: &mut Vec<Arc<dyn Work>>) -> bool {
        // ORDERING: hub:list: Relaxed; the list that is locked next is of this version or a later one. Had
        // it been locked before that version was made, this look would come before, too.
        let version = self.version.load(Relaxed);
        if *seen == Some(version) {
            return false;
        }
        let open = match self.open.try_lock() {
            Ok(open) => open,
            Err(TryLockError::Poisoned(whole)) => whole.into_inner(),
            Err(TryLockError::WouldBlock) => return false,
        };
        let now = now();
        let old = open.iter().filter(|open| now.duration_since(open.since) >= GRACE);
        list.extend(old.map(|open| Arc::clone(&open.work)));
        *seen = (list.len() == open.len()).then_some(version);
        true
    }

    /// Changes whenever something is published or withdrawn.
    pub(crate) fn version(&self) -> usize {
        // ORDERING: hub:activity: Relaxed; a hint.
        self.version.load(Relaxed)
    }

    fn any_claimable(&self) -> bool {
        lock(&self.open).iter().any(|open| open.work.claimable())
    }

    /// To be called after work became claimable.
    pub(crate) fn announce(&self) {
        if self.somebody_should_wake() {
            self.wake_one();
        }
    }

    fn somebody_should_wake(&self) -> bool {
        // ORDERING: hub:announce: SeqCst fence, pairs with `hub:doze`: either the sleeper sees the
        // work, or this thread sees the sleeper, or a searcher that will look again.
        fence(SeqCst);
        // ORDERING: hub:census: Relaxed; the fence above orders both.
        self.asleep.load(Relaxed) > 0 && self.searching.load(Relaxed) == 0
    }

    fn wake_one(&self) {
        let mut sleepers = lock(&self.sleepers);
        if let Some(index) = sleepers.pop() {
            // ORDERING: hub:wake: Relaxed; changed under the lock, or ordered by the fences.
            self.asleep.store(sleepers.len(), Relaxed);
            self.searching.fetch_add(1, Relaxed);
            drop(sleepers);
            self.unparkers[index].unpark();
        }
    }

    #[cfg(reorder_loom)]
    pub(crate) fn sleepers(&self) -> usize {
        lock(&self.sleepers).len()
    }

    pub(crate) fn start_searching(&self) {
        // ORDERING: hub:search: Relaxed; a publisher that misses it wakes one worker too many.
        self.searching.fetch_add(1, Relaxed);
    }

    pub(crate) fn has_one_searcher(&self) -> bool {
        // ORDERING: hub:searchers: Relaxed; a hint.
        self.searching.load(Relaxed) == 1
    }

    pub(crate) fn stop_searching(&self) {
        // ORDERING: hub:found: Relaxed; whoever stops searching fences and looks again.
        self.searching.fetch_sub(1, Relaxed);
    }

    /// Declares a searching worker asleep. `false` if it has to stay awake, and searches on; otherwise
    /// it must park until it is unparked, and then is a searching worker again.
    pub(crate) fn doze(&self, index: usize) -> bool {
        {
            let mut sleepers = lock(&self.sleepers);
            sleepers.push(index);
            // ORDERING: hub:asleep: Relaxed; ordered by the fence below.
            self.asleep.store(sleepers.len(), Relaxed);
        }
        self.stop_searching();
        // ORDERING: hub:doze: SeqCst fence, pairs with `hub:announce`.
        fence(SeqCst);
        if !self.is_stopping() && !self.any_claimable() {
            return true;
        }
        let mut sleepers = lock(&self.sleepers);
        let Some(place) = sleepers.iter().position(|&sleeper| sleeper == index) else {
            // Somebody woke it meanwhile: the token is there, and the role too.
            return true;
        };
        sleepers.swap_remove(place);
        // ORDERING: hub:awake: Relaxed; as `hub:asleep`.
        self.asleep.store(sleepers.len(), Relaxed);
        // Several may have published while this one still counted as searching. They woke nobody,
        // so it has to hand on what it does not claim itself.
        self.start_searching();
        false
    }

    /// Ends all workers after their turn, and leaves what is open to those who wait for it.
    pub(crate) fn stop(&self) {
        // ORDERING: hub:stop: Relaxed; ordered by the sleepers' lock. Whoever enters the list after it
        // was taken here sees the end, and stays awake.
        self.stopping.store(true, Relaxed);
        let sleepers = std::mem::take(&mut *lock(&self.sleepers));
        for index in sleepers {
            // ORDERING: hub:stop-wake: Relaxed; as `hub:wake`.
            self.searching.fetch_add(1, Relaxed);
            self.unparkers[index].unpark();
        }
        let open: Vec<_> = lock(&self.open).iter().map(|open| Arc::clone(&open.work)).collect();
        open.iter().for_each(|work| work.nudge());
    }

    pub(crate) fn is_stopping(&self) -> bool {
        // ORDERING: hub:stopping: Relaxed; nothing is passed on by it. Who sleeps next has it from `hub:stop`, who
        // waits in a call from the waker's cell.
        self.stopping.load(Relaxed)
    }
}

/// One worker's or caller's stay with one piece of work.
pub(crate) struct Turn<'a> {
    pub(crate) hub: &'a Hub,
    /// Which of the hub's seats takes the turn: 0 is the caller of a batch.
    pub(crate) seat: usize,
    /// Whether this thread has the role of the searcher.
    searching: Cell<bool>,
    started: Instant,
    /// When the last lap ended: reading the clock costs as much as dozens of small items.
    lapped: Cell<Instant>,
}

impl<'a> Turn<'a> {
    pub(crate) fn new(hub: &'a Hub, seat: usize, searching: bool) -> Turn<'a> {
        let now = now();
        Turn { hub, seat, searching: Cell::new(searching), started: now, lapped: Cell::new(now) }
    }

    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    /// How long it is since the last lap, or the start of the turn.
    pub(crate) fn lap(&self) -> Duration {
        let now = now();
        now.duration_since(self.lapped.replace(now))
    }

    /// Whether the last lap ended after this worker's time was up.
    pub(crate) fn is_over(&self) -> bool {
        self.lapped.get().duration_since(self.started) >= QUANTUM
    }

    pub(crate) fn is_searching(&self) -> bool {
        self.searching.get()
    }

    /// To be called after something was claimed, be it items or the right to pull them, and before
    /// code of the user's runs: hands the role of the searcher on if there is more to find.
    pub(crate) fn claimed(&self, work: &dyn Work) {
        let searched = self.searching.replace(false);
        if searched {
            self.hub.stop_searching();
        }
        if self.hub.somebody_should_wake()
            && (work.claimable() || searched && self.hub.any_claimable())
        {
            self.hub.wake_one();
        }
    }
}
