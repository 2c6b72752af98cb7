//! Values of various types: zero-sized, as large as a page, over-aligned, owning and borrowing.

use std::fmt::Debug;

use crate::values::{Page, ZeroSized};
use reorder_ring::{Gap, Reason, Ring};

/// Passes values through every way in and out of rings of several capacities. `check` compares
/// a value with what `make` returns for that number.
fn every_way<T>(make: impl Fn(u64) -> T, check: impl Fn(&T, u64) -> bool) {
    for capacity in [1, 2, 3, 8] {
        let ring = Ring::with_capacity(capacity).unwrap();
        let mut number = 0;
        for round in 0..3 {
            let mut batch = ring.open().unwrap();
            for _window in 0..3 {
                let tickets: Vec<_> = batch.reserve_many(ring.capacity()).unwrap().collect();
                let first = number;
                number += tickets.len() as u64;
                for (index, &ticket) in tickets.iter().enumerate().rev() {
                    let number = first + index as u64;
                    if number % 5 == 4 {
                        ring.evict(ticket).unwrap();
                    } else {
                        ring.complete(ticket, make(number)).unwrap();
                    }
                    let rejected = ring.complete(ticket, make(!number)).unwrap_err();
                    assert!(check(&rejected.value, !number), "a refused value comes back intact");
                }
                for number in first..number {
                    match batch.try_next().expect("each position has an outcome").outcome {
                        Ok(value) => assert!(number % 5 != 4 && check(&value, number)),
                        Err(gap) => assert_eq!((number % 5, gap), (4, Gap::Evicted)),
                    }
                }
            }
            // The batch or the ring drops the values that were not delivered.
            let tickets = batch.reserve_many(ring.capacity()).unwrap();
            let late = tickets.get(0).unwrap();
            for ticket in tickets {
                ring.complete(ticket, make(number)).unwrap();
            }
            if round == 2 {
                std::mem::forget(batch);
            } else {
                drop(batch);
                let rejected = ring.complete(late, make(number)).unwrap_err();
                assert!(rejected.reason == Reason::Stale && check(&rejected.value, number));
            }
        }
    }
}

#[test]
fn zero_sized_values_are_dropped_as_often_as_they_were_made() {
    every_way(|_| ZeroSized::new(), |_, _| true);
    assert_eq!(ZeroSized::alive(), 0);
}

#[test]
fn over_aligned_values_keep_their_alignment() {
    every_way(Page, |page, number| page.is(number));
}

/// A zero-sized value that is aligned to a page.
#[repr(align(4096))]
struct AlignedZeroSized;

#[test]
fn over_aligned_zero_sized_values_keep_their_alignment() {
    every_way(|_| AlignedZeroSized, |value, _| std::ptr::from_ref(value).addr() % 4096 == 0);
}

#[test]
fn values_of_a_page_arrive_intact() {
    let words = |number: u64| std::array::from_fn::<u64, 512, _>(|i| number.rotate_left(i as u32));
    every_way(words, |value, number| *value == words(number));
}

/// As `every_way`, for values that can be compared.
fn equal<T: PartialEq + Debug>(make: impl Fn(u64) -> T) {
    every_way(&make, |value, number| *value == make(number));
}

#[test]
fn values_that_own_or_borrow_arrive_intact() {
    equal(|number| number.to_string());
    equal(|number| Some(Box::new(number)));
    equal(|number| u128::from(number) << 64);
    equal(|number| number as u8);
    equal(|number| number % 2 == 0);
    let words = ["some", "borrowed", "words"].map(String::from);
    equal(|number| words[(number % 3) as usize].as_str());
    equal(|number| if number % 2 == 0 { Ok("even") } else { Err(number) });
}
