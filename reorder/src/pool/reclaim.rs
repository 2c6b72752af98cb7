//! Freeing rings that a late ticket may just be looking at.
//!
//! The collector is this crate's own: code that pins another one and sleeps holds nothing up here.
//! Its pins last for one call into this crate, and no user code runs meanwhile.

use core::ptr::NonNull;
use core::sync::atomic::Ordering::Relaxed;

pub(crate) use crossbeam_epoch::Guard;

use crate::primitive::epoch;

/// How many bytes may wait to be freed, in the whole process.
///
/// A thread that is stopped in mid-call holds up all freeing. Rings are kept for reuse then.
pub(crate) const DEFERRED_LIMIT: u64 = 8 << 20;

/// While the guard exists, nothing is freed that this thread can find.
pub(crate) fn pin() -> Guard {
    epoch::with_handle(|handle| handle.pin())
}

/// How many bytes wait to be freed, in the whole process.
pub(crate) fn deferred() -> u64 {
    // ORDERING: deferred:read: Relaxed; a view.
    epoch::deferred().load(Relaxed)
}

/// Asks for leave to let so many bytes wait. One object always may, however large it is.
pub(crate) fn may_defer(bytes: u64) -> bool {
    // ORDERING: deferred:add: Relaxed; only the number matters.
    let before = epoch::deferred().fetch_add(bytes, Relaxed);
    let may = before == 0 || before.saturating_add(bytes) <= DEFERRED_LIMIT;
    if !may {
        freed(bytes);
        // What waits may be free to go by now, and nobody else might ever collect it.
        pin().flush();
    }
    may
}

fn freed(bytes: u64) {
    // ORDERING: deferred:sub: Relaxed; as `deferred:add`.
    epoch::deferred().fetch_sub(bytes, Relaxed);
}

/// Frees the object once nobody who is pinned now is pinned any more.
///
/// # Safety
///
/// Nobody who is pinned from now on can find it, and nobody else has it. `free` may run on any
/// thread, even after `T` has outlived its borrows, and must not touch them.
pub(crate) unsafe fn defer<T>(
    guard: &Guard,
    object: NonNull<T>,
    bytes: u64,
    free: unsafe fn(NonNull<T>),
) {
    let free = move || {
        // SAFETY: the caller vouches for the object; the collector, for who was pinned.
        unsafe { free(object) };
        freed(bytes);
    };
    // SAFETY: as the caller says, it may run anywhere and late.
    unsafe { guard.defer_unchecked(free) };
}

/// Frees what waits and is not held up.
pub(crate) fn collect() {
    // Garbage is two epochs old before it goes, each flush brings the next one at the most, and
    // frees a few bags.
    let mut idle_rounds = 0;
    while deferred() > 0 && idle_rounds < 4 {
        let before = deferred();
        pin().flush();
        idle_rounds = if deferred() < before { 0 } else { idle_rounds + 1 };
    }
}
