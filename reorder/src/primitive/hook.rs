//! A hook before each access to shared memory. With it, tests count steps, and stop or delay a
//! thread before a step. It exists only with `--cfg reorder_hooks`, which no program sets.
//!
//! The accesses of a wake-up, to the waker cell and in the waker, are no steps. Nor are the
//! counters of refusals.

use std::boxed::Box;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::OnceLock;

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
