//! A lock-free stack of entries: the free lists of a pool.
//!
//! ```text
//!  63                                        16 15                  0
//! +--------------------------------------------+---------------------+
//! | version: number of changes                 | the first entry     |
//! +--------------------------------------------+---------------------+
//! ```
//!
//! A `pop` loads the first entry and its link. Both may be outdated when it exchanges the word: the
//! entry may have been popped and pushed again (ABA). A pin does not help, since entries are never
//! freed. So each change raises the version, and the exchange of an outdated `pop` fails.

use crossbeam_utils::CachePadded;

use crate::primitive::AtomicU64;
use crate::primitive::Ordering::{Acquire, Relaxed, Release};

/// No entry: the end of a list.
pub(crate) const NONE: u16 = u16::MAX;

const ENTRY_BITS: u32 = u16::BITS;

/// The word of a free list.
pub(crate) struct FreeList(CachePadded<AtomicU64>);

/// The links of the entries.
pub(crate) trait Links {
    /// Returns the link of an entry.
    fn link(&self, entry: u16) -> &AtomicU64;
}

impl FreeList {
    /// Returns an empty list.
    pub(crate) fn empty() -> FreeList {
        FreeList(CachePadded::new(AtomicU64::new(u64::from(NONE))))
    }

    /// Adds an entry, which is on no list.
    pub(crate) fn push(&self, links: &impl Links, entry: u16) {
        // ORDERING: push:look: Relaxed; the CAS confirms the value.
        let mut seen = self.0.load(Relaxed);
        loop {
            // ORDERING: push:link: Relaxed; `push:top` publishes it. A thread that pops with an
            // outdated word may load it earlier, and then fails.
            links.link(entry).store(u64::from(seen as u16), Relaxed);
            // ORDERING: push:top: Release pairs with `pop:look` and `pop:top`: all that was done
            // with the entry is visible to the thread that pops it. Later changes of the word are
            // read-modify-writes, which continue the release sequence.
            match self.0.compare_exchange(seen, with_first(seen, entry), Release, Relaxed) {
                Ok(_) => return,
                Err(now) => seen = now,
            }
        }
    }

    /// Removes and returns the first entry.
    pub(crate) fn pop(&self, links: &impl Links) -> Option<u16> {
        // ORDERING: pop:look: Acquire pairs with `push:top`. So the CAS can be relaxed.
        let mut seen = self.0.load(Acquire);
        while seen as u16 != NONE {
            let entry = seen as u16;
            // ORDERING: pop:link: Relaxed; ordered by the Acquire that read `seen`.
            let next = links.link(entry).load(Relaxed) as u16;
            // ORDERING: pop:top: Relaxed if it succeeds, since `seen` was acquired. A failure is an
            // Acquire, as `pop:look`.
            match self.0.compare_exchange(seen, with_first(seen, next), Relaxed, Acquire) {
                Ok(_) => return Some(entry),
                Err(now) => seen = now,
            }
        }
        None
    }
}

/// Returns the word that follows `seen`, with `entry` as the first one.
fn with_first(seen: u64, entry: u16) -> u64 {
    let version = (seen >> ENTRY_BITS).wrapping_add(1);
    version << ENTRY_BITS | u64::from(entry)
}
