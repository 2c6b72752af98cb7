//! Names of rings. None is given twice in one process, and two processes hardly ever share one.

use core::sync::atomic::{AtomicU64, Ordering};

/// The name of a ring that was never given before.
///
/// An odd step visits every 64-bit number before it repeats, and spreads neighbours far apart, so
/// that a ticket damaged in a few bits does not name the next ring.
pub(crate) fn fresh() -> u64 {
    const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
    // Loom does not model this counter: it is no part of the protocol.
    static NEXT: AtomicU64 = AtomicU64::new(0);
    // ORDERING: identity:next: Relaxed; only the uniqueness of the count matters.
    let count = NEXT.fetch_add(1, Ordering::Relaxed);
    seed().wrapping_add(count.wrapping_mul(STEP))
}

#[cfg(feature = "std")]
fn seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    use std::sync::OnceLock;
    static SEED: OnceLock<u64> = OnceLock::new();
    *SEED.get_or_init(|| RandomState::new().hash_one("reorder-ring"))
}

/// Without `std` there is no source of randomness: where the program was loaded has to do.
#[cfg(not(feature = "std"))]
fn seed() -> u64 {
    static ANCHOR: u8 = 0;
    (core::ptr::addr_of!(ANCHOR) as usize as u64).rotate_left(32)
}
