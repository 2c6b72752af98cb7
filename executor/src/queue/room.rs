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
//! senders as there is room for.
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

use crate::primitive::{AtomicUsize, Mutex, fence, lock, now};
use crate::scheduler::park;
use crate::unwind::{catch_panic, discard};

/// The time for which a sender waits for room for several items.
const PATIENCE: Duration = Duration::from_micros(100);

/// Wakes the senders that wait, in the order of their waits.
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
    /// The number of items for which there has to be room.
    wanted: usize,
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

    /// Registers the waker of a sender that wants room for `wanted` items. The sender then has to
    /// look for room again.
    pub(crate) fn register(&self, wait: &mut Wait, waker: &Waker, wanted: usize) {
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

    /// Blocks until `may_send` returns `true` for one item, or until `deadline`. At first it waits
    /// for room for `wanted` items. A thread that makes room [notifies](Room::notify) afterwards.
    pub(crate) fn wait(
        &self,
        deadline: Option<Instant>,
        mut wanted: usize,
        may_send: impl Fn(usize) -> bool,
    ) {
        park::with_current(|parker, waker| {
            let mut wait = Wait::default();
            let mut patience = if wanted > 1 { now().checked_add(PATIENCE) } else { None };
            loop {
                if patience.is_none() {
                    wanted = 1;
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

    /// Wakes up to `free()` senders, in the order of their waits. Skips each sender that wants more
    /// room than that. Also wakes all sinks, unless `free()` is 0.
    pub(crate) fn notify(&self, free: impl FnOnce() -> usize) {
        // ORDERING: room:notify: SeqCst fence, pairs with `room:register`.
        fence(SeqCst);
        // ORDERING: room:look: Relaxed; ordered by the fence.
        if self.waiting.load(Relaxed) == 0 {
            return;
        }
        let (sinks, woken) = self.change(|waiters| {
            let (free, mut woken) = (free(), Vec::new());
            while woken.len() < free {
                let place = waiters.list.iter().position(|waiter| waiter.wanted <= free);
                let Some(waiter) = place.and_then(|place| waiters.list.remove(place)) else {
                    break;
                };
                woken.push(waiter.waker);
            }
            let sinks = if free > 0 { mem::take(&mut waiters.sinks) } else { BTreeMap::new() };
            (sinks, woken)
        });
        sinks.into_values().chain(woken).for_each(|waker| catch_panic(|| waker.wake()));
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        // Only futures that were forgotten are left. Their wakers are dropped one by one, because
        // the `Drop` of each may panic.
        let waiters = mem::take(&mut *lock(&self.waiters));
        waiters.list.into_iter().for_each(|waiter| discard(waiter.waker));
        waiters.sinks.into_values().for_each(discard);
    }
}
