//! Who runs which items of a batch: one range per seat, and nothing else.
//!
//! ```text
//!  63            32 31             0
//! +----------------+----------------+
//! | end            | next           |     next == end: nothing unstarted here
//! +----------------+----------------+
//! ```
//!
//! A seat whose range is empty puts a new one there: items that it pulled, or the back half of the
//! largest range of the others, which it takes over. It takes from the front of its own. So the
//! unstarted remainder behind a slow item is never out of reach, and a thread alone pays no
//! contention.
//!
//! Each item is put once by who pulled it, is in one range at most, and leaves them once. A
//! compare-and-swap that finds the range it read is right even if the word changed in between: the
//! same range means that the same items are unstarted.

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
    /// Of so many seats, all empty.
    pub(crate) fn new(participants: usize) -> WorkRanges {
        WorkRanges {
            ranges: (0..participants).map(|_| CachePadded::new(AtomicU64::new(0))).collect(),
        }
    }

    fn range(&self, owner: usize) -> Range<u32> {
        // ORDERING: work_ranges:look: Relaxed; a guess, or the seat's own range. That a sleeper does not
        // miss a range is the business of the fences in `hub`.
        unpack(self.ranges[owner].load(Relaxed))
    }

    /// Puts `to` in the place of `from`, unless somebody was faster.
    fn swap(&self, owner: usize, from: &Range<u32>, to: &Range<u32>) -> bool {
        let word = &self.ranges[owner];
        // ORDERING: work_ranges:swap: Acquire pairs with `work_ranges:put`: who takes items from another
        // seat has what their puller wrote, handed on from seat to seat.
        word.compare_exchange(pack(from), pack(to), Acquire, Relaxed).is_ok()
    }

    /// Whether any item is unstarted and not in the hands of a thread.
    pub(crate) fn has_work(&self) -> bool {
        (0..self.ranges.len()).any(|owner| !self.range(owner).is_empty())
    }

    /// Up to `most` items from the front of the seat's own range.
    pub(crate) fn claim(&self, owner: usize, most: u32) -> Option<Range<u32>> {
        loop {
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

    /// New items for the seat, whose own range must be empty.
    pub(crate) fn put(&self, owner: usize, items: Range<u32>) {
        // ORDERING: work_ranges:put: Release pairs with `work_ranges:swap`. Only the owner puts something
        // into an empty range, so a store does.
        self.ranges[owner].store(pack(&items), Release);
    }

    /// Puts the back half of the largest range of the others into the seat's own, which must be
    /// empty. `None` if there is none.
    pub(crate) fn steal_half(&self, owner: usize) -> Option<()> {
        loop {
            let others = (0..self.ranges.len()).filter(|&other| other != owner);
            let (victim, range) = others
                .map(|other| (other, self.range(other)))
                .max_by_key(|(_, range)| range.end.saturating_sub(range.start))?;
            if range.is_empty() {
                return None;
            }
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

    fn ranges(ranges: usize, items: u32) -> WorkRanges {
        let ranges = WorkRanges::new(ranges);
        ranges.put(0, 0..items);
        ranges
    }

    #[test]
    fn a_seat_alone_gets_all_items_in_order() {
        let ranges = ranges(3, 100);
        let mut seen = Vec::new();
        while let Some(items) = ranges.claim(0, 3) {
            seen.extend(items);
        }
        assert_eq!(seen, (0..100).collect::<Vec<_>>());
        assert!(!ranges.has_work());
    }

    #[test]
    fn the_remainder_is_taken_over_from_the_back() {
        let ranges = ranges(2, 10);
        assert_eq!(ranges.claim(0, 1), Some(0..1));
        assert_eq!(ranges.steal_half(1), Some(()));
        let own: Vec<u32> = std::iter::from_fn(|| ranges.claim(1, 3)).flatten().collect();
        assert_eq!(own, [5, 6, 7, 8, 9]);
        assert!(ranges.has_work());
    }

    #[test]
    fn a_last_unstarted_item_can_be_taken_over() {
        let ranges = ranges(2, 1);
        assert_eq!(ranges.steal_half(1), Some(()));
        assert_eq!(ranges.steal_half(0), Some(()), "and back");
        assert_eq!(ranges.claim(0, 3), Some(0..1));
        assert_eq!((ranges.steal_half(0), ranges.steal_half(1)), (None, None));
    }

    #[test]
    fn every_item_is_started_once_whoever_takes_it() {
        const ITEMS: u32 = if cfg!(miri) { 200 } else { 200_000 };
        let ranges = ranges(4, ITEMS);
        let mut started: Vec<u32> = std::thread::scope(|scope| {
            let threads = [0, 1, 2, 3].map(|owner| {
                let ranges = &ranges;
                scope.spawn(move || {
                    let next = || {
                        ranges.claim(owner, 5).or_else(|| {
                            ranges.steal_half(owner)?;
                            // Another may have been faster.
                            Some(ranges.claim(owner, 5).unwrap_or(0..0))
                        })
                    };
                    std::iter::from_fn(next).flatten().collect::<Vec<_>>()
                })
            });
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        // A thread may give up while another holds items in its hand, but nobody drops any.
        started.sort_unstable();
        assert!(started.into_iter().eq(0..ITEMS));
    }
}
