//! The time that one thread stays with one call.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Duration;

use crate::primitive::{Stopwatch, now, thread_local};
use crate::scheduler::gate::Gate;
use crate::scheduler::registry::Scheduler;
use crate::scheduler::work::Work;
use crate::scheduler::worker_thread::{WorkerThread, this_worker};

/// The time that a worker stays with one call while others are open.
const QUANTUM: Duration = Duration::from_micros(200);

thread_local! {
    /// The schedulers whose jobs this thread runs, the innermost last.
    #[allow(clippy::missing_const_for_thread_local, reason = "loom's take no const block")]
    static INSIDE: RefCell<Vec<*const Scheduler>> = RefCell::new(Vec::new());
}

/// Returns `true` if this thread runs a job of this scheduler.
pub(crate) fn is_inside(scheduler: &Scheduler) -> bool {
    INSIDE
        .try_with(|inside| inside.borrow().contains(&std::ptr::from_ref(scheduler)))
        .unwrap_or(false)
}

/// Marks this thread as running a job of a scheduler, until it is dropped.
pub(crate) struct Inside(());

impl Inside {
    pub(crate) fn enter(scheduler: &Scheduler) -> Inside {
        _ = INSIDE.try_with(|inside| inside.borrow_mut().push(scheduler));
        Inside(())
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        _ = INSIDE.try_with(|inside| inside.borrow_mut().pop());
    }
}

/// The stay of a worker, a caller or a consumer with one call.
pub(crate) struct TimeSlice<'a> {
    pub(crate) scheduler: &'a Scheduler,
    /// The thread's number among the participants of a batch: 0 for the caller or the consumer,
    /// `n + 1` for worker `n`.
    pub(crate) participant: usize,
    /// The thread, if it is a worker whose own time slice this is.
    worker: Option<&'a WorkerThread>,
    /// The time from the start of the executor to the start of the time slice, for a worker.
    started: Duration,
    /// The number of the call, for a worker.
    call: u64,
    /// `true` if this thread is a searching worker.
    searching: Cell<bool>,
    /// The gate of the call, if it has one.
    gate: Option<&'a Gate>,
    /// `true` while this thread has passed the gate.
    is_inside: Cell<bool>,
    /// Reading it costs as much as dozens of small items.
    stopwatch: Stopwatch,
    /// The last reading of the stopwatch, in nanoseconds.
    last: Cell<u64>,
    _inside: Inside,
}

impl<'a> TimeSlice<'a> {
    /// Starts the time slice of a caller or a consumer of a call that may have a gate. It has to
    /// [enter](TimeSlice::enter).
    pub(crate) fn own(scheduler: &'a Scheduler, gate: Option<&'a Gate>) -> TimeSlice<'a> {
        TimeSlice::new(scheduler, None, 0, false, gate)
    }

    /// Starts a time slice, of a worker if there is one.
    pub(crate) fn new(
        scheduler: &'a Scheduler,
        worker: Option<&'a WorkerThread>,
        call: u64,
        searching: bool,
        gate: Option<&'a Gate>,
    ) -> TimeSlice<'a> {
        let inside = Inside::enter(scheduler);
        // The time of a worker is charged to its call. A stopwatch that counts ticks may err, so a
        // worker reads the clock.
        let (started, stopwatch) = match worker {
            Some(_) => {
                let now = now();
                (scheduler.threads.since_epoch(now), Stopwatch::from(now))
            }
            None => (Duration::ZERO, Stopwatch::start()),
        };
        TimeSlice {
            scheduler,
            participant: worker.map_or(0, |worker| worker.index + 1),
            worker,
            started,
            call,
            searching: Cell::new(searching),
            gate,
            is_inside: Cell::new(false),
            stopwatch,
            last: Cell::new(0),
            _inside: inside,
        }
    }

    /// Passes the gate of the call. Returns `false` if it is full. Then this thread runs nothing.
    pub(crate) fn enter(&self) -> bool {
        self.pass(Gate::enter)
    }

    /// Passes the gate again, after this thread was inside the source. Other threads can claim the
    /// items that it has pulled.
    pub(crate) fn reenter(&self) -> bool {
        self.pass(Gate::reenter)
    }

    fn pass(&self, enter: impl FnOnce(&Gate) -> bool) -> bool {
        let Some(gate) = self.gate else { return true };
        if !self.is_inside.get() {
            self.is_inside.set(enter(gate));
        }
        self.is_inside.get()
    }

    /// Leaves the gate, if this thread has passed it.
    pub(crate) fn leave(&self) {
        if let Some(gate) = self.gate.filter(|_| self.is_inside.replace(false)) {
            gate.leave();
        }
    }

    /// Returns `true` if this thread may run items.
    pub(crate) fn may_run(&self) -> bool {
        self.gate.is_none() || self.is_inside.get()
    }

    /// Returns the gate of the call.
    pub(crate) fn gate(&self) -> Option<&'a Gate> {
        self.gate
    }

    /// Returns the time from the start to the last reading of the stopwatch.
    pub(crate) fn length(&self) -> Duration {
        Duration::from_nanos(self.last.get())
    }

    /// Reads the stopwatch and returns the time since the last reading.
    pub(crate) fn measure(&self) -> Duration {
        let nanos = self.stopwatch.nanos();
        Duration::from_nanos(nanos.saturating_sub(self.last.replace(nanos)))
    }

    /// Returns `true` if the time of this thread was up at the last reading of the stopwatch.
    pub(crate) fn is_over(&self) -> bool {
        self.length() >= QUANTUM
    }

    pub(crate) fn is_searching(&self) -> bool {
        self.searching.get()
    }

    /// Notes, for snapshots, that this thread begins to run `count` items.
    pub(crate) fn note_running(&self, first: u64, count: u64) {
        debug_assert_ne!(count, 0, "a count of 0 stands for the source");
        self.note(first, count);
    }

    /// Notes, for snapshots, that this thread begins to pull a source that never blocks.
    pub(crate) fn note_pulling(&self) {
        self.note(0, 0);
    }

    /// Notes, for snapshots and the monitor, that this thread is inside the source of the call
    /// until the answer is dropped.
    pub(crate) fn enter_source(&self) -> InSource<'a> {
        self.note_pulling();
        // A thread inside a source runs no items, and may stay there.
        self.leave();
        let inside = match self.worker {
            Some(worker) => InSource::Worker(worker, worker.enter_source(false)),
            // A worker that takes from a stream in a job is inside a source, too.
            None => this_worker().map_or(InSource::Other, |worker| {
                let is_outermost = worker.enter_source(true);
                worker.monitor.source_entered();
                InSource::InJob(worker, is_outermost)
            }),
        };
        self.scheduler.monitor.source_entered();
        inside
    }

    fn note(&self, first: u64, count: u64) {
        if let Some(worker) = self.worker {
            worker.status.set(self.call, first, count, self.started + self.length());
        }
    }

    /// Ends this thread's search and wakes a worker if there is more to claim.
    ///
    /// A thread calls this after it claimed items or the right to pull, and before it runs the
    /// user's code.
    pub(crate) fn claimed(&self, work: &dyn Work) {
        let idle = &self.scheduler.idle;
        let searched = self.searching.replace(false);
        if searched {
            idle.stop_searching();
        }
        let more = || self.gate.is_none_or(Gate::is_open) && work.claimable();
        if idle.should_wake() && (more() || searched && self.scheduler.any_claimable()) {
            idle.wake_one();
        }
    }
}

impl Drop for TimeSlice<'_> {
    fn drop(&mut self) {
        self.leave();
        if let Some(worker) = self.worker {
            worker.status.clear();
        }
    }
}

/// Marks this thread as inside a source, until it is dropped.
pub(crate) enum InSource<'a> {
    /// A worker, in its own time slice.
    Worker(&'a WorkerThread, bool),
    /// A worker, in a job.
    InJob(Arc<WorkerThread>, bool),
    /// A caller or a consumer.
    Other,
}

impl Drop for InSource<'_> {
    fn drop(&mut self) {
        match self {
            InSource::Worker(worker, is_outermost) => worker.watch.leave(*is_outermost),
            InSource::InJob(worker, is_outermost) => worker.watch.leave(*is_outermost),
            InSource::Other => {}
        }
    }
}
