//! Deferred freeing of rings that a call with a late ticket may access.
//!
//! The collector belongs to this crate, so code that pins another collector and sleeps delays
//! nothing here. A pin lasts for one call into this crate, and no user code runs meanwhile.

use core::ptr::NonNull;
use core::sync::atomic::Ordering::Relaxed;

pub(crate) use crossbeam_epoch::Guard;

use crate::primitive::epoch;

/// The largest number of bytes that may wait to be freed, in the whole process.
///
/// A thread that is stopped within a call delays all freeing. At this limit, rings are kept for
/// reuse instead.
pub(crate) const DEFERRED_LIMIT: u64 = 8 << 20;

/// Pins the epoch. While the guard exists, a ring that this thread can find is not freed.
pub(crate) fn pin() -> Guard {
    epoch::with_handle(|handle| handle.pin())
}

/// Returns the number of bytes that wait to be freed, in the whole process.
pub(crate) fn deferred() -> u64 {
    // ORDERING: deferred:read: Relaxed; a view.
    epoch::deferred().load(Relaxed)
}

/// Returns `true` if more bytes wait than the limit, because one large ring waits.
pub(crate) fn is_over_the_limit() -> bool {
    deferred() > DEFERRED_LIMIT
}

/// Returns `true` if `bytes` more may wait to be freed, and counts them.
///
/// A single object may always wait, whatever its size is.
pub(crate) fn may_defer(bytes: u64) -> bool {
    let count = || {
        // ORDERING: deferred:add: Relaxed; the number matters alone.
        let before = epoch::deferred().fetch_add(bytes, Relaxed);
        let may = before == 0 || before.saturating_add(bytes) <= DEFERRED_LIMIT;
        if !may {
            freed(bytes);
        }
        may
    };
    count() || {
        // The waiting objects may be free to go now, and other threads may never pin again.
        collect();
        count()
    }
}

/// Counts bytes that no longer wait.
fn freed(bytes: u64) {
    // ORDERING: deferred:sub: Relaxed; as `deferred:add`.
    epoch::deferred().fetch_sub(bytes, Relaxed);
}

/// Frees the object when each thread that is pinned now has unpinned.
///
/// # Safety
///
/// A thread that pins from now on cannot find the object, and no other thread has it. `free` may
/// run on any thread, even after the borrows in `T` have ended, and must not access them.
pub(crate) unsafe fn defer<T>(
    guard: &Guard,
    object: NonNull<T>,
    bytes: u64,
    free: unsafe fn(NonNull<T>),
) {
    let free = move || {
        // SAFETY: the caller ensures that the object is owned, and the collector that no thread
        // which was pinned still is.
        unsafe { free(object) };
        freed(bytes);
    };
    // SAFETY: the caller ensures that `free` may run on any thread and late.
    unsafe { guard.defer_unchecked(free) };
}

/// Frees the waiting objects that no pinned thread delays, in a bounded number of rounds.
pub(crate) fn collect() {
    // An object is freed two epochs after its deferral. A flush advances the epoch by at most one,
    // and frees a few bags of objects.
    let mut idle_rounds = 0;
    while deferred() > 0 && idle_rounds < 4 {
        let before = deferred();
        pin().flush();
        idle_rounds = if deferred() < before { 0 } else { idle_rounds + 1 };
    }
}
