//! The senders that wait for room in a queue.
//!
//! A sender registers its waker, and then looks for room again. The consumer makes room, and then
//! looks for waiting senders. Each side has a fence in between, so one of them sees the other.
//!
//! There are two kinds of waits:
//!
//! | wait | of | a woken sender that does not send |
//! |---|---|---|
//! | [`Wait`] | a blocked thread, or a future that awaits room | wakes the next sender, when the wait [ends](Room::end) |
//! | [`SinkWait`] | a sink whose task was told to wait | does nothing, because its task may never poll it again |
//!
//! So a wake-up of a sink does not use up room: [`Room::notify`] wakes all sinks, and as many other
//! senders as there is room for. In a queue with a budget, it wakes only senders whose items fit.
//!
//! Meanwhile, other threads may change the room. So a sender that registers and finds too little
//! room for its own item notifies the senders that wait.
//!
//! It takes as much time to wake a thread as to run several cheap items. So a thread that begins to
//! wait wants room for several items. After [`PATIENCE`], it waits for the room of one item.
//!
//! Wakers are user code. They are cloned, woken and dropped while no lock is held, because their
//! functions may use the queue.

use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::task::Waker;
use std::time::{Duration, Instant};

use crate::limits::Budget;
use crate::primitive::{AtomicUsize, Mutex, fence, lock, now};
use crate::scheduler::park;
use crate::unwind::{catch_panic, discard};

/// The time for which a sender waits for room for several items.
const PATIENCE: Duration = Duration::from_micros(100);

/// The weight for which a sink wants room. The sink does not know the weight of its item yet.
pub(crate) const SINK_WEIGHT: u64 = 1;

/// The room that a sender wants.
#[derive(Clone, Copy)]
pub(crate) struct Wanted {
    /// The number of items.
    pub(crate) items: usize,
    /// The weight of the next item, if it has one.
    pub(crate) weight: Option<u64>,
}

/// The room that a queue has.
pub(crate) struct Offer<'a> {
    /// The number of items.
    pub(crate) items: usize,
    /// The budget for the weights of the items, if there is one.
    pub(crate) budget: Option<&'a Budget>,
}

impl Offer<'_> {
    /// An offer for all senders, which find out that the queue has ended.
    pub(crate) const END: Offer<'static> = Offer { items: usize::MAX, budget: None };
}

/// The list of the senders of one queue that wait for room.
#[derive(Default)]
pub(crate) struct Room {
    /// The number of waiting senders, readable without the lock.
    waiting: AtomicUsize,
    waiters: Mutex<Waiters>,
}

#[derive(Default)]
struct Waiters {
    /// The senders that wait as a thread or a future.
    list: VecDeque<Waiter>,
    /// The wakers of the sinks, by the numbers of their waits.
    sinks: BTreeMap<u64, Waker>,
    /// The number of waits that ever began.
    last: u64,
}

struct Waiter {
    id: u64,
    waker: Waker,
    wanted: Wanted,
}

/// The wait of a thread or a future. The wait has to be [ended](Room::end).
#[derive(Default)]
pub(crate) struct Wait(Option<u64>);

/// The wait of a sink. The wait has to be [ended](Room::end_sink).
#[cfg(feature = "sink")]
#[derive(Default)]
pub(crate) struct SinkWait(Option<u64>);

impl Waiters {
    /// Returns the number of a wait that begins.
    fn begin(&mut self) -> u64 {
        self.last += 1;
        self.last
    }
}

impl Room {
    /// Changes the list of waits. Then makes their number readable without the lock.
    fn change<R>(&self, change: impl FnOnce(&mut Waiters) -> R) -> R {
        let mut waiters = lock(&self.waiters);
        let result = change(&mut waiters);
        // ORDERING: room:note: Relaxed; changed under the lock. The fences order what comes after.
        self.waiting.store(waiters.list.len() + waiters.sinks.len(), Relaxed);
        result
    }

    /// Registers a waker by `add`, which returns the waker that it replaces. The sender then has to
    /// look for room again.
    fn register_with(&self, waker: &Waker, add: impl FnOnce(&mut Waiters, Waker) -> Option<Waker>) {
        let waker = waker.clone();
        let old = self.change(|waiters| add(waiters, waker));
        discard(old);
        // ORDERING: room:register: SeqCst fence, pairs with `room:notify`: either the consumer sees
        // this sender, or this sender sees the room.
        fence(SeqCst);
    }

    /// Registers the waker of a sender. The sender then has to look for the room again.
    pub(crate) fn register(&self, wait: &mut Wait, waker: &Waker, wanted: Wanted) {
        self.register_with(waker, |waiters, waker| {
            let known = wait.0.and_then(|id| waiters.list.iter_mut().find(|other| other.id == id));
            if let Some(known) = known {
                known.wanted = wanted;
                return Some(mem::replace(&mut known.waker, waker));
            }
            let id = waiters.begin();
            wait.0 = Some(id);
            waiters.list.push_back(Waiter { id, waker, wanted });
            None
        });
    }

    /// Registers the waker of a sink. The sink then has to look for room again.
    #[cfg(feature = "sink")]
    pub(crate) fn register_sink(&self, wait: &mut SinkWait, waker: &Waker) {
        self.register_with(waker, |waiters, waker| {
            let id = *wait.0.get_or_insert_with(|| waiters.begin());
            waiters.sinks.insert(id, waker)
        });
    }

    /// Ends a wait. Returns `true` if the sender was woken. If it does not use the room, the caller
    /// then has to notify the next sender.
    pub(crate) fn end(&self, wait: Wait) -> bool {
        let Some(id) = wait.0 else { return false };
        let waiter = self.change(|waiters| {
            let place = waiters.list.iter().position(|other| other.id == id);
            place.and_then(|place| waiters.list.remove(place))
        });
        let was_woken = waiter.is_none();
        discard(waiter);
        was_woken
    }

    /// Ends the wait of a sink.
    #[cfg(feature = "sink")]
    pub(crate) fn end_sink(&self, wait: SinkWait) {
        if let Some(id) = wait.0 {
            discard(self.change(|waiters| waiters.sinks.remove(&id)));
        }
    }

    /// Blocks until `may_send` returns `true` for the wanted room, or until `deadline`. After a
    /// while, one item is wanted. A thread that makes room [notifies](Room::notify) afterwards.
    pub(crate) fn wait(
        &self,
        deadline: Option<Instant>,
        mut wanted: Wanted,
        may_send: impl Fn(Wanted) -> bool,
    ) {
        park::with_current(|parker, waker| {
            let mut wait = Wait::default();
            let mut patience = if wanted.items > 1 { now().checked_add(PATIENCE) } else { None };
            loop {
                if patience.is_none() {
                    wanted.items = 1;
                }
                self.register(&mut wait, waker, wanted);
                if may_send(wanted) {
                    break;
                }
                let Some(until) = patience.into_iter().chain(deadline).min() else {
                    parker.park();
                    continue;
                };
                if !parker.park_deadline(until) {
                    if deadline == Some(until) {
                        break;
                    }
                    patience = None;
                }
            }
            self.end(wait);
        });
    }

    /// Wakes the senders for which the offer is enough: all of them together, in the order of their
    /// waits. Skips each sender that wants more. Also wakes all sinks, if there is room for one.
    pub(crate) fn notify<'a>(&self, offer: impl FnOnce() -> Offer<'a>) {
        // ORDERING: room:notify: SeqCst fence, pairs with `room:register`.
        fence(SeqCst);
        // ORDERING: room:look: Relaxed; ordered by the fence.
        if self.waiting.load(Relaxed) == 0 {
            return;
        }
        let (sinks, woken) = self.change(|waiters| {
            let (Offer { items, budget }, mut woken) = (offer(), Vec::new());
            let has_room = items > 0 && budget.is_none_or(|budget| budget.fits(SINK_WEIGHT));
            let sinks = if has_room { mem::take(&mut waiters.sinks) } else { BTreeMap::new() };
            let mut choose = budget.map(Budget::choose);
            let mut fits = |weight| choose.as_mut().is_none_or(|choose| choose(weight));
            let mut place = 0;
            while woken.len() < items && place < waiters.list.len() {
                let Wanted { items: wanted, weight } = waiters.list[place].wanted;
                if wanted <= items && weight.is_none_or(&mut fits) {
                    woken.extend(waiters.list.remove(place).map(|waiter| waiter.waker));
                } else {
                    place += 1;
                }
            }
            (sinks, woken)
        });
        sinks.into_values().chain(woken).for_each(|waker| catch_panic(|| waker.wake()));
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        // Only futures that were forgotten are left: a sink that was forgotten keeps its queue. The
        // wakers are dropped one by one, because the `Drop` of each may panic.
        let waiters = mem::take(&mut *lock(&self.waiters));
        waiters.list.into_iter().for_each(|waiter| discard(waiter.waker));
    }
}
