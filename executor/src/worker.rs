//! The life of a worker thread.

use std::cell::Cell;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::failure::discard;
use crate::hub::Hub;
use crate::primitive::{Backoff, Parker, thread_local};
use crate::trace;
use crate::turn::Turn;
use crate::work::Published;

/// How often a worker looks before it sleeps. The first looks follow each other faster than the rest,
/// between which it yields.
const LOOKS: u32 = if cfg!(any(reorder_loom, reorder_shuttle)) { 1 } else { 48 };

thread_local! {
    #[allow(clippy::missing_const_for_thread_local, reason = "loom's take no const block")]
    static HUB_OF_THIS_WORKER: Cell<*const Hub> = Cell::new(std::ptr::null());
}

/// Whether the current thread is a worker of this hub.
pub(crate) fn is_worker_of(hub: &Hub) -> bool {
    HUB_OF_THIS_WORKER.try_with(|own| std::ptr::eq(own.get(), hub)).unwrap_or(false)
}

struct Worker {
    hub: Arc<Hub>,
    index: usize,
    /// What was open when it last looked, and what it was at last: it turns between them.
    known: Vec<Arc<dyn Published>>,
    /// Room for the next list. Both are kept, so that looking around allocates nothing.
    spare: Vec<Arc<dyn Published>>,
    version: Option<usize>,
    next: usize,
    searching: bool,
}

pub(crate) fn run(hub: Arc<Hub>, index: usize, parker: Parker) {
    HUB_OF_THIS_WORKER.with(|own| own.set(Arc::as_ptr(&hub)));
    let mut worker = Worker {
        hub,
        index,
        known: Vec::new(),
        spare: Vec::new(),
        version: None,
        next: 0,
        searching: false,
    };
    while !worker.hub.is_stopping() {
        if !worker.search() && worker.doze() {
            parker.park();
            worker.searching = true;
        }
    }
    worker.retire();
}

impl Worker {
    /// Looks for work for a short while. `true` if it ran some.
    fn search(&mut self) -> bool {
        let backoff = Backoff::new();
        let (mut version, mut looks) = (self.hub.version(), 0);
        loop {
            if self.round() {
                return true;
            }
            if !self.searching {
                self.searching = true;
                self.hub.start_searching();
            }
            let now = self.hub.version();
            looks += 1;
            if now != version && self.hub.has_one_searcher() {
                // Callers are active. One worker stays awake for them: to wake one costs more than
                // a small batch.
                (version, looks) = (now, 0);
            }
            if looks == LOOKS || self.hub.is_stopping() {
                return false;
            }
            backoff.snooze();
        }
    }

    /// Takes a turn at the first open work that has something to claim.
    fn round(&mut self) -> bool {
        if self.hub.list(&mut self.version, &mut self.spare) {
            mem::swap(&mut self.known, &mut self.spare);
            self.discard_spare();
        }
        let Some(place) = self.choose() else { return false };
        self.next = place;
        let work = &self.known[place];
        self.hub.serve(work.account());
        let call = work.account().id();
        let _span = trace::turn(self.index, call);
        let turn = Turn::of_worker(&self.hub, self.index, call, self.searching);
        // Jobs are caught one by one; this is for a `Drop` of the user's in between.
        let ran = catch_unwind(AssertUnwindSafe(|| work.turn(&turn)));
        self.searching = turn.is_searching();
        work.account().charge(turn.length());
        drop(turn);
        self.hub.rest();
        ran.unwrap_or_else(|payload| {
            discard(payload);
            true
        })
    }

    /// Where the one is that was served for the shortest time, of those that have something to claim.
    fn choose(&self) -> Option<usize> {
        let mut chosen: Option<(u64, usize)> = None;
        for step in 1..=self.known.len() {
            let place = (self.next + step) % self.known.len();
            let work = &self.known[place];
            let served = work.account().served();
            if chosen.is_none_or(|(least, _)| served < least) && work.claimable() {
                chosen = Some((served, place));
            }
        }
        chosen.map(|(_, place)| place)
    }

    fn doze(&mut self) -> bool {
        // A sleeper must not keep closed work alive.
        mem::swap(&mut self.known, &mut self.spare);
        self.discard_spare();
        if !self.searching {
            self.searching = true;
            self.hub.start_searching();
        }
        self.version = None;
        if self.hub.is_stopping() {
            return false;
        }
        let asleep = self.hub.doze(self.index);
        self.searching = !asleep;
        asleep
    }

    /// The last reference to some work may run code of its owner, for which somebody may have to search meanwhile.
    fn discard_spare(&mut self) {
        if self.spare.is_empty() {
            return;
        }
        if mem::take(&mut self.searching) {
            self.hub.stop_searching();
            if self.hub.somebody_should_wake() && self.hub.any_claimable() {
                self.hub.wake_one();
            }
        }
        self.spare.drain(..).for_each(discard);
    }

    fn retire(mut self) {
        mem::swap(&mut self.known, &mut self.spare);
        self.discard_spare();
        if self.searching {
            self.hub.stop_searching();
        }
        self.hub.retire();
    }
}
