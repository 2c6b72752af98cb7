//! The size of the next chunk of a call whose items are claimed in chunks.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::cost::{AverageCost, chunk_size};
use crate::primitive::{AtomicU32, hints};

/// The time that running a chunk should take. Its outcomes are delivered together.
const TARGET: Duration = Duration::from_micros(10);

/// Computes the size of a call's next chunk from its earlier ones.
pub(crate) struct NextChunk {
    size: AtomicU32,
    max: u32,
    /// The number of items that ran cheaply. It orders nothing, and models need not see it.
    cheap_items: hints::AtomicU32,
    average: AverageCost,
}

impl NextChunk {
    /// Starts with chunks of one item. None will have more than `max`.
    pub(crate) fn new(max: usize) -> NextChunk {
        NextChunk {
            size: AtomicU32::new(1),
            max: u32::try_from(max).unwrap_or(u32::MAX),
            cheap_items: hints::AtomicU32::new(0),
            average: AverageCost::unknown(),
        }
    }

    /// Returns the size of the next chunk, at least 1.
    pub(crate) fn size(&self) -> u32 {
        // ORDERING: next_chunk:size: Relaxed; a hint.
        self.size.load(Relaxed)
    }

    /// Computes the size of the next chunk after `items` items, at least 1, took `took`.
    ///
    /// It is at most one item more than ran cheaply before. So no more items wait behind a slow one
    /// than that.
    pub(crate) fn learn(&self, items: u32, took: Duration) {
        let mut next = chunk_size(TARGET, items, took).min(self.max);
        if next > 1 {
            // If another thread counts at the same time, its items or these are not counted.
            // ORDERING: next_chunk:cheap_items: Relaxed; a hint.
            let mut cheap_items = self.cheap_items.load(Relaxed);
            if cheap_items < self.max {
                cheap_items = cheap_items.saturating_add(items);
                self.cheap_items.store(cheap_items, Relaxed);
            }
            next = next.min(cheap_items.saturating_add(1));
        }
        // A write that changes nothing would still take the line from the other threads.
        // ORDERING: next_chunk:next: Relaxed; a hint.
        if self.size.load(Relaxed) != next {
            self.size.store(next, Relaxed);
        }
        self.average.record(items, took);
    }

    /// Forgets what was learned about the size. The next chunk has one item.
    pub(crate) fn start_again(&self) {
        // ORDERING: next_chunk:start_again: Relaxed; a hint.
        self.cheap_items.store(0, Relaxed);
        self.size.store(1, Relaxed);
    }

    /// Returns `true` if items were measured, and their average is below `most`.
    pub(crate) fn is_below(&self, most: Duration) -> bool {
        self.average.is_below(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: Duration = Duration::from_nanos(1);

    #[test]
    fn a_chunk_has_one_item_more_than_ran_cheaply_before() {
        let next = NextChunk::new(256);
        let mut ran = 0;
        while next.size() < 256 {
            assert_eq!(next.size(), ran + 1);
            ran += next.size();
            next.learn(next.size(), CHEAP * next.size());
        }
        next.learn(256, Duration::from_millis(10));
        assert_eq!(next.size(), 1, "after a slow chunk");
        next.learn(1, CHEAP);
        assert_eq!(next.size(), 8, "the cheap items before it still count");
    }

    #[test]
    fn chunks_grow_again_after_a_new_start() {
        let next = NextChunk::new(256);
        let learn = || {
            next.learn(next.size(), CHEAP * next.size());
            next.size()
        };
        assert_eq!([learn(), learn(), learn()], [2, 4, 8]);
        next.start_again();
        assert_eq!(next.size(), 1);
        assert_eq!([learn(), learn(), learn()], [2, 4, 8]);
    }
}
