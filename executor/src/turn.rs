//! A thread's stay with one piece of work.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use crate::hub::Hub;
use crate::primitive::{now, thread_local};
use crate::work::Work;

/// How long a worker stays with one batch while others are open.
const QUANTUM: Duration = Duration::from_micros(200);

thread_local! {
    /// The hubs whose turns this thread is in, the innermost last.
    #[allow(clippy::missing_const_for_thread_local, reason = "loom's take no const block")]
    static INSIDE: RefCell<Vec<*const Hub>> = RefCell::new(Vec::new());
}

/// Whether this thread is within a job of this hub that its workers could know of.
pub(crate) fn is_inside(hub: &Hub) -> bool {
    INSIDE.try_with(|inside| inside.borrow().contains(&std::ptr::from_ref(hub))).unwrap_or(false)
}

/// That this thread is inside of a job of a hub.
pub(crate) struct Inside(());

impl Inside {
    pub(crate) fn enter(hub: &Hub) -> Inside {
        _ = INSIDE.try_with(|inside| inside.borrow_mut().push(hub));
        Inside(())
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        _ = INSIDE.try_with(|inside| inside.borrow_mut().pop());
    }
}

/// One worker's or caller's stay with one piece of work.
pub(crate) struct Turn<'a> {
    pub(crate) hub: &'a Hub,
    /// Who takes the turn: 0 is the caller of a batch, or a consumer, and the others are workers.
    pub(crate) seat: usize,
    /// The number of the call, for a worker.
    call: u64,
    /// Whether this thread has the role of the searcher.
    searching: Cell<bool>,
    started: Instant,
    /// When the last lap ended: reading the clock costs as much as dozens of small items.
    lapped: Cell<Instant>,
    _inside: Inside,
}

impl<'a> Turn<'a> {
    /// That of a caller or consumer.
    pub(crate) fn own(hub: &'a Hub) -> Turn<'a> {
        Turn::new(hub, 0, 0, false)
    }

    /// That of a worker.
    pub(crate) fn of_worker(hub: &'a Hub, worker: usize, call: u64, searching: bool) -> Turn<'a> {
        Turn::new(hub, worker + 1, call, searching)
    }

    fn new(hub: &'a Hub, seat: usize, call: u64, searching: bool) -> Turn<'a> {
        let inside = Inside::enter(hub);
        let now = now();
        let searching = Cell::new(searching);
        Turn { hub, seat, call, searching, started: now, lapped: Cell::new(now), _inside: inside }
    }

    /// From its start to its last lap.
    pub(crate) fn length(&self) -> Duration {
        self.lapped.get().duration_since(self.started)
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
        self.length() >= QUANTUM
    }

    pub(crate) fn is_searching(&self) -> bool {
        self.searching.get()
    }

    /// Tells whoever asks that this thread begins with so many items, or, if they are none, with the source.
    pub(crate) fn begins(&self, first: u64, count: u64) {
        if let Some(worker) = self.seat.checked_sub(1) {
            self.hub.seats().take(worker, self.call, first, count, self.lapped.get());
        }
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

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Some(worker) = self.seat.checked_sub(1) {
            self.hub.seats().leave(worker);
        }
    }
}
