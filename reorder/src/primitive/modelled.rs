//! The primitives of a model: loom sees each access, and may stop a thread before it.

use std::sync::Mutex as Invisible;
use std::task::Waker;

pub(crate) use loom::cell::UnsafeCell;
pub(crate) use loom::sync::atomic::Ordering;

use Ordering::{AcqRel, Acquire, Release};

const WAITING: u64 = 0;
const REGISTERING: u64 = 1;
const WAKING: u64 = 2;

/// The states and orderings of `atomic_waker::AtomicWaker`, whose own atomics loom cannot see.
///
/// Loom has a twin of it, which blocks where the real one gives way, and writes to the standard
/// error at each step. The storage is invisible: it is `atomic_waker`'s to prove that the states
/// guard it.
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
        // ORDERING: those of `atomic_waker`, here and in `take`.
        if self.state.compare_exchange(WAITING, REGISTERING, Acquire, Acquire).is_err() {
            // Somebody takes the waker before: this one has to look again.
            waker.wake_by_ref();
            loom::thread::yield_now();
            return;
        }
        *self.storage() = Some(waker.clone());
        // ORDERING: as above.
        if self.state.compare_exchange(REGISTERING, WAITING, AcqRel, Acquire).is_err() {
            let own = self.storage().take();
            self.state.swap(WAITING, AcqRel);
            own.expect("it was just stored").wake();
        }
    }

    pub(crate) fn take(&self) -> Option<Waker> {
        // ORDERING: as in `register`.
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

/// A parker of mutex and condition variable: loom's own `unpark` would hide races on the cell.
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

    /// As the real one; a sleep with a deadline is one that times out at once.
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

/// Something that may be looked at until it ends: a model fails if a look is not ordered before the
/// end. Loom counts its making as a write, so a look is to be ordered after that, too.
#[cfg(feature = "pool")]
pub(crate) struct AliveCheck(UnsafeCell<bool>);

#[cfg(feature = "pool")]
impl AliveCheck {
    pub(crate) fn new() -> AliveCheck {
        AliveCheck(UnsafeCell::new(true))
    }

    pub(crate) fn check(&self) {
        // SAFETY: loom reports a write that is not ordered with this before it happens.
        let alive = self.0.with(|alive| unsafe { *alive });
        assert!(alive, "it is looked at after its end");
    }

    pub(crate) fn end(&self) {
        // SAFETY: as above.
        self.0.with_mut(|alive| unsafe { *alive = false });
    }
}

/// Leaks the object, so that a look that comes too late is a failed model, and not a crash.
#[cfg(feature = "pool")]
pub(crate) unsafe fn free<T>(_object: core::ptr::NonNull<T>) {}

/// As the real one. The collector is loom's to make and to drop in each execution.
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

    /// A count that loom does not see, of one model: others run at the same time, and each has to
    /// repeat itself. A thread of the system runs all threads of a model.
    pub(crate) fn deferred() -> &'static AtomicU64 {
        std::thread_local!(static DEFERRED: &'static AtomicU64 = Box::leak(Box::default()));
        DEFERRED.with(|deferred| *deferred)
    }
}
