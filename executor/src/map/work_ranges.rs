//! The unstarted items of a batch: one range for each participant.
//!
//! ```text
//!  63            32 31             0
//! +----------------+----------------+
//! | end            | next           |     next == end: the range is empty
//! +----------------+----------------+
//! ```
//!
//! A participant claims items from the front of its own range. When the range is empty, it puts a
//! new one there: the items that it pulled, or the back half of the largest other range, which it
//! steals. So the items behind a slow one are always within reach of other threads, and a thread
//! that is alone meets no contention.
//!
//! The puller of an item puts it once. The item is in one range at most, and leaves the ranges
//! once. There is no ABA problem, although a word may change and change back between a load and a
//! compare-and-swap. The same range means the same unstarted items.

use std::ops::Range;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crossbeam_utils::CachePadded;

use crate::primitive::AtomicU64;

pub(crate) struct WorkRanges {
    ranges: Box<[CachePadded<AtomicU64>]>,
}

fn pack(range: &Range<u32>) -> u64 {
    u64::from(range.end) << 32 | u64::from(range.start)
}

fn unpack(word: u64) -> Range<u32> {
    word as u32..(word >> 32) as u32
}

impl WorkRanges {
    /// Returns an empty range for each participant.
    pub(crate) fn new(participants: usize) -> WorkRanges {
        WorkRanges {
            ranges: (0..participants).map(|_| CachePadded::new(AtomicU64::new(0))).collect(),
        }
    }

    fn range(&self, owner: usize) -> Range<u32> {
        // ORDERING: work_ranges:look: Relaxed; a guess, or the owner's range. The fences in `idle`
        // see to it that a worker that goes to sleep misses no range.
        unpack(self.ranges[owner].load(Relaxed))
    }

    /// Replaces `from` by `to`. Returns `false` if another thread was faster.
    fn swap(&self, owner: usize, from: &Range<u32>, to: &Range<u32>) -> bool {
        let word = &self.ranges[owner];
        // ORDERING: work_ranges:swap: Acquire pairs with `work_ranges:put`: a thief sees what the
        // puller of the items wrote, also if they were stolen several times.
        word.compare_exchange(pack(from), pack(to), Acquire, Relaxed).is_ok()
    }

    /// Returns `true` if any range has an item.
    pub(crate) fn has_work(&self) -> bool {
        (0..self.ranges.len()).any(|owner| !self.range(owner).is_empty())
    }

    /// Returns `true` if this participant has a range. A thread that started after the batch has
    /// none.
    pub(crate) fn has_range(&self, owner: usize) -> bool {
        owner < self.ranges.len()
    }

    /// Takes up to `most` items from the front of the owner's range, or of the largest range if the
    /// participant has none.
    pub(crate) fn claim(&self, owner: usize, most: u32) -> Option<Range<u32>> {
        loop {
            let owner = if self.has_range(owner) { owner } else { self.largest(owner)?.0 };
            let range = self.range(owner);
            if range.is_empty() {
                return None;
            }
            let end = range.start + most.min(range.end - range.start);
            if self.swap(owner, &range, &(end..range.end)) {
                return Some(range.start..end);
            }
        }
    }

    /// Returns the largest range of another owner. Returns `None` if all are empty.
    fn largest(&self, owner: usize) -> Option<(usize, Range<u32>)> {
        let others = (0..self.ranges.len()).filter(|&other| other != owner);
        let ranges = others.map(|other| (other, self.range(other)));
        ranges.max_by_key(|(_, range)| range.len()).filter(|(_, range)| !range.is_empty())
    }

    /// Puts items into the range of the owner, which must be empty.
    pub(crate) fn put(&self, owner: usize, items: Range<u32>) {
        // ORDERING: work_ranges:put: Release pairs with `work_ranges:swap`. Only the owner writes
        // to an empty range, so a store is enough.
        self.ranges[owner].store(pack(&items), Release);
    }

    /// Moves the back half of the largest other range into the range of the owner, which must be
    /// empty. Returns `None` if all others are empty.
    pub(crate) fn steal_half(&self, owner: usize) -> Option<()> {
        loop {
            let (victim, range) = self.largest(owner)?;
            let middle = range.start + (range.end - range.start) / 2;
            if self.swap(victim, &range, &(range.start..middle)) {
                self.put(owner, middle..range.end);
                return Some(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(owners: usize, items: u32) -> WorkRanges {
        let ranges = WorkRanges::new(owners);
        ranges.put(0, 0..items);
        ranges
    }

    #[test]
    fn an_owner_alone_claims_all_items_in_order() {
        let ranges = ranges(3, 100);
        let mut seen = Vec::new();
        while let Some(items) = ranges.claim(0, 3) {
            seen.extend(items);
        }
        assert_eq!(seen, (0..100).collect::<Vec<_>>());
        assert!(!ranges.has_work());
    }

    #[test]
    fn a_thief_takes_the_back_half() {
        let ranges = ranges(2, 10);
        assert_eq!(ranges.claim(0, 1), Some(0..1));
        assert_eq!(ranges.steal_half(1), Some(()));
        let own: Vec<u32> = std::iter::from_fn(|| ranges.claim(1, 3)).flatten().collect();
        assert_eq!(own, [5, 6, 7, 8, 9]);
        assert!(ranges.has_work());
    }

    #[test]
    fn a_thread_without_a_range_claims_from_the_largest() {
        let ranges = ranges(2, 10);
        assert_eq!(ranges.steal_half(1), Some(()));
        assert_eq!(ranges.claim(1, 2), Some(5..7));
        assert!(ranges.has_range(1) && !ranges.has_range(2));
        let claimed: Vec<u32> = std::iter::from_fn(|| ranges.claim(2, 1)).flatten().collect();
        assert_eq!((claimed.len(), claimed[0], ranges.has_work()), (8, 0, false));
    }

    #[test]
    fn a_last_unstarted_item_can_be_stolen() {
        let ranges = ranges(2, 1);
        assert_eq!(ranges.steal_half(1), Some(()));
        assert_eq!(ranges.steal_half(0), Some(()), "and back");
        assert_eq!(ranges.claim(0, 3), Some(0..1));
        assert_eq!((ranges.steal_half(0), ranges.steal_half(1)), (None, None));
    }

    #[test]
    fn every_item_is_started_once() {
        const ITEMS: u32 = if cfg!(miri) { 200 } else { 200_000 };
        let ranges = ranges(4, ITEMS);
        let mut started: Vec<u32> = std::thread::scope(|scope| {
            let threads = [0, 1, 2, 3].map(|owner| {
                let ranges = &ranges;
                scope.spawn(move || {
                    let next = || {
                        ranges.claim(owner, 5).or_else(|| {
                            ranges.steal_half(owner)?;
                            // Another thread may have stolen them.
                            Some(ranges.claim(owner, 5).unwrap_or(0..0))
                        })
                    };
                    std::iter::from_fn(next).flatten().collect::<Vec<_>>()
                })
            });
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        // A thread may give up while another one runs its last claim, but no item is lost.
        started.sort_unstable();
        assert!(started.into_iter().eq(0..ITEMS));
    }
}
