//! The primitives of a program.

#[cfg(all(feature = "pool", not(reorder_hooks)))]
pub(crate) use core::sync::atomic::AtomicPtr;
pub(crate) use core::sync::atomic::Ordering;
#[cfg(not(reorder_hooks))]
pub(crate) use core::sync::atomic::{AtomicU64, fence};

/// `core::cell::UnsafeCell` with the closure interface that loom can check.
#[repr(transparent)]
pub(crate) struct UnsafeCell<T>(core::cell::UnsafeCell<T>);

impl<T> UnsafeCell<T> {
    pub(crate) const fn new(value: T) -> Self {
        UnsafeCell(core::cell::UnsafeCell::new(value))
    }

    #[inline]
    pub(crate) fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
        f(self.0.get())
    }

    #[inline]
    pub(crate) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        f(self.0.get())
    }
}

/// Where the consumer leaves its waker; see [`atomic_waker::AtomicWaker`].
#[derive(Default)]
pub(crate) struct WakerCell(atomic_waker::AtomicWaker);

impl WakerCell {
    pub(crate) fn register(&self, waker: &core::task::Waker) {
        self.0.register(waker);
    }

    pub(crate) fn take(&self) -> Option<core::task::Waker> {
        self.0.take()
    }
}

/// The parker of the current thread and what ends its sleep.
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

    /// Runs `f` with this thread's wrapped waker and a function that sleeps until the waker is used
    /// or the instant has passed.
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
            // A wait from a destructor of another thread-local, after this one is gone.
            .unwrap_or_else(|| (run.take().expect("not run yet"))(&new()))
    }
}

/// Something that may be looked at until it ends. Loom checks that; here it is nothing.
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

/// # Safety
///
/// The object was boxed, and nobody uses it from now on.
#[cfg(feature = "pool")]
pub(crate) unsafe fn free<T>(object: core::ptr::NonNull<T>) {
    // SAFETY: passed on to the caller.
    drop(unsafe { alloc::boxed::Box::from_raw(object.as_ptr()) });
}

/// The epochs of this crate's own collector.
#[cfg(feature = "pool")]
pub(crate) mod epoch {
    use core::sync::atomic::AtomicU64;
    use std::sync::OnceLock;

    use crossbeam_epoch::{Collector, LocalHandle};

    fn register() -> LocalHandle {
        static COLLECTOR: OnceLock<Collector> = OnceLock::new();
        COLLECTOR.get_or_init(Collector::new).register()
    }

    /// Runs `f` with what this thread is registered by.
    pub(crate) fn with_handle<R>(f: impl Fn(&LocalHandle) -> R) -> R {
        std::thread_local!(static HANDLE: LocalHandle = register());
        // From a destructor of another thread-local, after this one is gone: registered anew.
        HANDLE.try_with(&f).unwrap_or_else(|_| f(&register()))
    }

    /// How many bytes wait in the collector.
    pub(crate) fn deferred() -> &'static AtomicU64 {
        static DEFERRED: AtomicU64 = AtomicU64::new(0);
        &DEFERRED
    }
}
