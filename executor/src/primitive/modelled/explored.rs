//! The locks, the pauses and the clock of a model that loom or shuttle explores.

use std::cell::Cell;
use std::time::{Duration, Instant};

#[cfg(reorder_loom)]
use loom as engine;
#[cfg(reorder_shuttle)]
use shuttle as engine;

pub(super) use engine::sync::atomic::AtomicBool;
pub(crate) use engine::sync::{Condvar, Mutex, MutexGuard};
use engine::thread;

/// Lets other threads run. Returns `false`: nothing is to be waited for.
pub(super) fn nap(_until: Instant) -> bool {
    thread::yield_now();
    false
}

/// Lets other threads run a few times.
pub(crate) struct Backoff(Cell<u32>);

impl Backoff {
    pub(crate) fn new() -> Backoff {
        Backoff(Cell::new(0))
    }

    pub(crate) fn snooze(&self) {
        self.0.set(self.0.get() + 1);
        thread::yield_now();
    }

    pub(crate) fn is_disturbed(&self) -> bool {
        false
    }

    pub(crate) fn is_completed(&self) -> bool {
        cfg!(reorder_loom) || self.0.get() >= 3
    }
}

/// Lets other threads run. Time orders nothing.
pub(crate) fn sleep(_time: Duration) {
    thread::yield_now();
}

/// Returns the same number on every machine.
pub(crate) fn processors() -> usize {
    2
}

/// Returns the time of a clock that advances at each reading, so that a model repeats itself.
///
/// In loom a step is so large that every item is slow. In shuttle the schedule chooses the step.
pub(crate) fn now() -> Instant {
    std::thread_local! {
        static START: Instant = Instant::now();
        static TIME: Cell<Duration> = const { Cell::new(Duration::ZERO) };
    }
    #[cfg(reorder_loom)]
    let step = Duration::from_millis(1);
    #[cfg(reorder_shuttle)]
    let step = Duration::from_nanos(engine::rand::Rng::gen_range(
        &mut engine::rand::thread_rng(),
        0..10_000,
    ));
    let time = TIME.get() + step;
    TIME.set(time);
    START.with(|start| *start + time)
}
