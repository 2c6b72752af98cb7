//! A hook before each access to shared memory, for tests that count steps, stop a thread at one of them, or
//! delay it there. Only with `--cfg reorder_hooks`, which no program sets.
//!
//! What a wake-up does is no step: the waker's cell, the waker itself. Nor is the count of refusals.

use std::boxed::Box;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::OnceLock;

#[cfg(reorder_loom)]
use loom::thread_local;
#[cfg(not(reorder_loom))]
use std::thread_local;

type Hook = Box<dyn FnMut()>;

/// The hook of threads that have none of their own.
static EVERYWHERE: OnceLock<fn()> = OnceLock::new();

thread_local! {
    #[allow(clippy::missing_const_for_thread_local, reason = "loom's take no const block")]
    static HOOK: RefCell<Option<Hook>> = RefCell::new(None);
}

/// Calls the thread's hook, which has none while it runs.
pub(crate) fn step() {
    // A thread that ends has no hook any more.
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

/// Has `hook` called before each step of every thread that has no hook of its own, from now on.
pub fn everywhere(hook: fn()) {
    _ = EVERYWHERE.set(hook);
}

/// Runs `f`, and `hook` before each step that this thread takes in it.
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

/// Runs `f`, and counts the steps that this thread takes in it.
pub fn count<R>(f: impl FnOnce() -> R) -> (R, usize) {
    let steps = Rc::new(Cell::new(0));
    let counting = Rc::clone(&steps);
    let result = with(move || counting.set(counting.get() + 1), f);
    (result, steps.get())
}
