//! Pulling a user's iterator.
//!
//! One thread at a time has the right to pull. No thread waits for it: a thread that does not get
//! it looks for other work.
//!
//! | from | to | by |
//! |---|---|---|
//! | `OPEN` | `PULLING` | CAS of the thread that pulls |
//! | `PULLING` | `OPEN` | the puller; more may come |
//! | `PULLING` | `FULL` | the puller that found the window full |
//! | `PULLING` | `ENDED` | the puller; the source is not asked again |
//! | `FULL` | `OPEN` | CAS of the consumer that made space, or of the puller that looked again |

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering::Relaxed;

use crate::primitive::{AtomicU8, Mutex, MutexGuard, into_inner, lock};

const OPEN: u8 = 0;
const PULLING: u8 = 1;
const FULL: u8 = 2;
const ENDED: u8 = 3;

/// The phase that a puller leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Any thread may pull.
    Open,
    /// No thread may pull until the consumer has made space.
    Full,
    /// No thread pulls any more.
    Ended,
}

/// The right to pull, and the state that only the puller touches.
pub(crate) struct PullLock<T> {
    phase: AtomicU8,
    state: Mutex<T>,
}

impl<T> PullLock<T> {
    /// Returns a lock that any thread may take.
    pub(crate) fn new(state: T) -> PullLock<T> {
        PullLock { phase: AtomicU8::new(OPEN), state: Mutex::new(state) }
    }

    /// Returns a lock that no thread can take.
    pub(crate) fn ended(state: T) -> PullLock<T> {
        PullLock { phase: AtomicU8::new(ENDED), state: Mutex::new(state) }
    }

    /// Returns `true` if a thread could pull now.
    pub(crate) fn is_open(&self) -> bool {
        // ORDERING: pull:look: Relaxed; ordered by the fences in `idle`.
        self.phase.load(Relaxed) == OPEN
    }

    /// Takes the right to pull. Returns `None` if another thread has it, or there is nothing to
    /// pull.
    pub(crate) fn try_start(&self) -> Option<Puller<'_, T>> {
        // First the phase: a source must not look open while its state is locked. A worker that
        // finds it open does not sleep.
        // ORDERING: pull:start: Relaxed; the lock of the state orders all that the puller reads.
        self.phase.compare_exchange(OPEN, PULLING, Relaxed, Relaxed).ok()?;
        Some(Puller { lock: self, state: lock(&self.state) })
    }

    fn set(&self, phase: u8) {
        // ORDERING: pull:set: Relaxed; the lock of the state orders all that the puller reads.
        self.phase.store(phase, Relaxed);
    }

    /// Returns `true` if the puller found the window full, and no thread has seen space since.
    pub(crate) fn is_full(&self) -> bool {
        // ORDERING: pull:full: Relaxed; ordered by the fence `stream:space`.
        self.phase.load(Relaxed) == FULL
    }

    /// Changes the phase from `FULL` to `OPEN`. Returns `true` if this call did it.
    pub(crate) fn reopen(&self) -> bool {
        // ORDERING: pull:reopen: Relaxed; as `pull:set`.
        self.phase.compare_exchange(FULL, OPEN, Relaxed, Relaxed).is_ok()
    }

    /// Locks the state if no puller has it.
    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        // A panic under this lock is caught by `pull`, so the lock is never poisoned.
        self.state.try_lock().ok()
    }

    pub(crate) fn into_inner(self) -> T {
        into_inner(self.state)
    }
}

/// The right to pull, with the state. Its owner has to give it up by [`release`](Puller::release).
pub(crate) struct Puller<'a, T> {
    lock: &'a PullLock<T>,
    pub(crate) state: MutexGuard<'a, T>,
}

impl<T> Puller<'_, T> {
    /// Gives up the right to pull.
    pub(crate) fn release(self, phase: Phase) {
        let Puller { lock, state } = self;
        // Before the phase changes: no thread finds the source open and the state locked.
        drop(state);
        lock.set(match phase {
            Phase::Open => OPEN,
            Phase::Full => FULL,
            Phase::Ended => ENDED,
        });
    }
}

/// The reason why a source is not asked again.
pub(crate) enum SourceEnd {
    /// It has returned `None`.
    Exhausted,
    /// It has panicked with this payload.
    Panicked(Box<dyn Any + Send>),
}

/// The size in bytes of the largest source that is moved to the stack for a pull.
const MAX_MOVED: usize = 256;

/// A source on the stack of its puller. Dropping it, also in a panic, moves the source back.
///
/// There, a loop can keep the state of the source in registers. It cannot in memory that other
/// threads might read after each item that it publishes.
struct Moved<'a, S> {
    source: Option<S>,
    home: &'a mut Option<S>,
}

impl<S> Drop for Moved<'_, S> {
    fn drop(&mut self) {
        // It is `None`: no `Drop` of the user runs here.
        std::mem::forget(std::mem::replace(self.home, self.source.take()));
    }
}

/// Pulls as many items as `wanted` says, and hands each of them to `put`.
///
/// If `put` returns `false`, no more items are pulled. Returns why the source brought fewer, or
/// `None`. A panic of the source is caught, also one in its `size_hint` when `wanted` asks for it.
/// Items that came before the panic were put. `None` is a source without items.
#[inline]
pub(crate) fn pull<S: Iterator>(
    source: &mut Option<S>,
    wanted: impl FnOnce(&S) -> usize,
    put: impl FnMut(S::Item) -> bool,
) -> Option<SourceEnd> {
    let pulled = catch_unwind(AssertUnwindSafe(move || {
        if size_of::<S>() > MAX_MOVED {
            return pull_items(source, wanted, put);
        }
        let mut moved = Moved { source: source.take(), home: source };
        pull_items(&mut moved.source, wanted, put)
    }));
    pulled.unwrap_or_else(|payload| Some(SourceEnd::Panicked(payload)))
}

#[inline]
fn pull_items<S: Iterator>(
    source: &mut Option<S>,
    wanted: impl FnOnce(&S) -> usize,
    mut put: impl FnMut(S::Item) -> bool,
) -> Option<SourceEnd> {
    let Some(source) = source else { return Some(SourceEnd::Exhausted) };
    for _ in 0..wanted(source) {
        let Some(item) = source.next() else { return Some(SourceEnd::Exhausted) };
        if !put(item) {
            break;
        }
    }
    None
}

/// Returns `true` if the source says that it has no more items. A source that panics when it is
/// asked does not say so.
pub(crate) fn is_exhausted(source: &impl Iterator) -> bool {
    catch_unwind(AssertUnwindSafe(|| source.size_hint().1 == Some(0))).unwrap_or_else(|payload| {
        crate::unwind::discard(payload);
        false
    })
}
