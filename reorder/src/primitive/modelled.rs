//! The primitives of a loom model. Loom may switch threads before each access.

use std::sync::Mutex as Invisible;
use std::task::Waker;

pub(crate) use loom::cell::UnsafeCell;
pub(crate) use loom::sync::atomic::Ordering;

use Ordering::{AcqRel, Acquire, Release};

const WAITING: u64 = 0;
const REGISTERING: u64 = 1;
const WAKING: u64 = 2;

/// The states and orderings of `atomic_waker::AtomicWaker`, whose own atomics loom does not know.
///
/// Loom has its own version, which blocks where the real one does not, and writes to the standard
/// error at each step. Here, loom does not check the storage. That the states guard it is for
/// `atomic_waker` to prove.
pub(crate) struct WakerCell {
    state: loom::sync::atomic::AtomicU64,
    waker: Invisible<Option<Waker>>,
}

impl Default for WakerCell {
    fn default() -> Self {
        WakerCell {
            state: loom::sync::atomic::AtomicU64::new(WAITING),
            waker: Invisible::new(None),
        }
    }
}

impl WakerCell {
    pub(crate) fn register(&self, waker: &Waker) {
        // ORDERING: as in `atomic_waker`, here and in `take`.
        if self.state.compare_exchange(WAITING, REGISTERING, Acquire, Acquire).is_err() {
            // Another thread takes the previous waker. The caller has to check again.
            waker.wake_by_ref();
            loom::thread::yield_now();
            return;
        }
        *self.storage() = Some(waker.clone());
        // ORDERING: as in `atomic_waker`.
        if self.state.compare_exchange(REGISTERING, WAITING, AcqRel, Acquire).is_err() {
            let own = self.storage().take();
            self.state.swap(WAITING, AcqRel);
            own.expect("it was just stored").wake();
        }
    }

    pub(crate) fn take(&self) -> Option<Waker> {
        // ORDERING: as in `atomic_waker`.
        if self.state.fetch_or(WAKING, AcqRel) != WAITING {
            return None;
        }
        let waker = self.storage().take();
        self.state.fetch_and(!WAKING, Release);
        waker
    }

    fn storage(&self) -> std::sync::MutexGuard<'_, Option<Waker>> {
        self.waker.lock().expect("no panic while it is held")
    }
}

/// A parker with a mutex and a condition variable. Loom's own `unpark` would hide races on the
/// cell.
#[cfg(feature = "std")]
pub(crate) mod park {
    use loom::sync::{Condvar, Mutex};
    use std::sync::Arc;
    use std::task::{Wake, Waker};
    use std::time::Instant;

    use crate::primitive::shared_waker::SharedWaker;

    struct Parker {
        woken: Mutex<bool>,
        condvar: Condvar,
    }

    impl Wake for Parker {
        fn wake(self: Arc<Self>) {
            *self.woken.lock().unwrap() = true;
            self.condvar.notify_one();
        }
    }

    /// Runs `f` as the real function does. A sleep with a deadline times out immediately.
    pub(crate) fn with_current<R>(
        f: impl FnOnce(&Arc<SharedWaker>, &dyn Fn(Option<Instant>)) -> R,
    ) -> R {
        let parker = Arc::new(Parker { woken: Mutex::new(false), condvar: Condvar::new() });
        let task = SharedWaker::new(Waker::from(Arc::clone(&parker)));
        f(&task, &|deadline| {
            if deadline.is_none() {
                let mut woken = parker.woken.lock().unwrap();
                while !*woken {
                    woken = parker.condvar.wait(woken).unwrap();
                }
                *woken = false;
            }
        })
    }
}

/// A check that an object is alive. A model fails if a check is not ordered before the end.
///
/// Loom counts `new` as a write, so each check has to be ordered after it, too.
#[cfg(feature = "pool")]
pub(crate) struct AliveCheck(UnsafeCell<bool>);

#[cfg(feature = "pool")]
impl AliveCheck {
    pub(crate) fn new() -> AliveCheck {
        AliveCheck(UnsafeCell::new(true))
    }

    pub(crate) fn check(&self) {
        // SAFETY: loom reports a write that is not ordered with this access.
        let alive = self.0.with(|alive| unsafe { *alive });
        assert!(alive, "the object is accessed after its end");
    }

    pub(crate) fn end(&self) {
        // SAFETY: as in `check`.
        self.0.with_mut(|alive| unsafe { *alive = false });
    }
}

/// Leaks the object, so that an access after its end fails the model and does not crash it.
#[cfg(feature = "pool")]
pub(crate) unsafe fn free<T>(_object: core::ptr::NonNull<T>) {}

/// The epochs of a collector that loom makes and drops in each execution.
#[cfg(feature = "pool")]
pub(crate) mod epoch {
    use alloc::boxed::Box;
    use core::sync::atomic::AtomicU64;

    use crossbeam_epoch::{Collector, LocalHandle};

    fn register() -> LocalHandle {
        loom::lazy_static! {
            static ref COLLECTOR: Collector = Collector::new();
        }
        COLLECTOR.register()
    }

    pub(crate) fn with_handle<R>(f: impl Fn(&LocalHandle) -> R) -> R {
        loom::thread_local!(static HANDLE: LocalHandle = register());
        HANDLE.try_with(&f).unwrap_or_else(|_| f(&register()))
    }

    /// Returns the counter of one model, which loom does not check.
    ///
    /// One thread of the system runs all threads of a model, so the counter is a thread-local.
    /// Other models run at the same time, and each execution of a model has to be repeatable.
    pub(crate) fn deferred() -> &'static AtomicU64 {
        std::thread_local!(static DEFERRED: &'static AtomicU64 = Box::leak(Box::default()));
        DEFERRED.with(|deferred| *deferred)
    }
}
