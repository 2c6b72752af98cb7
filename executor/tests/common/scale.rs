//! Helpers for the tests of budgets.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it")]

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::SeqCst};

use reorder_executor::{Failure, Ordered};

use crate::common::Tracked;

/// Returns numbers that look random, below `limit`.
pub fn numbers(count: u64, limit: u64) -> impl Iterator<Item = u64> + Send + 'static {
    (1..=count).map(move |n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33).map(move |n| n % limit)
}

/// Panics when it is dropped. Its counter tells whether that has happened.
pub struct Fuse(#[expect(dead_code, reason = "its drop is counted")] pub Tracked, pub u64);

impl Drop for Fuse {
    fn drop(&mut self) {
        panic!("a drop");
    }
}

/// Counts the total weight of the items that have started and were not taken.
pub struct Scale {
    limit: i64,
    outstanding: AtomicI64,
    /// The greatest weight that was beyond the limit, or 0.
    excess: AtomicI64,
}

impl Scale {
    pub fn new(limit: u64) -> Arc<Scale> {
        let (outstanding, excess) = (AtomicI64::new(0), AtomicI64::new(0));
        Arc::new(Scale { limit: limit as i64, outstanding, excess })
    }

    /// Adds an item. The call is at the start of its job.
    pub fn start(&self, weight: u64) {
        let weight = weight as i64;
        let total = self.outstanding.fetch_add(weight, SeqCst) + weight;
        // An item that is heavier than the budget is alone, or beside items without a weight.
        if total > self.limit && total > weight && weight > 0 {
            self.excess.fetch_max(total, SeqCst);
        }
    }

    /// Takes all outcomes, and compares them with the weights.
    pub fn check(
        &self,
        mut outcomes: Ordered<'_, u64, u64>,
        expected: impl IntoIterator<Item = u64>,
    ) {
        for expected in expected {
            // There is room before the outcome is returned, so this subtracts early.
            let weight = match outcomes.peek().expect("there are more items") {
                Ok(weight) | Err(Failure::Failed { error: weight, .. }) => *weight,
                Err(failure) => panic!("{failure}"),
            };
            assert_eq!(weight, expected);
            self.outstanding.fetch_sub(weight as i64, SeqCst);
            outcomes.next();
        }
        assert!(outcomes.next().is_none());
        assert_eq!(self.excess.load(SeqCst), 0, "limit {}", self.limit);
    }
}
