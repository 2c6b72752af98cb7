//! The monitor: a thread that checks whether threads stay inside users' sources.
//!
//! A source may block for ever. The monitor notices that a thread has been inside one for about a
//! millisecond. Then other threads may take over the items that this thread has pulled, and another
//! worker takes its place (`supervise`).
//!
//! | state | meaning | left by |
//! |---|---|---|
//! | `ENDED` | there is no monitor | the next thread that enters a source: starts one |
//! | `LOOKING` | it looks each [`TICK`] | the monitor: nothing has changed for [`QUIET`] looks |
//! | `ASLEEP` | it sleeps | the next thread that enters a source: wakes it |
//! | `ASLEEP` | it sleeps | the monitor, after [`REST`]: ends, or looks again if it is needed |
//!
//! So a thread that enters a source pays a fence and a load, and an executor without pulls keeps no
//! monitor. If the system refuses the thread, sources are pulled without a monitor.
//!
//! Models of the executor have no monitor. They call `Scheduler::look_at_sources` themselves.

use std::io;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::time::Duration;

use crate::primitive::thread::JoinHandle;
use crate::primitive::{AtomicU8, Mutex, OnceLock, Parker, Unparker, fence, lock, now};
use crate::unwind::discard;

/// The time between two looks.
const TICK: Duration = Duration::from_millis(1);
/// The number of looks without a change before the monitor sleeps.
const QUIET: u32 = if cfg!(reorder_loom) { 1 } else { 8 };
/// The time after which a monitor that sleeps ends, unless a thread is blocked or one too many.
const REST: Duration = Duration::from_millis(100);

const ENDED: u8 = 0;
const LOOKING: u8 = 1;
const ASLEEP: u8 = 2;
/// The executor has ended, and wants no monitor any more.
const CLOSED: u8 = 3;

pub(crate) struct Monitor {
    state: AtomicU8,
    thread: Mutex<MonitorThread>,
    /// Set if the executor has a monitor.
    start: OnceLock<Start>,
}

/// Starts the monitor's thread, with the parker with which it sleeps.
type Start = Box<dyn Fn(Parker) -> io::Result<JoinHandle<()>> + Send + Sync>;

#[derive(Default)]
struct MonitorThread {
    unparker: Option<Unparker>,
    handle: Option<JoinHandle<()>>,
    /// The number of times that the system refused the thread, or was not asked again.
    refused: u32,
}

impl Monitor {
    pub(crate) fn new() -> Monitor {
        Monitor { state: AtomicU8::new(ENDED), thread: Mutex::default(), start: OnceLock::new() }
    }

    fn state(&self) -> u8 {
        // ORDERING: monitor:state: Relaxed; changed under the lock, or ordered by the fences
        // `monitor:enter` and `monitor:sleep`.
        self.state.load(Relaxed)
    }

    fn set(&self, state: u8) {
        // ORDERING: monitor:set: Relaxed; as `monitor:state`.
        self.state.store(state, Relaxed);
    }

    /// Changes the state under the lock, if it is `from`. Returns `true` if it was.
    fn change(&self, from: u8, to: u8) -> bool {
        let _thread = lock(&self.thread);
        let is_from = self.state() == from;
        if is_from {
            self.set(to);
        }
        is_from
    }

    /// Gives the monitor a way to start.
    pub(crate) fn enable(&self, start: Start) {
        _ = self.start.set(start);
    }

    /// Wakes or starts the monitor if necessary. A thread calls this after it has noted that it
    /// enters a source.
    #[inline]
    pub(crate) fn source_entered(&self) {
        // ORDERING: monitor:enter: SeqCst fence, pairs with `monitor:sleep`: either the monitor
        // sees this thread inside, or this thread sees the monitor asleep.
        fence(SeqCst);
        if self.state() != LOOKING {
            self.wake();
        }
    }

    #[cold]
    fn wake(&self) {
        let Some(start) = self.start.get() else { return };
        let mut thread = lock(&self.thread);
        match self.state() {
            ASLEEP => {
                self.set(LOOKING);
                if let Some(unparker) = &thread.unparker {
                    unparker.unpark();
                }
            }
            // Asked again after twice as many times, if the system refuses it.
            ENDED if thread.refused == 0 || thread.refused.is_power_of_two() => {
                let parker = Parker::new();
                thread.unparker = Some(parker.unparker());
                self.set(LOOKING);
                match start(parker) {
                    Ok(handle) => (thread.handle, thread.refused) = (Some(handle), 0),
                    Err(_) => {
                        self.set(ENDED);
                        thread.refused += 1;
                    }
                }
            }
            ENDED => thread.refused = thread.refused.saturating_add(1),
            _ => {}
        }
    }

    /// Ends the monitor, and waits for it.
    pub(crate) fn end(&self) {
        let mut thread = lock(&self.thread);
        self.set(CLOSED);
        if let Some(unparker) = &thread.unparker {
            unparker.unpark();
        }
        let handle = thread.handle.take();
        drop(thread);
        if let Some(Err(payload)) = handle.map(JoinHandle::join) {
            discard(payload);
        }
    }

    /// Looks, by `look`, until nothing changes for a while. `look` returns `true` if it should be
    /// called again soon. A monitor does not end while `is_needed`.
    pub(crate) fn run(
        &self,
        parker: &Parker,
        look: impl Fn() -> bool,
        is_needed: impl Fn() -> bool,
    ) {
        let mut quiet = 0;
        while self.state() != CLOSED {
            parker.park_deadline(now() + TICK);
            quiet = if look() { 0 } else { quiet + 1 };
            if quiet < QUIET || !self.change(LOOKING, ASLEEP) {
                continue;
            }
            quiet = 0;
            // ORDERING: monitor:sleep: SeqCst fence, pairs with `monitor:enter`.
            fence(SeqCst);
            if look() {
                self.change(ASLEEP, LOOKING);
                continue;
            }
            // A thread that wakes the monitor has set the state.
            parker.park_deadline(now() + REST);
            let next = if is_needed() { LOOKING } else { ENDED };
            if self.change(ASLEEP, next) && next == ENDED {
                return;
            }
        }
    }
}
