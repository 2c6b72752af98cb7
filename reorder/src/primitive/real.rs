//! The primitives of a program.

#[cfg(all(feature = "pool", not(reorder_hooks)))]
pub(crate) use core::sync::atomic::AtomicPtr;
pub(crate) use core::sync::atomic::Ordering;
#[cfg(not(reorder_hooks))]
pub(crate) use core::sync::atomic::{AtomicU64, fence};

/// `core::cell::UnsafeCell` with the interface of loom's cell.
#[repr(transparent)]
pub(crate) struct UnsafeCell<T>(core::cell::UnsafeCell<T>);

impl<T> UnsafeCell<T> {
    pub(crate) const fn new(value: T) -> Self {
        UnsafeCell(core::cell::UnsafeCell::new(value))
    }

    #[inline]
    #[cfg_attr(reorder_hooks, track_caller)]
    pub(crate) fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
        #[cfg(reorder_hooks)]
        super::hook::access(self, false);
        f(self.0.get())
    }

    #[inline]
    #[cfg_attr(reorder_hooks, track_caller)]
    pub(crate) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        #[cfg(reorder_hooks)]
        super::hook::access(self, true);
        f(self.0.get())
    }
}

/// A cell for the waker of one side; see [`atomic_waker::AtomicWaker`].
#[derive(Default)]
pub(crate) struct WakerCell(atomic_waker::AtomicWaker);

impl WakerCell {
    #[cfg_attr(reorder_hooks, track_caller)]
    pub(crate) fn register(&self, waker: &core::task::Waker) {
        #[cfg(reorder_hooks)]
        super::hook::access(self, true);
        self.0.register(waker);
    }

    #[cfg_attr(reorder_hooks, track_caller)]
    pub(crate) fn take(&self) -> Option<core::task::Waker> {
        #[cfg(reorder_hooks)]
        super::hook::access(self, true);
        self.0.take()
    }
}

/// The parker of the current thread, and its waker.
#[cfg(feature = "std")]
pub(crate) mod park {
    use std::sync::Arc;
    use std::task::Waker;
    use std::time::Instant;

    use crate::primitive::shared_waker::SharedWaker;

    type Parking = (parking::Parker, Arc<SharedWaker>);

    fn new() -> Parking {
        let parker = parking::Parker::new();
        let task = SharedWaker::new(Waker::from(parker.unparker()));
        (parker, task)
    }

    /// Runs `f` with the waker of this thread, and with a function that sleeps. The sleep ends when
    /// the waker is called or the instant has passed.
    pub(crate) fn with_current<R>(
        f: impl FnOnce(&Arc<SharedWaker>, &dyn Fn(Option<Instant>)) -> R,
    ) -> R {
        std::thread_local!(static CURRENT: Parking = new());
        let run = |(parker, task): &Parking| {
            f(task, &|deadline| match deadline {
                Some(instant) => _ = parker.park_deadline(instant),
                None => parker.park(),
            })
        };
        let mut run = Some(run);
        CURRENT
            .try_with(|parking| run.take().map(|run| run(parking)))
            .ok()
            .flatten()
            // The wait is in a destructor of another thread-local, after this one was destroyed.
            .unwrap_or_else(|| (run.take().expect("not run yet"))(&new()))
    }
}

/// A check that an object is alive, in loom models. Here it does nothing.
#[cfg(feature = "pool")]
pub(crate) struct AliveCheck;

#[cfg(feature = "pool")]
impl AliveCheck {
    pub(crate) fn new() -> AliveCheck {
        AliveCheck
    }

    pub(crate) fn check(&self) {}

    pub(crate) fn end(&self) {}
}

/// Frees an object.
///
/// # Safety
///
/// The object was boxed and is not used after the call.
#[cfg(feature = "pool")]
pub(crate) unsafe fn free<T>(object: core::ptr::NonNull<T>) {
    // SAFETY: passed on to the caller.
    drop(unsafe { alloc::boxed::Box::from_raw(object.as_ptr()) });
}

/// The epochs of this crate's own collector.
#[cfg(feature = "pool")]
pub(crate) mod epoch {
    use alloc::boxed::Box;
    use core::ptr;
    use core::sync::atomic::Ordering::{Acquire, Release};
    use core::sync::atomic::{AtomicPtr, AtomicU64};

    use crossbeam_epoch::{Collector, LocalHandle};

    /// Registers this thread at the collector, which the first thread makes.
    ///
    /// A thread does not wait for another thread that makes the collector at the same time.
    fn register() -> LocalHandle {
        static COLLECTOR: AtomicPtr<Collector> = AtomicPtr::new(ptr::null_mut());
        // ORDERING: Acquire pairs with the exchange below: the whole collector is visible.
        let mut collector = COLLECTOR.load(Acquire);
        if collector.is_null() {
            let own = Box::into_raw(Box::new(Collector::new()));
            // ORDERING: Release pairs with the load above, and with a failure of this exchange:
            // another thread was faster.
            collector = match COLLECTOR.compare_exchange(collector, own, Release, Acquire) {
                Ok(_) => own,
                Err(others) => {
                    // SAFETY: it was boxed above, and no other thread knows it.
                    drop(unsafe { Box::from_raw(own) });
                    others
                }
            };
        }
        // SAFETY: a collector in the static is never freed.
        unsafe { &*collector }.register()
    }

    /// Runs `f` with the registration of this thread at the collector.
    pub(crate) fn with_handle<R>(f: impl Fn(&LocalHandle) -> R) -> R {
        std::thread_local!(static HANDLE: LocalHandle = register());
        // In a destructor of another thread-local, after this one was destroyed, it registers
        // again.
        HANDLE.try_with(&f).unwrap_or_else(|_| f(&register()))
    }

    /// Returns the counter of the bytes that wait in the collector.
    pub(crate) fn deferred() -> &'static AtomicU64 {
        static DEFERRED: AtomicU64 = AtomicU64::new(0);
        &DEFERRED
    }
}
