//! A hook before each access to shared memory. With it, tests count steps, and stop or delay a
//! thread before a step. It exists only with `--cfg reorder_hooks`, which no program sets.
//!
//! The accesses of a wake-up, to the waker cell and in the waker, are no steps. Nor are the
//! counters of refusals.
//!
//! A simulated machine gets more: the address of each access, also of the waker cells and values.

use std::boxed::Box;
use std::cell::{Cell, RefCell};
use std::panic::Location;
use std::rc::Rc;
use std::sync::OnceLock;
use std::time::Duration;

#[cfg(reorder_loom)]
use loom::thread_local;
#[cfg(not(reorder_loom))]
use std::thread_local;

type Hook = Box<dyn FnMut()>;

/// The hook of threads without a hook.
static EVERYWHERE: OnceLock<fn()> = OnceLock::new();

thread_local! {
    #[allow(clippy::missing_const_for_thread_local, reason = "loom's take no const block")]
    static HOOK: RefCell<Option<Hook>> = RefCell::new(None);
}

/// Calls the thread's hook. The thread has no hook while it runs.
pub(crate) fn step() {
    // A thread that ends may have destroyed its hook before.
    _ = HOOK.try_with(|cell| {
        let hook = cell.borrow_mut().take();
        match hook {
            Some(mut hook) => {
                hook();
                cell.borrow_mut().get_or_insert(hook);
            }
            None => _ = EVERYWHERE.get().map(|hook| hook()),
        }
    });
}

/// Sets the hook of every thread without a hook of its own.
pub fn everywhere(hook: fn()) {
    _ = EVERYWHERE.set(hook);
}

/// Runs `f`, and calls `hook` before each step of this thread in it.
pub fn with<R>(hook: impl FnMut() + 'static, f: impl FnOnce() -> R) -> R {
    struct Unhooked(Option<Hook>);
    impl Drop for Unhooked {
        fn drop(&mut self) {
            HOOK.with(|cell| *cell.borrow_mut() = self.0.take());
        }
    }
    let before = HOOK.with(|cell| cell.borrow_mut().replace(Box::new(hook)));
    let _unhooked = Unhooked(before);
    f()
}

/// Runs `f`, and counts the steps of this thread in it.
pub fn count<R>(f: impl FnOnce() -> R) -> (R, usize) {
    let steps = Rc::new(Cell::new(0));
    let counting = Rc::clone(&steps);
    let result = with(move || counting.set(counting.get() + 1), f);
    (result, steps.get())
}

/// An access to memory that threads share.
#[derive(Clone, Copy, Debug)]
pub struct Access {
    /// The address of the first byte.
    pub address: usize,
    /// The number of bytes.
    pub size: usize,
    /// `true` unless the access only reads. A compare-and-swap that fails counts as a write.
    pub writes: bool,
    /// The access in the source.
    pub place: &'static Location<'static>,
}

/// A machine that runs the threads. It may stop a thread before an access.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    /// Is called before each access.
    pub access: fn(Access),
    /// Returns the time of the current thread.
    pub time: fn() -> Duration,
    /// Lets this time pass for the current thread.
    pub pause: fn(Duration),
}

static MACHINE: OnceLock<Machine> = OnceLock::new();

/// Sets the machine of all threads. The first one stays.
pub fn simulate(machine: Machine) {
    _ = MACHINE.set(machine);
}

/// Returns the machine of all threads, if there is one.
pub fn machine() -> Option<Machine> {
    MACHINE.get().copied()
}

/// Tells the machine about an access to `object`.
#[track_caller]
pub fn access<T: ?Sized>(object: &T, writes: bool) {
    if let Some(machine) = MACHINE.get() {
        let address = std::ptr::from_ref(object).cast::<()>() as usize;
        let size = size_of_val(object);
        (machine.access)(Access { address, size, writes, place: Location::caller() });
    }
}
