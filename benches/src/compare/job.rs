//! The jobs that the peers run.

use std::hint::black_box;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// A job with the bounds of all peers. Some need a copy per thread, and some keep the job longer
/// than the call.
pub(crate) trait Job<I, U>: Fn(I) -> U + Copy + Send + Sync + 'static {}

impl<I, U, F: Fn(I) -> U + Copy + Send + Sync + 'static> Job<I, U> for F {}

/// Works for a few nanoseconds. The results of different numbers differ.
#[inline]
pub(crate) fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Does the work that takes `micros` microseconds on a thread with its own processor.
///
/// The work is a fixed number of steps, so a preempted thread still has to do all of it.
pub fn busy(number: u64, micros: u64) -> u64 {
    steps(number, micros * steps_per_micro())
}

/// Works for 1 to 50 microseconds; the number determines the time.
pub(crate) fn uneven(number: u64) -> u64 {
    busy(number, 1 + mix(number) % 50)
}

fn steps(number: u64, count: u64) -> u64 {
    (0..count).fold(number, |mixed, _| mix(mixed))
}

fn steps_per_micro() -> u64 {
    static MEASURED: OnceLock<u64> = OnceLock::new();
    *MEASURED.get_or_init(|| {
        const STEPS: u64 = 100_000;
        let once = || {
            let start = Instant::now();
            black_box(steps(black_box(1), STEPS));
            start.elapsed()
        };
        // The minimum, for every disturbance makes a sample slower.
        let quickest = (0..20).map(|_| once()).min().unwrap_or(Duration::MAX);
        (u128::from(STEPS) * 1000 / quickest.as_nanos().max(1)).max(1) as u64
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_numbers_have_different_results() {
        let mut results: Vec<u64> = (0..10_000).map(mix).collect();
        results.sort_unstable();
        results.dedup();
        assert_eq!(results.len(), 10_000);
        assert_ne!(busy(1, 1), busy(2, 1));
        assert_eq!(uneven(3), uneven(3));
    }
}
