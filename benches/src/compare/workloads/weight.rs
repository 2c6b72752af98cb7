//! Buffers of 100 B to 10 MB within a budget of bytes: each job allocates and fills one, and the
//! consumer checks and drops it.
//!
//! The peak of the allocator is compared with the budget. The consumer of ours drops a buffer
//! before it takes the outcome, so that the buffer still counts. The semaphore is released after
//! the drop.

use std::sync::Arc;
use std::time::Instant;

use super::{RunComparison, THREADS};
use crate::compare::Settings;
use crate::compare::comparison::{Comparison, Extra, OURS, Sample, check_results};
use crate::compare::job::mix;
use crate::compare::memory::peak_of;
use crate::compare::peers::{Load, Ours, SemaphoreHeap, Weighed};

const BUDGET: u64 = 64 << 20;

pub(super) fn run(settings: &Settings, run_comparison: &mut RunComparison<'_>) {
    let sizes = sizes(settings.amount(1000, 100));
    for threads in THREADS {
        let mut comparison = Comparison::new("weight", threads, settings);
        add_peer(&mut comparison, OURS, || Ours::new(threads - 1, 1024), &sizes);
        add_peer(&mut comparison, "semaphore-heap", || SemaphoreHeap::new(threads), &sizes);
        run_comparison(comparison);
    }
}

/// Returns sizes from 100 B to 10 MB, of which small ones are as frequent as large ones.
fn sizes(count: u64) -> Arc<[usize]> {
    let size = |number| {
        let magnitude = mix(number) as f64 / u64::MAX as f64;
        (100.0 * 1e5_f64.powf(magnitude)) as usize
    };
    (0..count).map(size).collect()
}

/// Returns a buffer of this size, filled with a byte that the size determines.
fn fill(size: usize) -> Vec<u8> {
    vec![size as u8 | 1; size]
}

fn add_peer<'a, P: Weighed + 'a>(
    comparison: &mut Comparison<'a>,
    peer: &'static str,
    make: impl FnOnce() -> P,
    sizes: &'a Arc<[usize]>,
) {
    let expected: Vec<(usize, u64)> =
        sizes.iter().map(|&size| (size, size as u64 * u64::from(size as u8 | 1))).collect();
    comparison.add_peer(peer, make, move |peer, _| {
        let mut results = Vec::with_capacity(sizes.len());
        let start = Instant::now();
        let ((), peak) = peak_of(|| {
            let load = Load { sizes: Arc::clone(sizes), budget: BUDGET, job: fill };
            peer.run(load, |buffer: Vec<u8>| {
                results.push((buffer.len(), buffer.iter().map(|&byte| u64::from(byte)).sum()));
            });
        });
        let nanos = start.elapsed().as_nanos() as f64 / sizes.len() as f64;
        check_results(&results, &expected)?;
        let extra = Extra { budget: Some((peak, BUDGET)), ..Extra::default() };
        Ok(Sample { nanos, extra })
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_sizes_are_as_frequent_as_large_ones() {
        let sizes = sizes(10_000);
        assert!(sizes.iter().all(|size| (100..=10_000_000).contains(size)));
        for decade in 2..7 {
            let range = 10_usize.pow(decade)..10_usize.pow(decade + 1);
            let count = sizes.iter().filter(|size| range.contains(size)).count();
            assert!((1_800..2_200).contains(&count), "{count} sizes in {range:?}");
        }
    }
}
