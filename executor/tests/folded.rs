//! Streams that are folded, by `for_each` and the like: as if each outcome had been asked for alone.

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};

use common::{Census, executor, kinds, without_hanging};
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
        // Some of these stop within a chunk of many items, which are handed out in the opposite direction then.
        for taken in [0, 1, 2, 9, 5_000, 5_001, 5_100, ITEMS - 1, ITEMS] {
            let mut stream = executor.stream(0..ITEMS, |item| item);
            let mut items: Vec<u64> =
                stream.by_ref().take(taken as usize).map(Result::unwrap).collect();
            items.extend(folded(stream).into_iter().map(Result::unwrap));
            assert!(items.into_iter().eq(0..ITEMS), "{taken} of {workers}");
        }
    }
}

#[test]
fn a_fold_of_a_stream_at_its_end_is_what_it_began_with() {
    let mut stream = executor(1).stream(0..3, |item| item);
    while stream.next().is_some() {}
    assert_eq!(stream.fold(7, |seven, _| seven + 1), 7);
}

#[test]
fn what_is_no_value_comes_in_its_place() {
    // One worker, which runs one after the other: what comes before the failure has run by then.
    let executor = executor(1);
    let panics = executor.stream(0..6, |item| if item == 3 { panic!("no") } else { item });
    assert_eq!(kinds(&folded(panics)), "...p..");

    // One without an end, of which something is left to be cut off.
    let failing = executor.batch(0u64..).fail_fast();
    let failing = failing.stream(|item, _| if item == 3 { Err("no") } else { Ok(item) }).unwrap();
    let kinds = kinds(&folded(failing));
    assert!(kinds.starts_with("...f") && kinds.ends_with('c'), "{kinds}");
}

#[test]
fn a_consumer_that_panics_loses_nothing() {
    without_hanging(|| {
        for stop in [0, 1, 100, ITEMS - 1] {
            let executor = Executor::builder().workers(2).window(1024).build().unwrap();
            let results = Census::default();
            let members = results.clone();
            let stream = executor.stream(0..ITEMS, move |item| members.join(item));
            let mut seen = Vec::new();
            let fold = AssertUnwindSafe(|| {
                stream.for_each(|member| {
                    seen.push(member.unwrap().value);
                    assert!(seen.len() as u64 <= stop, "enough");
                });
            });
            assert!(catch_unwind(fold).is_err());
            assert!(seen.into_iter().eq(0..=stop));
            results.wait_for_none();
        }
    });
}
