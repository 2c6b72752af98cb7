//! The request of a producer that waits for space: its waker, and the head at which it fits.
//!
//! ```text
//!   producer:  register the waker ──► announce ──► fence ──► check the head ──► sleep
//!   consumer:  store the head ──► look at the announcement ──► withdraw it ──► take the waker
//! ```
//!
//! The consumer looks after every take, without a fence. So its store of the head and its look may
//! be seen in the other order, for as long as the store needs to reach the other processor. The
//! producer checks the head again after a longer time. Once per half window, and when it finds
//! nothing to take, the consumer looks after a fence. Such a look never misses an announcement.
//!
//! Both sides change the waker cell by read-modify-writes. If the registration comes first, the
//! consumer finds the waker. If the take comes first, the registration acquires what the consumer
//! released, and the producer finds the space. So the announcement needs no order of its own.

use core::task::Waker;

use crate::primitive::Ordering::{Relaxed, SeqCst};
use crate::primitive::{AtomicU64, WakerCell, fence};

/// No producer waits.
const NONE: u64 = u64::MAX;

/// The request of a producer that waits for space.
pub(crate) struct SpaceRequest {
    waker: WakerCell,
    /// The head at which the request fits, or `NONE`.
    wanted: AtomicU64,
}

impl SpaceRequest {
    /// Returns the state without a request.
    pub(crate) fn none() -> SpaceRequest {
        SpaceRequest { waker: WakerCell::default(), wanted: AtomicU64::new(NONE) }
    }

    /// Registers the producer's waker for a cancellation alone.
    ///
    /// The producer checks for the cancellation afterwards.
    pub(crate) fn register(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    /// Registers the producer's waker, and announces the head at which its request fits.
    ///
    /// The producer checks the head afterwards.
    pub(crate) fn announce(&self, waker: &Waker, wanted: u64) {
        self.register(waker);
        // ORDERING: space:announce: Relaxed; ordered by the waker cell and by the fence.
        self.wanted.store(wanted, Relaxed);
        // ORDERING: space:fence: SeqCst pairs with `notify:fence`: either the consumer sees the
        // announcement, or this side sees the head.
        fence(SeqCst);
    }

    /// Withdraws the announcement of a wait that ended.
    pub(crate) fn withdraw(&self) {
        // ORDERING: space:withdraw: Relaxed; an announcement that is seen late costs the consumer a
        // needless wake-up.
        self.wanted.store(NONE, Relaxed);
    }

    /// Returns `true` if a producer waits, and its request fits now.
    #[inline]
    pub(crate) fn is_met(&self, head: u64) -> bool {
        // ORDERING: space:look: Relaxed; `space:notify` confirms the decision.
        self.wanted.load(Relaxed) <= head
    }

    /// Wakes the producer if its request fits now. It is woken once per announcement.
    pub(crate) fn notify(&self, head: u64) {
        // ORDERING: space:wanted: Relaxed; `space:notify` confirms the value.
        let wanted = self.wanted.load(Relaxed);
        // ORDERING: space:notify: Relaxed; ordered by the waker cell. If a later wait announced the
        // same head, this call wakes that wait. A failure means that the producer has announced
        // something else since the load. Then its fence comes after the fence of this side.
        if wanted <= head && self.wanted.compare_exchange(wanted, NONE, Relaxed, Relaxed).is_ok() {
            self.waker.wake();
        }
    }

    /// Wakes the producer if it waits, since its batch ends.
    pub(crate) fn wake(&self) {
        self.waker.wake();
    }

    /// Removes the request when the batch closes, and returns the waker.
    pub(crate) fn close(&self) -> Option<Waker> {
        // ORDERING: close:space: Relaxed; `batch:close` publishes it to the next batch.
        self.wanted.store(NONE, Relaxed);
        self.waker.take()
    }
}
