//! `fold`, `for_each` and the like on a stream: the same outcomes as by repeated `next`.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::common::{LiveCounter, executor, kinds, with_timeout};
use reorder_executor::{Executor, Failure, Ordered};

const ITEMS: u64 = 20_000;

fn folded<U: Send, E: Send>(stream: Ordered<'_, U, E>) -> Vec<Result<U, Failure<E>>> {
    stream.fold(Vec::new(), |mut outcomes, outcome| {
        outcomes.push(outcome);
        outcomes
    })
}

#[test]
fn a_fold_goes_on_where_next_stopped() {
    for workers in [1, 3] {
        let executor = Executor::builder().workers(workers).window(1024).build().unwrap();
        // Some of these stop inside a chunk of several items. The fold then takes the rest of that
        // chunk in the opposite direction.
        for taken in [0, 1, 2, 9, 5_000, 5_001, 5_100, ITEMS - 1, ITEMS] {
            let mut stream = executor.stream(0..ITEMS, |item| item);
            let mut items: Vec<u64> =
                stream.by_ref().take(taken as usize).map(Result::unwrap).collect();
            items.extend(folded(stream).into_iter().map(Result::unwrap));
            assert!(items.into_iter().eq(0..ITEMS), "{taken} taken, {workers} workers");
        }
    }
}

#[test]
fn a_fold_of_an_ended_stream_returns_its_initial_value() {
    let mut stream = executor(1).stream(0..3, |item| item);
    while stream.next().is_some() {}
    assert_eq!(stream.fold(7, |sum, _| sum + 1), 7);
}

#[test]
fn failures_come_at_their_index() {
    // One worker runs the items in order, so that all items before the failing one have run.
    let executor = executor(1);
    let panics = executor.stream(0..6, |item| if item == 3 { panic!("no") } else { item });
    assert_eq!(kinds(&folded(panics)), "...p..");

    // The source has no end, so that items are left when the failure ends the stream.
    let failing = executor.batch(0u64..).fail_fast();
    let failing = failing.stream(|item, _| if item == 3 { Err("no") } else { Ok(item) }).unwrap();
    let kinds = kinds(&folded(failing));
    assert!(kinds.starts_with("...f") && kinds.ends_with('c'), "{kinds}");
}

#[test]
fn a_panic_in_the_closure_leaks_no_result() {
    with_timeout(|| {
        for stop in [0, 1, 100, ITEMS - 1] {
            let executor = Executor::builder().workers(2).window(1024).build().unwrap();
            let results = LiveCounter::default();
            let tracker = results.clone();
            let stream = executor.stream(0..ITEMS, move |item| tracker.track(item));
            let mut seen = Vec::new();
            let fold = AssertUnwindSafe(|| {
                stream.for_each(|result| {
                    seen.push(result.unwrap().value);
                    assert!(seen.len() as u64 <= stop, "the closure panics, on purpose");
                });
            });
            assert!(catch_unwind(fold).is_err());
            assert!(seen.into_iter().eq(0..=stop));
            results.wait_until_none_alive();
        }
    });
}
