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
//! Meanwhile, other threads may change the room. So a sender that finds too little room for its own
//! item notifies the senders that wait: after it has registered, and before it runs items instead.
//!
//! There may be thousands of futures in the list. So a notification visits waits only while the
//! lightest of them fits.
//!
//! It takes as much time to wake a thread as to run several cheap items. So a thread that begins to
//! wait wants room for several items. After [`PATIENCE`], it waits for the room of one item.
//!
//! Wakers are user code. They are cloned, woken and dropped while no lock is held, because their
//! functions may use the queue.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::mem;
use std::ops::Bound;
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

    /// Returns `true` if the budget has room for an item of this weight beside others, whose sum is
    /// `chosen`.
    fn fits(&self, chosen: u128, weight: Option<u64>) -> bool {
        let budget = self.budget.zip(weight);
        budget.is_none_or(|(budget, weight)| budget.fits_after(chosen, weight))
    }
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
    /// The senders that wait as a thread or a future, by the numbers of their waits.
    list: BTreeMap<u64, Waiter>,
    /// The number of waits in the list for each weight.
    weights: BTreeMap<Option<u64>, usize>,
    /// The wakers of the sinks, by the numbers of their waits.
    sinks: BTreeMap<u64, Waker>,
    /// The number of waits that ever began.
    last: u64,
    /// The number of waits that notifications have looked at.
    #[cfg(test)]
    visits: usize,
}

struct Waiter {
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

    fn insert(&mut self, id: u64, waiter: Waiter) -> Option<Waiter> {
        *self.weights.entry(waiter.wanted.weight).or_default() += 1;
        let old = self.list.insert(id, waiter);
        old.inspect(|old| self.uncount(old.wanted.weight))
    }

    fn remove(&mut self, id: u64) -> Option<Waiter> {
        let waiter = self.list.remove(&id);
        waiter.inspect(|waiter| self.uncount(waiter.wanted.weight))
    }

    fn uncount(&mut self, weight: Option<u64>) {
        if let Entry::Occupied(mut count) = self.weights.entry(weight) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }

    /// Removes the senders for which the offer is enough, all of them together. Returns their
    /// wakers, in the order of their waits.
    fn take_fitting(&mut self, offer: &Offer<'_>) -> Vec<Waker> {
        let (mut woken, mut chosen, mut last) = (Vec::new(), 0, 0);
        // No wait fits if the lightest one does not.
        while woken.len() < offer.items && self.lightest().is_some_and(|it| offer.fits(chosen, it))
        {
            let mut later = self.list.range((Bound::Excluded(last), Bound::Unbounded));
            let fitting = later.find(|(_, Waiter { wanted, .. })| {
                #[cfg(test)]
                {
                    self.visits += 1;
                }
                wanted.items <= offer.items && offer.fits(chosen, wanted.weight)
            });
            let Some((&id, waiter)) = fitting else { break };
            (chosen, last) = (chosen + u128::from(waiter.wanted.weight.unwrap_or(0)), id);
            woken.extend(self.remove(id).map(|waiter| waiter.waker));
        }
        woken
    }

    /// Returns the least weight in the list.
    fn lightest(&self) -> Option<Option<u64>> {
        self.weights.first_key_value().map(|(weight, _)| *weight)
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
            let known = wait.0.filter(|id| waiters.list.contains_key(id));
            let id = known.unwrap_or_else(|| waiters.begin());
            wait.0 = Some(id);
            waiters.insert(id, Waiter { waker, wanted }).map(|old| old.waker)
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
        let waiter = self.change(|waiters| waiters.remove(id));
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
            let offer = offer();
            let has_room = offer.items > 0 && offer.fits(0, Some(SINK_WEIGHT));
            let sinks = if has_room { mem::take(&mut waiters.sinks) } else { BTreeMap::new() };
            let woken = waiters.take_fitting(&offer);
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
        waiters.list.into_values().for_each(|waiter| discard(waiter.waker));
    }
}

#[cfg(all(test, not(any(reorder_loom, reorder_shuttle))))]
mod tests {
    use super::*;

    /// Registers `count` futures, which have these weights in turn.
    fn register(room: &Room, count: usize, weights: &[u64]) -> Vec<Wait> {
        let begin = |&weight| {
            let mut wait = Wait::default();
            let wanted = Wanted { items: 1, weight: Some(weight) };
            room.register(&mut wait, Waker::noop(), wanted);
            wait
        };
        weights.iter().cycle().take(count).map(begin).collect()
    }

    fn left_and_visits(room: &Room) -> (usize, usize) {
        let mut waiters = lock(&room.waiters);
        assert_eq!(waiters.weights.values().sum::<usize>(), waiters.list.len());
        (waiters.list.len(), mem::take(&mut waiters.visits))
    }

    #[test]
    fn room_that_is_enough_for_no_wait_visits_none() {
        let budget = Budget::new(100);
        assert!(budget.admit(60));
        let room = Room::default();
        let mut waits = register(&room, 1000, &[50, 41, 90]);
        let offer = |items| Offer { items, budget: Some(&budget) };
        room.notify(|| offer(9));
        assert_eq!(left_and_visits(&room), (1000, 0));
        // A light wait is found behind the others, and nothing is visited after it.
        waits.extend(register(&room, 1, &[40]));
        room.notify(|| offer(9));
        assert_eq!(left_and_visits(&room), (1000, 1001));
        room.notify(|| offer(9));
        room.notify(|| offer(0));
        assert_eq!(left_and_visits(&room), (1000, 0));
        // Each wait is visited once at most, however many are woken.
        budget.take_to(1);
        room.notify(|| offer(9));
        assert_eq!(left_and_visits(&room), (998, 2), "the weights 50 and 41");
        waits.drain(..500).for_each(|wait| _ = room.end(wait));
        assert_eq!(left_and_visits(&room), (500, 0));
        room.notify(|| Offer::END);
        assert_eq!(left_and_visits(&room), (0, 500));
        assert!(waits.into_iter().all(|wait| room.end(wait)));
    }
}
