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

pub(crate) struct Shares {
    seats: Box<[CachePadded<AtomicU64>]>,
}

fn pack(range: &Range<u32>) -> u64 {
    u64::from(range.end) << 32 | u64::from(range.start)
}

fn unpack(word: u64) -> Range<u32> {
    word as u32..(word >> 32) as u32
}

impl Shares {
    /// Of so many seats, all empty.
    pub(crate) fn new(seats: usize) -> Shares {
        Shares { seats: (0..seats).map(|_| CachePadded::new(AtomicU64::new(0))).collect() }
    }

    fn range(&self, seat: usize) -> Range<u32> {
        // ORDERING: shares:look: Relaxed; a guess, or the seat's own range. That a sleeper does not
        // miss a range is the business of the fences in `hub`.
        unpack(self.seats[seat].load(Relaxed))
    }

    /// Puts `to` in the place of `from`, unless somebody was faster.
    fn swap(&self, seat: usize, from: &Range<u32>, to: &Range<u32>) -> bool {
        let word = &self.seats[seat];
        // ORDERING: shares:swap: Acquire pairs with `shares:put`: who takes items from another
        // seat has what their puller wrote, handed on from seat to seat.
        word.compare_exchange(pack(from), pack(to), Acquire, Relaxed).is_ok()
    }

    /// Whether any item is unstarted and not in the hands of a thread.
    pub(crate) fn any(&self) -> bool {
        (0..self.seats.len()).any(|seat| !self.range(seat).is_empty())
    }

    /// Up to `most` items from the front of the seat's own range.
    pub(crate) fn claim(&self, seat: usize, most: u32) -> Option<Range<u32>> {
        loop {
            let range = self.range(seat);
            if range.is_empty() {
                return None;
            }
            let end = range.start + most.min(range.end - range.start);
            if self.swap(seat, &range, &(end..range.end)) {
                return Some(range.start..end);
            }
        }
    }

    /// New items for the seat, whose own range must be empty.
    pub(crate) fn put(&self, seat: usize, items: Range<u32>) {
        // ORDERING: shares:put: Release pairs with `shares:swap`. Only the owner puts something
        // into an empty range, so a store does.
        self.seats[seat].store(pack(&items), Release);
    }

    /// Puts the back half of the largest range of the others into the seat's own, which must be
    /// empty. `None` if there is none.
    pub(crate) fn take_over(&self, seat: usize) -> Option<()> {
        loop {
            let others = (0..self.seats.len()).filter(|&other| other != seat);
            let (victim, range) = others
                .map(|other| (other, self.range(other)))
                .max_by_key(|(_, range)| range.end.saturating_sub(range.start))?;
            if range.is_empty() {
                return None;
            }
            let middle = range.start + (range.end - range.start) / 2;
            if self.swap(victim, &range, &(range.start..middle)) {
                self.put(seat, middle..range.end);
                return Some(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(seats: usize, items: u32) -> Shares {
        let shares = Shares::new(seats);
        shares.put(0, 0..items);
        shares
    }

    #[test]
    fn a_seat_alone_gets_all_items_in_order() {
        let shares = shares(3, 100);
        let mut seen = Vec::new();
        while let Some(items) = shares.claim(0, 3) {
            seen.extend(items);
        }
        assert_eq!(seen, (0..100).collect::<Vec<_>>());
        assert!(!shares.any());
    }

    #[test]
    fn the_remainder_is_taken_over_from_the_back() {
        let shares = shares(2, 10);
        assert_eq!(shares.claim(0, 1), Some(0..1));
        assert_eq!(shares.take_over(1), Some(()));
        let own: Vec<u32> = std::iter::from_fn(|| shares.claim(1, 3)).flatten().collect();
        assert_eq!(own, [5, 6, 7, 8, 9]);
        assert!(shares.any());
    }

    #[test]
    fn a_last_unstarted_item_can_be_taken_over() {
        let shares = shares(2, 1);
        assert_eq!(shares.take_over(1), Some(()));
        assert_eq!(shares.take_over(0), Some(()), "and back");
        assert_eq!(shares.claim(0, 3), Some(0..1));
        assert_eq!((shares.take_over(0), shares.take_over(1)), (None, None));
    }

    #[test]
    fn every_item_is_started_once_whoever_takes_it() {
        const ITEMS: u32 = if cfg!(miri) { 200 } else { 200_000 };
        let shares = shares(4, ITEMS);
        let mut started: Vec<u32> = std::thread::scope(|scope| {
            let threads = [0, 1, 2, 3].map(|seat| {
                let shares = &shares;
                scope.spawn(move || {
                    let next = || {
                        shares.claim(seat, 5).or_else(|| {
                            shares.take_over(seat)?;
                            // Another may have been faster.
                            Some(shares.claim(seat, 5).unwrap_or(0..0))
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
