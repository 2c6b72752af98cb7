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

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::{Arc, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use reorder_ring::RingPool;

use crate::account::Account;
use crate::cells::Token;
use crate::failure::{contain, discard};
use crate::history::{History, Kind};
use crate::primitive::{AtomicBool, AtomicUsize, Condvar, Mutex, MutexGuard, Unparker, fence, now};
use crate::seat::Seats;
use crate::snapshot::OpenCall;
use crate::trace;
use crate::work::Published;

/// How old work is before a worker that is awake looks at it. A batch that its caller alone finishes
/// faster than this is not worth the cache lines that sharing it moves.
pub(crate) const GRACE: Duration = Duration::from_micros(if cfg!(reorder_loom) { 0 } else { 3 });

/// How often a shutdown looks by itself: of a call that a token or its deadline has ended nobody tells it.
const SLICE: Duration = Duration::from_millis(50);

/// Work that was published, and when.
struct Open {
    work: Arc<dyn Published>,
    since: Instant,
}

struct Calls {
    open: Vec<Open>,
    /// How many are admitted, and not published yet.
    arriving: usize,
    /// Whether no more are taken in.
    closed: bool,
    /// How many workers have not ended.
    workers: usize,
    /// How many were published.
    opened: u64,
}

/// What a shutdown waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Left {
    /// Calls of which some items have not run.
    pub(crate) calls: usize,
    pub(crate) workers: usize,
}

impl Calls {
    fn left(&self) -> Left {
        let unfinished = self.open.iter().filter(|open| !open.work.is_done()).count();
        Left { calls: self.arriving + unfinished, workers: self.workers }
    }
}

pub(crate) struct Hub {
    calls: Mutex<Calls>,
    /// Notified when something of a closed hub's calls is over.
    over: Condvar,
    /// Says `Calls::closed` without the lock.
    closing: AtomicBool,
    /// Changes whenever `open` does, so that workers need not lock it to know what they know.
    version: AtomicUsize,
    /// How long the work was served that was chosen last: no open work counts as served for less.
    served: AtomicU64,
    seats: Seats,
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
            calls: Mutex::new(Calls {
                open: Vec::new(),
                arriving: 0,
                closed: false,
                workers: unparkers.len(),
                opened: 0,
            }),
            over: Condvar::new(),
            closing: AtomicBool::new(false),
            version: AtomicUsize::new(0),
            served: AtomicU64::new(0),
            seats: Seats::new(unparkers.len(), now()),
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
    pub(crate) fn takers(&self) -> usize {
        self.unparkers.len() + 1
    }

    /// Whether a batch should be over before a worker would look at it.
    pub(crate) fn begins_alone(&self, kind: Kind, items: usize) -> bool {
        let expected = || self.history.expect(kind, items);
        items == 1 || expected().is_some_and(|expected| expected < GRACE)
    }

    /// Makes work visible to the workers. `false` if the hub is closed: then its owner has to run it.
    pub(crate) fn publish(&self, work: Arc<dyn Published>, since: Instant) -> bool {
        let taken = self.change(|calls| (!calls.closed).then(|| self.push(calls, work, since)));
        if let Some(call) = taken {
            trace::opened(call);
            self.announce();
        }
        taken.is_some()
    }

    /// Counts one more call that will be published. `false` if the hub is closed.
    pub(crate) fn expect(&self) -> bool {
        self.change(|calls| {
            calls.arriving += usize::from(!calls.closed);
            !calls.closed
        })
    }

    /// Publishes one of those that are expected, though the hub may be closed by now.
    pub(crate) fn publish_expected(&self, work: Arc<dyn Published>, since: Instant) {
        trace::opened(self.change(|calls| self.push(calls, work, since)));
        self.announce();
    }

    /// Expects one less.
    pub(crate) fn arrived(&self) {
        self.change(|calls| calls.arriving -= 1);
    }

    /// Returns its number.
    fn push(&self, calls: &mut Calls, work: Arc<dyn Published>, since: Instant) -> u64 {
        calls.opened += 1;
        work.account().open(calls.opened, self.served());
        calls.open.push(Open { work, since });
        calls.opened
    }

    /// Hides work from workers that look from now on. Those at it stay until their turn ends.
    pub(crate) fn withdraw(&self, work: &Arc<dyn Published>) {
        let gone = self.change(|calls| {
            let place = calls.open.iter().position(|other| Arc::ptr_eq(&other.work, work))?;
            Some(calls.open.swap_remove(place))
        });
        if let Some(gone) = gone {
            trace::closed(gone.work.account().id());
            // The last reference may run user code, which must not meet the lock.
            drop(gone);
        }
    }

    fn change<R>(&self, f: impl FnOnce(&mut Calls) -> R) -> R {
        let mut calls = lock(&self.calls);
        let result = f(&mut calls);
        // ORDERING: hub:version: Relaxed; changed under the list's lock, see `hub:list`.
        self.version.fetch_add(1, Relaxed);
        if calls.closed {
            self.over.notify_all();
        }
        result
    }

    fn served(&self) -> u64 {
        // ORDERING: hub:served: Relaxed; a number.
        self.served.load(Relaxed)
    }

    /// To be called by a worker that has chosen the work of this account, before its turn.
    pub(crate) fn serve(&self, account: &Account) {
        // ORDERING: hub:serve: Relaxed; as `hub:served`.
        let served = self.served.fetch_max(account.served(), Relaxed);
        account.catch_up(served);
    }

    /// Puts what is open, and not quite new, into `list`, which is empty, if it changed since
    /// `seen`. `false` if not, or if it is just changing.
    pub(crate) fn list(
        &self,
        seen: &mut Option<usize>,
        list: &mut Vec<Arc<dyn Published>>,
    ) -> bool {
        // ORDERING: hub:list: Relaxed; the list that is locked next is of this version or a later one. Had
        // it been locked before that version was made, this look would come before, too.
        let version = self.version.load(Relaxed);
        if *seen == Some(version) {
            return false;
        }
        let calls = match self.calls.try_lock() {
            Ok(calls) => calls,
            Err(TryLockError::Poisoned(whole)) => whole.into_inner(),
            Err(TryLockError::WouldBlock) => return false,
        };
        let now = now();
        let old = calls.open.iter().filter(|open| now.duration_since(open.since) >= GRACE);
        list.extend(old.map(|open| Arc::clone(&open.work)));
        *seen = (list.len() == calls.open.len()).then_some(version);
        true
    }

    /// Changes whenever something is published or withdrawn.
    pub(crate) fn version(&self) -> usize {
        // ORDERING: hub:activity: Relaxed; a hint.
        self.version.load(Relaxed)
    }

    pub(crate) fn any_claimable(&self) -> bool {
        lock(&self.calls).open.iter().any(|open| open.work.claimable())
    }

    /// To be called after work became claimable.
    pub(crate) fn announce(&self) {
        if self.somebody_should_wake() {
            self.wake_one();
        }
    }

    pub(crate) fn somebody_should_wake(&self) -> bool {
        // ORDERING: hub:announce: SeqCst fence, pairs with `hub:doze`: either the sleeper sees the
        // work, or this thread sees the sleeper, or a searcher that will look again.
        fence(SeqCst);
        // ORDERING: hub:census: Relaxed; the fence above orders both.
        self.asleep.load(Relaxed) > 0 && self.searching.load(Relaxed) == 0
    }

    pub(crate) fn wake_one(&self) {
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
        let open: Vec<_> =
            lock(&self.calls).open.iter().map(|open| Arc::clone(&open.work)).collect();
        open.iter().for_each(|work| contain(|| work.nudge()));
    }

    /// What is open, in the order in which it was opened.
    pub(crate) fn open_calls(&self, name: impl Fn(usize) -> String) -> Vec<OpenCall> {
        let open: Vec<_> = lock(&self.calls)
            .open
            .iter()
            .map(|open| (Arc::clone(&open.work), open.since))
            .collect();
        let now = now();
        let seats = self.seats.occupied(now);
        let mut calls: Vec<OpenCall> = open
            .iter()
            .filter_map(|(work, since)| {
                let (id, age) = (work.account().id(), now.saturating_duration_since(*since));
                Some(OpenCall::new(id, age, work.progress()?, &seats, &name))
            })
            .collect();
        calls.sort_unstable_by_key(OpenCall::id);
        // The last reference may run user code.
        open.into_iter().for_each(discard);
        calls
    }

    pub(crate) fn seats(&self) -> &Seats {
        &self.seats
    }

    /// Takes no more calls in.
    pub(crate) fn close(&self) {
        lock(&self.calls).closed = true;
        // ORDERING: hub:close: Relaxed; ordered by the fence in `wait_until`.
        self.closing.store(true, Relaxed);
    }

    pub(crate) fn is_closed(&self) -> bool {
        lock(&self.calls).closed
    }

    /// To be called after a turn, and by a consumer that has run items.
    pub(crate) fn rest(&self) {
        // ORDERING: hub:rest: SeqCst fence, pairs with `hub:wait`: either this thread sees that the hub was
        // closed, or who waits sees what it has run.
        fence(SeqCst);
        // ORDERING: hub:closing: Relaxed; ordered by the fence.
        if self.closing.load(Relaxed) {
            // With the lock, or the notice might fall between a look and a wait.
            drop(lock(&self.calls));
            self.over.notify_all();
        }
    }

    /// To be called when a worker ends.
    pub(crate) fn retire(&self) {
        lock(&self.calls).workers -= 1;
        self.over.notify_all();
    }

    /// Waits, after `close`, until what is left is little enough, or until the deadline, and returns what is left
    /// then.
    pub(crate) fn wait_until(
        &self,
        enough: impl Fn(Left) -> bool,
        deadline: Option<Instant>,
    ) -> Left {
        // ORDERING: hub:wait: SeqCst fence, pairs with `hub:rest`.
        fence(SeqCst);
        let mut calls = lock(&self.calls);
        loop {
            let left = calls.left();
            if enough(left) {
                return left;
            }
            let time = deadline.map_or(SLICE, |at| at.saturating_duration_since(now()).min(SLICE));
            if time.is_zero() {
                return left;
            }
            calls = self.over.wait_timeout(calls, time).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    pub(crate) fn is_stopping(&self) -> bool {
        // ORDERING: hub:stopping: Relaxed; nothing is passed on by it. Who sleeps next has it from `hub:stop`, who
        // waits in a call from the waker's cell.
        self.stopping.load(Relaxed)
    }
}
