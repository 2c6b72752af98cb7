//! The life of a worker thread.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crossbeam_utils::Backoff;
use parking::Parker;

use crate::failure::discard;
use crate::hub::{Hub, Turn};
use crate::work::Work;

thread_local!(static HUB_OF_THIS_WORKER: Cell<*const Hub> = const { Cell::new(std::ptr::null()) });

/// Whether the current thread is a worker of this hub.
pub(crate) fn is_worker_of(hub: &Hub) -> bool {
    HUB_OF_THIS_WORKER.try_with(|own| std::ptr::eq(own.get(), hub)).unwrap_or(false)
}

struct Worker {
    hub: Arc<Hub>,
    index: usize,
    /// What was open when it last looked, and where it goes on: it turns between them.
    known: Vec<Arc<dyn Work>>,
    version: usize,
    next: usize,
    searching: bool,
}

pub(crate) fn run(hub: Arc<Hub>, index: usize, parker: Parker) {
    HUB_OF_THIS_WORKER.set(Arc::as_ptr(&hub));
    let mut worker =
        Worker { hub, index, known: Vec::new(), version: 0, next: 0, searching: false };
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
        loop {
            if self.round() {
                return true;
            }
            if !self.searching {
                self.searching = true;
                self.hub.start_searching();
            }
            if backoff.is_completed() || self.hub.is_stopping() {
                return false;
            }
            backoff.snooze();
        }
    }

    /// Takes a turn at the first open work that has something to claim.
    fn round(&mut self) -> bool {
        self.hub.refresh(&mut self.version, &mut self.known);
        for _ in 0..self.known.len() {
            self.next = (self.next + 1) % self.known.len();
            let work = &self.known[self.next];
            if !work.claimable() {
                continue;
            }
            let turn = Turn::new(&self.hub, self.index + 1, self.searching);
            // Jobs are caught one by one; this is for a `Drop` of the user's in between.
            let ran = catch_unwind(AssertUnwindSafe(|| work.turn(&turn)));
            self.searching = turn.is_searching();
            match ran {
                Ok(false) => {}
                Ok(true) => return true,
                Err(payload) => {
                    discard(payload);
                    return true;
                }
            }
        }
        false
    }

    fn doze(&mut self) -> bool {
        // A sleeper must not keep closed work alive.
        discard(std::mem::take(&mut self.known));
        self.version = usize::MAX;
        if self.hub.is_stopping() {
            return false;
        }
        self.searching = false;
        self.hub.doze(self.index)
    }

    fn retire(mut self) {
        if self.searching {
            self.hub.stop_searching();
        }
        discard(std::mem::take(&mut self.known));
    }
}
