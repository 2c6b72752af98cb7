//! The senders that wait for room in a queue.
//!
//! A sender registers its waker, and then looks for room again. The consumer makes room, and then
//! looks for waiting senders. Each side has a fence in between, so one of them sees the other.

use std::collections::VecDeque;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::task::Waker;
use std::time::Instant;

use crate::primitive::{AtomicUsize, Mutex, fence, lock};
use crate::scheduler::park;
use crate::unwind::catch_panic;

/// Wakes senders that wait, in the order of their waits.
#[derive(Default)]
pub(crate) struct Room {
    /// The number of waiting senders, readable without the lock.
    waiting: AtomicUsize,
    waiters: Mutex<Waiters>,
}

#[derive(Default)]
struct Waiters {
    list: VecDeque<(u64, Waker)>,
    /// The number of senders that ever waited.
    last: u64,
}

/// The wait of one sender. It has to be [ended](Room::end).
#[derive(Default)]
pub(crate) struct Wait(Option<u64>);

impl Room {
    fn note(&self, waiters: &Waiters) {
        // ORDERING: room:note: Relaxed; changed under the lock. The fences order what comes after.
        self.waiting.store(waiters.list.len(), Relaxed);
    }

    /// Registers the waker of a sender. The sender then has to look for room again.
    pub(crate) fn register(&self, wait: &mut Wait, waker: &Waker) {
        let mut waiters = lock(&self.waiters);
        let known = wait.0.and_then(|id| waiters.list.iter_mut().find(|(other, _)| *other == id));
        let old = match known {
            Some((_, known)) => Some(std::mem::replace(known, waker.clone())),
            None => {
                waiters.last += 1;
                let id = waiters.last;
                wait.0 = Some(id);
                waiters.list.push_back((id, waker.clone()));
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
        let place = waiters.list.iter().position(|(other, _)| *other == id);
        let waker = place.and_then(|place| waiters.list.remove(place));
        self.note(&waiters);
        drop(waiters);
        waker.is_none()
    }

    /// Blocks until `may_send` returns `true`, or until `deadline`. A thread that makes it true
    /// [notifies](Room::notify) afterwards.
    pub(crate) fn wait(&self, deadline: Option<Instant>, may_send: impl Fn() -> bool) {
        park::with_current(|parker, waker| {
            let mut wait = Wait::default();
            loop {
                self.register(&mut wait, waker);
                if may_send() {
                    break;
                }
                match deadline {
                    None => parker.park(),
                    Some(deadline) => {
                        if !parker.park_deadline(deadline) {
                            break;
                        }
                    }
                }
            }
            self.end(wait);
        });
    }

    /// Wakes as many senders as `free` returns, if any wait.
    pub(crate) fn notify(&self, free: impl FnOnce() -> usize) {
        // ORDERING: room:notify: SeqCst fence, pairs with `room:register`.
        fence(SeqCst);
        // ORDERING: room:look: Relaxed; ordered by the fence.
        if self.waiting.load(Relaxed) == 0 {
            return;
        }
        let mut waiters = lock(&self.waiters);
        let count = free().min(waiters.list.len());
        let woken: Vec<_> = waiters.list.drain(..count).collect();
        self.note(&waiters);
        drop(waiters);
        woken.into_iter().for_each(|(_, waker)| catch_panic(|| waker.wake()));
    }
}
