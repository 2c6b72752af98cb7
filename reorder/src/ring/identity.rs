//! The identities of rings. A process gives none twice, and two processes hardly ever share one.
//!
//! ```text
//!  63                                        16 15                  0
//! +--------------------------------------------+---------------------+
//! | count: rings that this process made before | entry in the pool   |  times STEP, plus the seed
//! +--------------------------------------------+---------------------+
//! ```
//!
//! * An odd step visits every 64-bit number before it repeats. It also spreads consecutive numbers,
//!   so a ticket with a few damaged bits does not have the identity of another ring.
//! * The multiplication can be reversed, so a pool computes the entry of a ring from its identity.
//! * No identity is 0, so an `Option<Ticket>` is as large as a `Ticket`.

use core::num::NonZeroU64;
use core::sync::atomic::{AtomicU64, Ordering};

use crate::errors::CapacityError;

const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
const ENTRY_BITS: u32 = 16;

/// Returns an identity that was never given before, for a ring in this entry of its pool.
pub(crate) fn new(entry: u16) -> Result<NonZeroU64, CapacityError> {
    // Loom does not model this counter, which is not part of the protocol.
    static NEXT: AtomicU64 = AtomicU64::new(0);
    // One pair of count and entry gives 0, so one of two attempts succeeds.
    for _ in 0..2 {
        // ORDERING: identity:next: Relaxed; the counts need to differ, and no more.
        let count = NEXT.fetch_add(1, Ordering::Relaxed);
        if count >> (u64::BITS - ENTRY_BITS) != 0 {
            break;
        }
        let number = count << ENTRY_BITS | u64::from(entry);
        if let Some(id) = NonZeroU64::new(seed().wrapping_add(number.wrapping_mul(STEP))) {
            return Ok(id);
        }
    }
    Err(CapacityError::NoIdentity)
}

/// Returns the entry of the ring with this identity in its pool. Every number gives an entry.
#[cfg(feature = "pool")]
pub(crate) fn entry(id: NonZeroU64) -> u16 {
    id.get().wrapping_sub(seed()).wrapping_mul(inverse(STEP)) as u16
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

/// Returns a number that is random per process.
#[cfg(feature = "std")]
fn seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    use std::sync::OnceLock;
    static SEED: OnceLock<u64> = OnceLock::new();
    *SEED.get_or_init(|| RandomState::new().hash_one("reorder-ring"))
}

/// Returns the address at which the program was loaded. Without `std` there is no random number.
#[cfg(not(feature = "std"))]
fn seed() -> u64 {
    static ANCHOR: u8 = 0;
    (core::ptr::addr_of!(ANCHOR) as usize as u64).rotate_left(32)
}
