//! States of threads, for all kinds of calls.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use crate::common::{LiveCounter, Tracked, executor, kinds, with_timeout};
use reorder_executor::ThreadStates;

#[test]
fn no_state_is_used_by_two_threads_and_there_are_few() {
    with_timeout(|| {
        let executor = executor(3);
        let (live, made) = (LiveCounter::default(), Arc::new(AtomicUsize::new(0)));
        let states = || {
            let (live, made) = (live.clone(), Arc::clone(&made));
            ThreadStates::new(move || {
                made.fetch_add(1, SeqCst);
                // A `Cell` may move between threads, and two of them must not use it.
                (live.track(0), Cell::new(0_u32))
            })
        };
        let count = |state: &mut (Tracked, Cell<u32>), n: u32| {
            let before = state.1.get();
            std::thread::yield_now();
            state.1.set(before + 1);
            assert_eq!(state.1.get(), before + 1);
            n
        };
        let own = states();
        let stream = executor.stream(0..500, move |n| own.with(|state| count(state, n)));
        assert!(stream.map(Result::unwrap).eq(0..500));
        let own = states();
        let batch = executor.batch(0..500);
        let handle = batch.submit(move |n, _| Ok::<_, ()>(own.with(|state| count(state, n))));
        assert!(handle.unwrap().wait().into_values().unwrap().into_iter().eq(0..500));
        let own = states();
        let report = executor.batch(0..500).run(|n, _| Ok::<_, ()>(own.with(|s| count(s, n))));
        assert!(report.into_values().unwrap().into_iter().eq(0..500));
        drop(own);
        drop(executor);
        assert!(made.load(SeqCst) <= 4 + 4 + 4, "{made:?}");
        assert_eq!(live.alive(), 0);
    });
}

#[test]
fn a_state_of_a_job_that_panics_is_dropped() {
    with_timeout(|| {
        let executor = executor(1);
        let live = LiveCounter::default();
        let counter = live.clone();
        let states = ThreadStates::new(move || counter.track(0));
        let outcomes: Vec<_> = executor
            .stream(0..6, move |n| {
                states.with(|state| {
                    assert_ne!(n % 3, 1, "in the job");
                    state.value += 1;
                    n
                })
            })
            .collect();
        assert_eq!(kinds(&outcomes), ".p..p.");
        drop(executor);
        assert_eq!(live.alive(), 0);
    });
}

#[test]
fn nested_calls_get_another_state_and_drops_may_panic() {
    struct Fragile(u32);
    impl Drop for Fragile {
        fn drop(&mut self) {
            panic!("in the drop");
        }
    }
    let states = ThreadStates::new(|| Fragile(0));
    let sum = states.with(|outer| {
        outer.0 += 1;
        states.with(|inner| {
            inner.0 += 10;
            inner.0
        }) + outer.0
    });
    assert_eq!(sum, 11);
    assert!(catch_unwind(AssertUnwindSafe(|| drop(states))).is_ok());
    let failing = ThreadStates::new(|| -> () { panic!("no state") });
    assert!(catch_unwind(AssertUnwindSafe(|| failing.with(|()| ()))).is_err());
}
