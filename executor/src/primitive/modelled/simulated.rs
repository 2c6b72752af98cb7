//! The locks, the pauses and the clock of a thread on a simulated machine.
//!
//! The system's futex is a list of waiting threads for each address. The words around it are at the
//! places where std has them on Linux, so that their cache lines are the same.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::ptr;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{LockResult, PoisonError, TryLockError, TryLockResult};
use std::time::{Duration, Instant};

use reorder_ring::hook::{self, Machine};
pub(super) use reorder_ring::watched::AtomicBool;
use reorder_ring::watched::AtomicU32;
use shuttle::thread::{self, Thread};

/// The threads that wait at an address. One thread of the system runs all threads of a machine.
fn with_waiting<R>(address: usize, f: impl FnOnce(&mut VecDeque<Thread>) -> R) -> R {
    thread_local! {
        static WAITING: RefCell<HashMap<usize, VecDeque<Thread>>> = RefCell::default();
    }
    WAITING.with(|waiting| f(waiting.borrow_mut().entry(address).or_default()))
}

/// Waits for a wake-up at an address. It may return before.
fn wait(address: usize) {
    with_waiting(address, |waiting| waiting.push_back(thread::current()));
    thread::park();
    let own = thread::current().id();
    with_waiting(address, |waiting| waiting.retain(|other| other.id() != own));
}

/// Wakes up to `most` threads that wait at an address.
fn wake(address: usize, most: usize) {
    let woken: Vec<Thread> =
        with_waiting(address, |waiting| waiting.drain(..most.min(waiting.len())).collect());
    woken.iter().for_each(Thread::unpark);
}

/// A mutex of std, whose word the machine sees.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T: ?Sized>(std::sync::Mutex<T>);

/// The lock of a [`Mutex`].
#[derive(Debug)]
pub(crate) struct MutexGuard<'a, T: ?Sized> {
    guard: ManuallyDrop<std::sync::MutexGuard<'a, T>>,
    mutex: &'a Mutex<T>,
}

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Mutex<T> {
        Mutex(std::sync::Mutex::new(value))
    }

    pub(crate) fn into_inner(self) -> LockResult<T> {
        self.0.into_inner()
    }
}

impl<T: ?Sized> Mutex<T> {
    fn address(&self) -> usize {
        ptr::from_ref(self).cast::<()>() as usize
    }

    /// The word is at the start of the mutex.
    #[track_caller]
    fn access_word(&self) {
        // SAFETY: a mutex of std begins with a word of 32 bits. It is not read.
        hook::access(unsafe { &*ptr::from_ref(self).cast::<std::sync::atomic::AtomicU32>() }, true);
    }

    #[track_caller]
    pub(crate) fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        loop {
            match self.try_lock() {
                Ok(guard) => return Ok(guard),
                Err(TryLockError::Poisoned(poisoned)) => return Err(poisoned),
                Err(TryLockError::WouldBlock) => wait(self.address()),
            }
        }
    }

    #[track_caller]
    pub(crate) fn try_lock(&self) -> TryLockResult<MutexGuard<'_, T>> {
        self.access_word();
        let locked = |guard| MutexGuard { guard: ManuallyDrop::new(guard), mutex: self };
        match self.0.try_lock() {
            Ok(guard) => Ok(locked(guard)),
            Err(TryLockError::Poisoned(poisoned)) => {
                Err(PoisonError::new(locked(poisoned.into_inner())).into())
            }
            Err(TryLockError::WouldBlock) => Err(TryLockError::WouldBlock),
        }
    }
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

impl<T: ?Sized> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        self.mutex.access_word();
        // SAFETY: the guard is not used any more.
        unsafe { ManuallyDrop::drop(&mut self.guard) };
        wake(self.mutex.address(), 1);
    }
}

/// A condition variable: a number that each notice changes.
#[derive(Debug, Default)]
pub(crate) struct Condvar(AtomicU32);

impl Condvar {
    pub(crate) fn new() -> Condvar {
        Condvar(AtomicU32::new(0))
    }

    fn address(&self) -> usize {
        ptr::from_ref(self) as usize
    }

    #[track_caller]
    pub(crate) fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> LockResult<MutexGuard<'a, T>> {
        let mutex = guard.mutex;
        // ORDERING: as in std; the mutex orders all else.
        let before = self.0.load(Relaxed);
        drop(guard);
        // ORDERING: as above.
        while self.0.load(Relaxed) == before {
            wait(self.address());
        }
        mutex.lock()
    }

    /// Waits for a while, and no longer if there is no notice.
    pub(crate) fn wait_timeout<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        time: Duration,
    ) -> LockResult<(MutexGuard<'a, T>, ())> {
        let mutex = guard.mutex;
        drop(guard);
        pause(time.min(NAP));
        mutex
            .lock()
            .map(|guard| (guard, ()))
            .map_err(|guard| PoisonError::new((guard.into_inner(), ())))
    }

    #[track_caller]
    pub(crate) fn notify_one(&self) {
        self.notify(1);
    }

    #[track_caller]
    pub(crate) fn notify_all(&self) {
        self.notify(usize::MAX);
    }

    #[track_caller]
    fn notify(&self, most: usize) {
        // ORDERING: as in `wait`.
        self.0.fetch_add(1, Relaxed);
        wake(self.address(), most);
    }
}

/// The longest pause of a thread that waits for an instant, before it looks again.
const NAP: Duration = Duration::from_micros(5);

fn machine() -> Machine {
    hook::machine().expect("a machine was set")
}

fn pause(time: Duration) {
    (machine().pause)(time);
}

/// Waits for a while. Returns `false` if the instant has come.
pub(super) fn nap(until: Instant) -> bool {
    let left = until.saturating_duration_since(now());
    pause(left.min(NAP));
    !left.is_zero()
}

/// Pauses as the real one does.
pub(crate) struct Backoff(Cell<u32>);

impl Backoff {
    pub(crate) fn new() -> Backoff {
        Backoff(Cell::new(0))
    }

    pub(crate) fn snooze(&self) {
        let pauses = self.0.get();
        self.0.set(pauses + 1);
        // A spin, or a call of the system.
        pause(Duration::from_nanos(if pauses < 7 { 10 << pauses } else { 500 }));
    }

    pub(crate) fn is_disturbed(&self) -> bool {
        false
    }

    pub(crate) fn is_completed(&self) -> bool {
        self.0.get() >= 11
    }
}

pub(crate) fn sleep(time: Duration) {
    pause(time);
}

/// Returns more than a machine has.
pub(crate) fn processors() -> usize {
    128
}

/// Returns the time of this thread.
pub(crate) fn now() -> Instant {
    thread_local! {
        static START: Instant = Instant::now();
    }
    START.with(|start| *start + (machine().time)())
}
