//! Sorts by merging, where each half is a call of the executor inside a job of the executor.
//!
//! ```sh
//! cargo run -p reorder-executor --example nested_calls
//! ```
//!
//! A caller helps with its own batch, so calls nest as deep as the stack allows. One worker is
//! enough.

use reorder_executor::{BuildError, Executor};

/// Below this length a call costs more than it gains.
const SEQUENTIAL: usize = 4096;

fn sort(executor: &Executor, numbers: &[u64]) -> Vec<u64> {
    if numbers.len() <= SEQUENTIAL {
        let mut sorted = numbers.to_vec();
        sorted.sort_unstable();
        return sorted;
    }
    let (left, right) = numbers.split_at(numbers.len() / 2);
    // The results come in the order of the items: first the left half, then the right one.
    let halves = executor.map([left, right], |half| sort(executor, half));
    merge(&halves[0], &halves[1])
}

fn merge(mut left: &[u64], mut right: &[u64]) -> Vec<u64> {
    let mut merged = Vec::with_capacity(left.len() + right.len());
    while let ([first, left_rest @ ..], [second, right_rest @ ..]) = (left, right) {
        if first <= second {
            merged.push(*first);
            left = left_rest;
        } else {
            merged.push(*second);
            right = right_rest;
        }
    }
    merged.extend_from_slice(left);
    merged.extend_from_slice(right);
    merged
}

fn main() -> Result<(), BuildError> {
    let numbers: Vec<u64> = (0..200_000_u64).map(|n| n * 48_271 % 65_537).collect();
    for workers in [1, 3] {
        let executor = Executor::builder().workers(workers).build()?;
        let sorted = sort(&executor, &numbers);
        assert!(sorted.is_sorted() && sorted.len() == numbers.len());
        println!(
            "{workers} worker(s): sorted {} numbers, from {} to {}",
            sorted.len(),
            sorted[0],
            sorted[sorted.len() - 1]
        );
    }
    Ok(())
}
