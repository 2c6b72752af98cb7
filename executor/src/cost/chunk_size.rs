//! Computes how many items a thread claims at once. The cheaper the last items were, the more it
//! claims.
//!
//! Other threads cannot reach claimed items until these have run, and the outcomes of a chunk are
//! delivered together. So a chunk must be short in time, as far as the last items tell. It must
//! also be short in items, in case they tell wrong. The caller limits the number of items.

use std::time::Duration;

use crate::primitive::whole_nanos;

/// The factor by which a chunk may be larger than the one before.
const GROWTH: u32 = 8;

/// Returns the number of items of the next chunk, at least 1.
///
/// The last chunk had `items` items, at least 1, and took `took`. The next one should take
/// `target`.
pub(crate) fn chunk_size(target: Duration, items: u32, took: Duration) -> u32 {
    let each = (whole_nanos(took) / u64::from(items)).max(1);
    let fit = u32::try_from(whole_nanos(target) / each).unwrap_or(u32::MAX);
    fit.min(items.saturating_mul(GROWTH)).max(1)
}

/// Returns the maximum chunk size per thread: half of `window / threads`, at least 1. With half of
/// an equal share, the other threads find something to claim while the first chunks are delivered.
pub(crate) fn max_chunk_size(window: usize, threads: usize) -> usize {
    (window / (2 * threads)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the sizes of the first chunks, for items of `nanos` nanoseconds each.
    fn claims(nanos: u64, claims: usize) -> Vec<u32> {
        let mut items = 1;
        let next = || {
            let before = items;
            let took = Duration::from_nanos(nanos * u64::from(items));
            items = chunk_size(Duration::from_micros(1), items, took);
            before
        };
        std::iter::repeat_with(next).take(claims).collect()
    }

    #[test]
    fn claims_grow_with_cheapness_and_step_by_step() {
        assert_eq!(claims(1, 5), [1, 8, 64, 512, 1000]);
        assert_eq!(claims(100, 4), [1, 8, 10, 10]);
        assert_eq!(claims(400, 3), [1, 2, 2]);
    }

    #[test]
    fn two_chunks_of_each_thread_fill_a_window() {
        assert_eq!([1, 2, 3].map(|threads| max_chunk_size(1024, threads)), [512, 256, 170]);
        assert_eq!(
            [(1, 1), (8, 5), (1, 1000)].map(|(window, threads)| max_chunk_size(window, threads)),
            [1; 3]
        );
    }

    #[test]
    fn dear_items_are_claimed_one_by_one() {
        assert_eq!(claims(600, 3), [1, 1, 1]);
        assert_eq!(claims(1_000_000_000, 3), [1, 1, 1]);
    }

    #[test]
    fn slow_items_are_enough_to_go_back_at_once() {
        let target = Duration::from_micros(1);
        assert_eq!(chunk_size(target, 500, Duration::from_millis(10)), 1);
        assert_eq!(chunk_size(target, 1, Duration::MAX), 1);
        assert_eq!(chunk_size(target, u32::MAX, Duration::ZERO), 1000);
    }
}
