//! A stack of places: the free lists of a pool.
//!
//! ```text
//!  63                                        16 15                  0
//! +--------------------------------------------+---------------------+
//! | version: changes so far                    | the place on top    |
//! +--------------------------------------------+---------------------+
//! ```
//!
//! A `pop` reads the top and what lies under it, and either may be outdated when it swaps the word:
//! places are pushed again, without ever being freed, so that no pin would help. Each change raises
//! the version, and the swap fails.

use crossbeam_utils::CachePadded;

use crate::primitive::AtomicU64;
use crate::primitive::Ordering::{Acquire, Relaxed, Release};

/// No place: the stack is empty, or this is its lowest.
pub(crate) const NONE: u16 = u16::MAX;

const ENTRY_BITS: u32 = u16::BITS;

pub(crate) struct FreeList(CachePadded<AtomicU64>);

/// Where a place keeps what lies under it.
pub(crate) trait Links {
    fn link(&self, entry: u16) -> &AtomicU64;
}

impl FreeList {
    pub(crate) fn empty() -> FreeList {
        FreeList(CachePadded::new(AtomicU64::new(u64::from(NONE))))
    }

    /// Puts a place on top, which lies on no stack.
    pub(crate) fn push(&self, links: &impl Links, entry: u16) {
        // ORDERING: push:look: Relaxed; the CAS confirms it.
        let mut seen = self.0.load(Relaxed);
        loop {
            // ORDERING: push:link: Relaxed; published by `push:top`. Somebody who pops late may read
            // it too, and then fails.
            links.link(entry).store(u64::from(seen as u16), Relaxed);
            // ORDERING: push:top: Release pairs with `pop:look` and `pop:top`: what was done with
            // the place comes before what is done by whoever pops it. Later changes of the word
            // are read-modify-writes, which carry that on.
            match self.0.compare_exchange(seen, above(seen, entry), Release, Relaxed) {
                Ok(_) => return,
                Err(now) => seen = now,
            }
        }
    }

    /// Takes the place on top.
    pub(crate) fn pop(&self, links: &impl Links) -> Option<u16> {
        // ORDERING: pop:look: Acquire pairs with `push:top`, as the CAS might then leave it out.
        let mut seen = self.0.load(Acquire);
        while seen as u16 != NONE {
            let entry = seen as u16;
            // ORDERING: pop:link: Relaxed; ordered by the Acquire that read `seen`.
            let under = links.link(entry).load(Relaxed) as u16;
            // ORDERING: pop:top: Relaxed if it succeeds, for `seen` was acquired; on failure
            // Acquire, as `pop:look`.
            match self.0.compare_exchange(seen, above(seen, under), Relaxed, Acquire) {
                Ok(_) => return Some(entry),
                Err(now) => seen = now,
            }
        }
        None
    }
}

/// The word after `seen`, with `place` on top.
fn above(seen: u64, entry: u16) -> u64 {
    let version = (seen >> ENTRY_BITS).wrapping_add(1);
    version << ENTRY_BITS | u64::from(entry)
}
