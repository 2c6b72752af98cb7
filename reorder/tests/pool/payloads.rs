//! Values of various types in the rings of a pool: zero-sized, as large as a page, over-aligned,
//! and with lifetimes that end before their rings are freed.

use std::cell::Cell;

use crate::values::{Page, ZeroSized};
use reorder_ring::{Reason, RingPool};

/// Passes values through rings that are reused and rings that are freed. `check` returns `true` if
/// `make` returned the value for that number.
fn every_way<T>(make: impl Fn(u64) -> T, check: impl Fn(&T, u64) -> bool) {
    for limit in [0, usize::MAX] {
        let pool = RingPool::with_idle_limit(limit);
        let mut late = None;
        for (number, capacity) in (0..).zip([1, 2, 8, 1, 2, 8]) {
            let lease = pool.lease(capacity).unwrap();
            let mut batch = lease.open().unwrap();
            let tickets: Vec<_> = batch.reserve_many(capacity).unwrap().collect();
            for (way, &ticket) in tickets.iter().enumerate().rev() {
                let completed = match way % 2 {
                    0 => pool.complete(ticket, make(number)),
                    _ => lease.complete(ticket, make(number)),
                };
                assert!(completed.is_ok());
                let refused = pool.complete(ticket, make(!number)).unwrap_err();
                assert!(refused.reason == Reason::Duplicate && check(&refused.value, !number));
            }
            if let Some(late) = late.replace(tickets[0]) {
                let refused = pool.complete(late, make(number)).unwrap_err();
                assert!(check(&refused.value, number), "a refused value comes back intact");
            }
            for _ in 0..capacity.div_ceil(2) {
                let delivery = batch.try_next().expect("all are completed");
                assert!(delivery.outcome.is_ok_and(|value| check(&value, number)));
            }
            // The batch, the lease or the pool drops the other half.
            match number {
                0 | 3 => drop(batch),
                1 | 4 => std::mem::forget(batch),
                _ => {
                    drop(batch);
                    let mut owned = lease.open_owned().unwrap();
                    let ticket = owned.reserve().unwrap();
                    drop(lease);
                    assert!(pool.complete(ticket, make(number)).is_ok());
                }
            }
        }
    }
}

#[test]
fn zero_sized_values_arrive() {
    every_way(|_| (), |(), _| true);
}

#[test]
fn zero_sized_values_are_dropped_as_often_as_they_were_made() {
    every_way(|_| ZeroSized::new(), |_, _| true);
    assert_eq!(ZeroSized::alive(), 0);
}

#[test]
fn values_of_a_page_arrive_intact() {
    let words = |number: u64| std::array::from_fn::<u64, 512, _>(|i| number.rotate_left(i as u32));
    every_way(words, |value, number| *value == words(number));
}

#[test]
fn over_aligned_values_keep_their_alignment() {
    every_way(Page, |page, number| page.is(number));
}

#[test]
fn values_that_own_memory_arrive_intact() {
    every_way(|number| number.to_string(), |value, number| *value == number.to_string());
}

/// Uses its borrow when it is dropped.
struct Borrower<'a>(&'a Cell<u64>);

impl Drop for Borrower<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

/// A retired ring is freed later, on any thread. The data that its values borrowed may be gone by
/// then.
#[test]
fn values_may_borrow_data_that_ends_before_their_rings_are_freed() {
    for round in 0..if cfg!(miri) { 4 } else { 50 } {
        let drops = Box::new(Cell::new(0));
        let pool = RingPool::with_idle_limit(0);
        for _ in 0..4 {
            let lease = pool.lease(4).unwrap();
            let mut batch = lease.open().unwrap();
            for ticket in batch.reserve_many(3).unwrap() {
                assert!(pool.complete(ticket, Borrower(&drops)).is_ok());
            }
            drop(batch.try_next());
            if round % 2 == 0 {
                std::mem::forget(batch);
            }
        }
        assert_eq!(drops.get(), 12, "a value outlives its lease");
        drop(pool);
        drop(drops);
    }
    // Frees the rings that are left.
    RingPool::<u8>::new().trim(0);
}
