//! Values of every shape: of no size, of a page, aligned to one, and with lifetimes.

use std::cell::Cell;
use std::fmt::Debug;

use reorder_ring::{Gap, Reason, Ring};

/// Takes values through every way in and out of rings of several capacities; `check` says
/// whether a value is the one that was made for a number.
fn every_way<T>(make: impl Fn(u64) -> T, check: impl Fn(&T, u64) -> bool) {
    for capacity in [1, 2, 3, 8] {
        let ring = Ring::with_capacity(capacity).unwrap();
        let mut number = 0;
        for round in 0..3 {
            let mut batch = ring.open().unwrap();
            for _lap in 0..3 {
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
                    assert!(check(&rejected.value, !number), "a refused value comes back whole");
                }
                for number in first..number {
                    match batch.try_next().expect("all are settled").outcome {
                        Ok(value) => assert!(number % 5 != 4 && check(&value, number)),
                        Err(gap) => assert_eq!((number % 5, gap), (4, Gap::Evicted)),
                    }
                }
            }
            // What is undelivered goes with the batch, or with the ring.
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

thread_local!(static NOTHINGS: Cell<i64> = const { Cell::new(0) });

/// Of no size; the thread counts how many there are.
struct Nothing;

impl Nothing {
    fn new() -> Nothing {
        NOTHINGS.set(NOTHINGS.get() + 1);
        Nothing
    }
}

impl Drop for Nothing {
    fn drop(&mut self) {
        NOTHINGS.set(NOTHINGS.get() - 1);
        assert!(NOTHINGS.get() >= 0, "dropped once more than made");
    }
}

#[test]
fn values_of_no_size_are_dropped_as_often_as_they_were_made() {
    every_way(|_| Nothing::new(), |_, _| true);
    assert_eq!(NOTHINGS.get(), 0);
}

/// Aligned to a page, and knows it.
#[repr(align(4096))]
struct Page(u64);

impl Page {
    fn is(&self, number: u64) -> bool {
        std::ptr::from_ref(self).addr() % 4096 == 0 && self.0 == number
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        assert!(self.is(self.0), "dropped at a place that is not aligned");
    }
}

#[test]
fn over_aligned_values_keep_their_alignment() {
    every_way(Page, |page, number| page.is(number));
}

/// Of no size, and aligned all the same.
#[repr(align(4096))]
struct Edge;

#[test]
fn over_aligned_values_of_no_size_keep_their_alignment() {
    every_way(|_| Edge, |edge, _| std::ptr::from_ref(edge).addr() % 4096 == 0);
}

#[test]
fn values_of_a_page_come_whole() {
    let words = |number: u64| std::array::from_fn::<u64, 512, _>(|i| number.rotate_left(i as u32));
    every_way(words, |value, number| *value == words(number));
}

/// `make` without `check`: equal means the same.
fn equal<T: PartialEq + Debug>(make: impl Fn(u64) -> T) {
    every_way(&make, |value, number| *value == make(number));
}

#[test]
fn values_that_own_or_borrow_come_whole() {
    equal(|number| number.to_string());
    equal(|number| Some(Box::new(number)));
    equal(|number| u128::from(number) << 64);
    equal(|number| number as u8);
    equal(|number| number % 2 == 0);
    let words = ["some", "borrowed", "words"].map(String::from);
    equal(|number| words[(number % 3) as usize].as_str());
    equal(|number| if number % 2 == 0 { Ok("even") } else { Err(number) });
}
