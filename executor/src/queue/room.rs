//! The senders that wait for room in a queue.
//!
//! A sender registers its waker, and then looks for room again. The consumer makes room, and then
//! looks for waiting senders. Each side has a fence in between, so one of them sees the other.
//!
//! To wake a thread costs as much as several cheap items. So a thread that begins to wait wants
//! room for several items. After [`PATIENCE`] it is content with room for one.

use std::collections::VecDeque;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::task::Waker;
use std::time::{Duration, Instant};

use crate::primitive::{AtomicUsize, Mutex, fence, lock, now};
use crate::scheduler::park;
use crate::unwind::catch_panic;

/// The time for which a sender waits for room for several items.
const PATIENCE: Duration = Duration::from_micros(100);

/// Wakes senders that wait, in the order of their waits.
#[derive(Default)]
pub(crate) struct Room {
    /// The number of waiting senders, readable without the lock.
    waiting: AtomicUsize,
    waiters: Mutex<Waiters>,
}

#[derive(Default)]
struct Waiters {
    list: VecDeque<Waiter>,
    /// The number of senders that ever waited.
    last: u64,
}

struct Waiter {
    id: u64,
    waker: Waker,
    /// The number of items for which there has to be room.
    wanted: usize,
}

/// The wait of one sender. It has to be [ended](Room::end).
#[derive(Default)]
pub(crate) struct Wait(Option<u64>);

impl Room {
    fn note(&self, waiters: &Waiters) {
        // ORDERING: room:note: Relaxed; changed under the lock. The fences order what comes after.
        self.waiting.store(waiters.list.len(), Relaxed);
    }

    /// Registers the waker of a sender that wants room for `wanted` items. The sender then has to
    /// look for room again.
    pub(crate) fn register(&self, wait: &mut Wait, waker: &Waker, wanted: usize) {
        let mut waiters = lock(&self.waiters);
        let known = wait.0.and_then(|id| waiters.list.iter_mut().find(|other| other.id == id));
        let old = match known {
            Some(known) => {
                known.wanted = wanted;
                Some(std::mem::replace(&mut known.waker, waker.clone()))
            }
            None => {
                waiters.last += 1;
                let id = waiters.last;
                wait.0 = Some(id);
                waiters.list.push_back(Waiter { id, waker: waker.clone(), wanted });
                None
            }
        };
        self.note(&waiters);
        drop(waiters);
        drop(old);
        // ORDERING: room:register: SeqCst fence, pairs with `room:notify`: either the consumer sees
        // this sender, or this sender sees the room.
        fence(SeqCst);
    }

    /// Ends a wait. If the sender was woken and does not use the room, another one may.
    ///
    /// Returns `true` if it had been woken.
    pub(crate) fn end(&self, wait: Wait) -> bool {
        let Some(id) = wait.0 else { return false };
        let mut waiters = lock(&self.waiters);
        let place = waiters.list.iter().position(|other| other.id == id);
        let waiter = place.and_then(|place| waiters.list.remove(place));
        self.note(&waiters);
        drop(waiters);
        waiter.is_none()
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

    /// Wakes up to as many senders as `free` returns, if any wait that want no more room.
    pub(crate) fn notify(&self, free: impl FnOnce() -> usize) {
        // ORDERING: room:notify: SeqCst fence, pairs with `room:register`.
        fence(SeqCst);
        // ORDERING: room:look: Relaxed; ordered by the fence.
        if self.waiting.load(Relaxed) == 0 {
            return;
        }
        let mut waiters = lock(&self.waiters);
        let (free, mut woken) = (free(), Vec::new());
        while woken.len() < free {
            let place = waiters.list.iter().position(|waiter| waiter.wanted <= free);
            let Some(waiter) = place.and_then(|place| waiters.list.remove(place)) else { break };
            woken.push(waiter.waker);
        }
        self.note(&waiters);
        drop(waiters);
        woken.into_iter().for_each(|waker| catch_panic(|| waker.wake()));
    }
}
