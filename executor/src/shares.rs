//! Who runs which cells of a batch: one range per seat, and nothing else.
//!
//! ```text
//!  63            32 31             0
//! +----------------+----------------+
//! | end            | next           |     next == end: nothing unstarted here
//! +----------------+----------------+
//! ```
//!
//! The caller starts with all of them. A seat takes from the front of its own range; one that has
//! nothing takes over the back half of the largest. So the unstarted remainder behind a slow item
//! is never out of reach, and a thread alone pays no contention.
//!
//! Each cell number is in one range at most, and leaves it once. A compare-and-swap that finds the
//! range it read is right even if the word changed in between: the same range means that the same
//! cells are unstarted.

use std::ops::Range;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use crossbeam_utils::CachePadded;

pub(crate) struct Shares {
    // ORDERING: shares:all: every access is Relaxed. The words carry numbers only: what the cells
    // refer to was written before the batch was published, and results travel through the ring.
    // That a sleeper does not miss a range is the business of the fences in `hub`.
    seats: Box<[CachePadded<AtomicU64>]>,
}

fn pack(range: &Range<u32>) -> u64 {
    u64::from(range.end) << 32 | u64::from(range.start)
}

fn unpack(word: u64) -> Range<u32> {
    word as u32..(word >> 32) as u32
}

impl Shares {
    /// All `cells` with seat 0.
    pub(crate) fn new(seats: usize, cells: u32) -> Shares {
        let all = pack(&(0..cells));
        let word = |seat| CachePadded::new(AtomicU64::new(if seat == 0 { all } else { 0 }));
        Shares { seats: (0..seats).map(word).collect() }
    }

    fn range(&self, seat: usize) -> Range<u32> {
        // ORDERING: shares:look: Relaxed, see `shares:all`.
        unpack(self.seats[seat].load(Relaxed))
    }

    /// Puts `to` in the place of `from`, unless somebody was faster.
    fn swap(&self, seat: usize, from: &Range<u32>, to: &Range<u32>) -> bool {
        let word = &self.seats[seat];
        // ORDERING: shares:swap: Relaxed, see `shares:all`.
        word.compare_exchange(pack(from), pack(to), Relaxed, Relaxed).is_ok()
    }

    /// Whether any cell is unstarted and not in the hands of a thread.
    pub(crate) fn any(&self) -> bool {
        (0..self.seats.len()).any(|seat| !self.range(seat).is_empty())
    }

    /// The first cell of the seat's own range.
    pub(crate) fn claim(&self, seat: usize) -> Option<u32> {
        loop {
            let range = self.range(seat);
            if range.is_empty() {
                return None;
            }
            if self.swap(seat, &range, &(range.start + 1..range.end)) {
                return Some(range.start);
            }
        }
    }

    /// The back half of the largest range of the others, if any is left. The seat's own range must
    /// be empty: it becomes what was taken over, but for its first cell, which is returned with
    /// whether there was more.
    pub(crate) fn take_over(&self, seat: usize) -> Option<(u32, bool)> {
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
                let rest = middle + 1..range.end;
                let more = !rest.is_empty();
                if more {
                    // ORDERING: shares:keep: Relaxed, see `shares:all`. Only the owner puts
                    // something into an empty range, so a store does.
                    self.seats[seat].store(pack(&rest), Relaxed);
                }
                return Some((middle, more));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seat_alone_gets_all_cells_in_order() {
        let shares = Shares::new(3, 100);
        let mut seen = Vec::new();
        while let Some(cell) = shares.claim(0) {
            seen.push(cell);
        }
        assert_eq!(seen, (0..100).collect::<Vec<_>>());
        assert!(!shares.any());
    }

    #[test]
    fn the_remainder_is_taken_over_from_the_back() {
        let shares = Shares::new(2, 10);
        assert_eq!(shares.claim(0), Some(0));
        assert_eq!(shares.take_over(1), Some((5, true)));
        let own: Vec<u32> = std::iter::from_fn(|| shares.claim(1)).collect();
        assert_eq!(own, [6, 7, 8, 9]);
        assert!(shares.any());
    }

    #[test]
    fn a_last_unstarted_cell_can_be_taken_over() {
        let shares = Shares::new(2, 1);
        assert_eq!(shares.take_over(1), Some((0, false)));
        assert_eq!(shares.take_over(1), None);
        assert_eq!(shares.claim(0), None);
    }

    #[test]
    fn every_cell_is_started_once_whoever_takes_it() {
        const CELLS: u32 = if cfg!(miri) { 200 } else { 200_000 };
        let shares = Shares::new(4, CELLS);
        let mut started: Vec<u32> = std::thread::scope(|scope| {
            let threads = [0, 1, 2, 3].map(|seat| {
                let shares = &shares;
                scope.spawn(move || {
                    let next = || {
                        shares.claim(seat).or_else(|| shares.take_over(seat).map(|(cell, _)| cell))
                    };
                    std::iter::from_fn(next).collect::<Vec<_>>()
                })
            });
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        // A thread may give up while another holds cells in its hand, but nobody drops any.
        started.sort_unstable();
        assert!(started.into_iter().eq(0..CELLS));
    }
}
