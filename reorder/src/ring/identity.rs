//! The identities of rings. A process gives no identity twice, and two processes hardly ever share
//! one.
//!
//! ```text
//!  62                                        16 15                  0
//! +--------------------------------------------+---------------------+
//! | count: rings made before, plus the offset  | entry in the pool   |  times STEP, plus the seed
//! +--------------------------------------------+---------------------+
//! ```
//!
//! * An odd step visits every 63-bit number before it repeats. It also spreads consecutive numbers,
//!   so a ticket with a few damaged bits does not have the identity of another ring.
//! * The multiplication can be reversed, so a pool computes the entry of a ring from its identity.
//! * No identity is 0, so an `Option<Ticket>` is as large as a `Ticket`.
//!
//! A child process by `fork` starts with the seed and the count of its parent. It needs the seed to
//! compute the entries of the rings that it inherits. So its first ring gives it another offset.
//! Without `std` the offset is 0, since a process cannot learn that it is a child.

use core::sync::atomic::{AtomicU64, Ordering};

use crate::errors::CapacityError;
use crate::ticket::ring_id::RingId;

const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
const ENTRY_BITS: u32 = 16;

/// Returns an identity that was never given before, for a ring in this entry of its pool.
pub(crate) fn new(entry: u16) -> Result<RingId, CapacityError> {
    // Loom does not model this counter, which is not part of the protocol.
    static NEXT: AtomicU64 = AtomicU64::new(0);
    // One pair of count and entry gives 0, so one of two attempts succeeds.
    for _ in 0..2 {
        // ORDERING: identity:next: Relaxed; the counts need to differ, and no more.
        let made = NEXT.fetch_add(1, Ordering::Relaxed);
        if made >> (RingId::BITS - ENTRY_BITS) != 0 {
            break;
        }
        let number = made.wrapping_add(offset()) << ENTRY_BITS | u64::from(entry);
        // The bit above an identity belongs to tickets. The lower bits do not depend on it.
        if let Some(id) = RingId::from_low_bits(seed().wrapping_add(number.wrapping_mul(STEP))) {
            return Ok(id);
        }
    }
    Err(CapacityError::NoIdentity)
}

/// Returns the entry of the ring with this identity in its pool. Every number gives an entry.
#[cfg(feature = "pool")]
pub(crate) fn entry(id: RingId) -> u16 {
    u64::from(id).wrapping_sub(seed()).wrapping_mul(inverse(STEP)) as u16
}

/// Returns the inverse of an odd number modulo 2^64, by Newton's iteration.
///
/// Each round doubles the number of correct low bits. An odd number is its own inverse modulo 8, so
/// three bits are correct at first.
#[cfg(feature = "pool")]
const fn inverse(odd: u64) -> u64 {
    let mut guess = odd;
    let mut right = 3;
    while right < u64::BITS {
        guess = guess.wrapping_mul(2u64.wrapping_sub(odd.wrapping_mul(guess)));
        right *= 2;
    }
    guess
}

/// Returns a number that is random per process. A child by `fork` has the number of its parent.
#[cfg(feature = "std")]
#[inline]
fn seed() -> u64 {
    /// 0 before the first call.
    static SEED: AtomicU64 = AtomicU64::new(0);
    #[cold]
    fn first() -> u64 {
        use std::hash::{BuildHasher, RandomState};
        let random = RandomState::new().hash_one("reorder-ring") | 1;
        // ORDERING: identity:seeded: Relaxed; as `identity:seed`.
        let set = SEED.compare_exchange(0, random, Ordering::Relaxed, Ordering::Relaxed);
        set.err().unwrap_or(random)
    }
    // ORDERING: identity:seed: Relaxed; the number is all that the word publishes.
    match SEED.load(Ordering::Relaxed) {
        0 => first(),
        seed => seed,
    }
}

/// Returns the address at which the program was loaded. Without `std` there is no random number.
#[cfg(not(feature = "std"))]
fn seed() -> u64 {
    static ANCHOR: u8 = 0;
    (core::ptr::addr_of!(ANCHOR) as usize as u64).rotate_left(32)
}

/// Returns a number that differs between parent and child after a `fork`.
///
/// The process identifier is in the upper half of a word, and a stamp in the lower half. The stamp
/// differs between two children that get the same identifier one after the other.
#[cfg(all(feature = "std", unix))]
fn offset() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    use std::time::Instant;
    /// 0 before the first call.
    static PROCESS: AtomicU64 = AtomicU64::new(0);
    let process = std::process::id();
    // ORDERING: identity:process: Relaxed; the number is all that the word publishes.
    let mut word = PROCESS.load(Ordering::Relaxed);
    if (word >> 32) as u32 != process {
        let stamp = RandomState::new().hash_one((process, Instant::now())) as u32;
        let own = u64::from(process) << 32 | u64::from(stamp);
        // ORDERING: identity:forked: Relaxed; as `identity:process`. A failure means that another
        // thread of this process was faster.
        let set = PROCESS.compare_exchange(word, own, Ordering::Relaxed, Ordering::Relaxed);
        word = set.err().unwrap_or(own);
    }
    // Multiplications and shifts by which each bit of the word changes all bits of the result.
    let mixed = (word ^ word >> 31).wrapping_mul(STEP);
    (mixed ^ mixed >> 29).wrapping_mul(STEP) >> ENTRY_BITS
}

/// Returns 0: there is no `fork`, or no way to notice it.
#[cfg(not(all(feature = "std", unix)))]
fn offset() -> u64 {
    0
}
