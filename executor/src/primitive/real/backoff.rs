//! The pauses of a thread that looks for something again and again.

use std::cell::Cell;
use std::hint::spin_loop;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::thread;

use crate::primitive::Stopwatch;

/// The number of pauses that spin, each for twice as long as the one before.
const SPINS: u32 = 7;
/// The number of pauses before it is cheaper to sleep.
const PAUSES: u32 = 11;
/// If a thread gets its processor back later than this, in nanoseconds, threads that never rest
/// need the processor. To sleep is cheaper then, and a wake-up comes sooner than the next turn of a
/// thread that yields. It is longer than one turn: if an executor has more workers than there are
/// processors, a worker that yields waits for the turn of another worker.
const LONG: u64 = 4_000_000;
/// After a pause that took [`LONG`], the number of backoffs that do not yield.
const BUSY: u32 = 64;

/// The number of backoffs to come that should not yield, in this process.
static LEFT: AtomicU32 = AtomicU32::new(0);

/// Pauses for longer and longer: first by spinning, then by giving up the processor.
pub(crate) struct Backoff {
    pauses: Cell<u32>,
    /// `true` if other threads need the processor.
    is_busy: Cell<bool>,
}

impl Backoff {
    pub(crate) fn new() -> Backoff {
        // A hint. If two threads count down at the same time, one more backoff does not yield.
        let left = LEFT.load(Relaxed);
        if left > 0 {
            LEFT.store(left - 1, Relaxed);
        }
        Backoff { pauses: Cell::new(0), is_busy: Cell::new(left > 0) }
    }

    pub(crate) fn snooze(&self) {
        let pauses = self.pauses.get();
        self.pauses.set(pauses + 1);
        if pauses < SPINS {
            (0..1 << pauses).for_each(|_| spin_loop());
            return;
        }
        let pause = Stopwatch::start();
        thread::yield_now();
        if pause.nanos() > LONG {
            LEFT.store(BUSY, Relaxed);
            self.is_busy.set(true);
        }
    }

    /// Returns `true` if other threads need the processor, and the thread should sleep.
    pub(crate) fn is_disturbed(&self) -> bool {
        self.is_busy.get() && self.pauses.get() >= SPINS
    }

    /// Returns `true` if it is cheaper to sleep than to pause.
    pub(crate) fn is_completed(&self) -> bool {
        self.pauses.get() >= PAUSES || self.is_disturbed()
    }
}
