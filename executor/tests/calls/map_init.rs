//! The per-thread states of `map_init`: which thread makes them, how many there are, and when they
//! are replaced or dropped.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread::{self, ThreadId};

use crate::common::executor;

#[test]
fn a_state_stays_with_its_thread() {
    let made = AtomicUsize::new(0);
    let init = || {
        made.fetch_add(1, SeqCst);
        (thread::current().id(), 0)
    };
    let job = |(owner, items): &mut (ThreadId, usize), n| {
        assert_eq!(*owner, thread::current().id());
        *items += 1;
        thread::yield_now();
        (n, *items)
    };
    let results = executor(3).map_init(0..2000, init, job);
    assert!(results.iter().map(|result| result.0).eq(0..2000));
    // Each state counts its items from 1, so that there are as many ones as states.
    let made = made.into_inner();
    assert!((1..=4).contains(&made), "{made} states on four threads");
    assert_eq!(results.iter().filter(|result| result.1 == 1).count(), made);
}

#[test]
fn a_state_in_which_a_job_panicked_is_replaced() {
    let (alive, made) = (Arc::new(()), AtomicUsize::new(0));
    let init = || {
        made.fetch_add(1, SeqCst);
        (Arc::clone(&alive), false)
    };
    let executor = executor(1);
    let caught = catch_unwind(AssertUnwindSafe(|| {
        executor.map_init(0..100, init, |(_, is_broken), n| {
            assert!(!*is_broken, "a broken state was used again");
            if n % 10 == 3 {
                *is_broken = true;
                resume_unwind(Box::new("broken"));
            }
        })
    }));
    assert_eq!(caught.unwrap_err().downcast_ref(), Some(&"broken"));
    // Ten items panic, each in a state of its own. The last item of a thread needs no replacement.
    assert!(made.into_inner() >= 10);
    assert_eq!(Arc::strong_count(&alive), 1, "a state was not dropped");
}

#[test]
fn nested_calls_have_separate_states() {
    let executor = executor(1);
    let sums = executor.map_init(
        0..10,
        || 100,
        |outer, n| {
            *outer += 1;
            let before = *outer;
            let inner = executor.map_init(
                0..n,
                || 0,
                |inner, m| {
                    *inner += 1;
                    m
                },
            );
            assert_eq!(*outer, before);
            inner.iter().sum::<i32>()
        },
    );
    assert!(sums.into_iter().eq((0..10).map(|n| n * (n - 1) / 2)));
}

/// The call resumes the panic of a job or, if there is none, the panic of a state. It never aborts.
#[test]
fn a_state_may_panic_when_it_is_dropped() {
    struct PanicsOnDrop;
    impl Drop for PanicsOnDrop {
        fn drop(&mut self) {
            resume_unwind(Box::new("dropped"));
        }
    }
    // The caller and the worker each have a state.
    let run = |broken| {
        let made = AtomicUsize::new(0);
        let init = || {
            made.fetch_add(1, SeqCst);
            while made.load(SeqCst) < 2 {
                thread::yield_now();
            }
            PanicsOnDrop
        };
        let job = move |_: &mut PanicsOnDrop, n| {
            if n == broken {
                resume_unwind(Box::new("broken"));
            }
        };
        let call = || executor(1).map_init(0..20, init, job);
        *catch_unwind(AssertUnwindSafe(call)).unwrap_err().downcast::<&str>().unwrap()
    };
    assert_eq!([run(10), run(1000)], ["broken", "dropped"]);
}
