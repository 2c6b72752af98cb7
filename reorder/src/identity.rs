//! Names of rings. None is given twice in one process, and two processes hardly ever share one.
//!
//! ```text
//!  63                                        16 15                  0
//! +--------------------------------------------+---------------------+
//! | count: rings of this process so far        | place in its pool   |   times STEP, plus the seed
//! +--------------------------------------------+---------------------+
//! ```
//!
//! An odd step visits every 64-bit number before it repeats, and spreads neighbours far apart, so
//! that a ticket damaged in a few bits does not name the next ring. It can be undone, and so a pool
//! finds the place of a ring by its name alone. The number 0 is left out, so that an optional ticket is
//! no larger than a ticket.

use core::num::NonZeroU64;
use core::sync::atomic::{AtomicU64, Ordering};

use crate::errors::CapacityError;

const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
const PLACE_BITS: u32 = 16;

/// A name that was never given before, for a ring at this place of its pool.
pub(crate) fn fresh(place: u16) -> Result<NonZeroU64, CapacityError> {
    // Loom does not model this counter: it is no part of the protocol.
    static NEXT: AtomicU64 = AtomicU64::new(0);
    // Only one count and place in all make a zero.
    for _ in 0..2 {
        // ORDERING: identity:next: Relaxed; only the uniqueness of the count matters.
        let count = NEXT.fetch_add(1, Ordering::Relaxed);
        if count >> (u64::BITS - PLACE_BITS) != 0 {
            break;
        }
        let number = count << PLACE_BITS | u64::from(place);
        if let Some(name) = NonZeroU64::new(seed().wrapping_add(number.wrapping_mul(STEP))) {
            return Ok(name);
        }
    }
    Err(CapacityError::NoIdentity)
}

/// The place of the ring with this name in the pool that made it, if one did. Any number has one.
#[cfg(feature = "pool")]
pub(crate) fn place(id: NonZeroU64) -> u16 {
    id.get().wrapping_sub(seed()).wrapping_mul(inverse(STEP)) as u16
}

/// What an odd number has to be multiplied with to get 1, by Newton's iteration: each round doubles
/// how many low bits are right, and an odd number is its own inverse in the lowest three.
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
