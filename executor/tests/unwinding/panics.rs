//! Sources, captures and results whose `Drop` or code panics.

use std::mem::forget;
use std::panic::{AssertUnwindSafe, RefUnwindSafe, UnwindSafe, catch_unwind, panic_any};
use std::thread;
use std::time::Duration;

use crate::common::{executor, with_timeout};
use reorder_executor::{Executor, Failure, QueueSender, Task};

/// Panics when it is dropped, also as the payload of a panic.
struct PanicsOnDrop;

impl Drop for PanicsOnDrop {
    fn drop(&mut self) {
        panic!("dropped, on purpose");
    }
}

/// Panics after `self.0` items, and again when it is dropped. The payload of that panic panics
/// when it is dropped, too.
struct Source(u64);

impl Iterator for Source {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        self.0 = self.0.checked_sub(1).expect("the source has no more items, on purpose");
        Some(self.0)
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        panic_any(PanicsOnDrop);
    }
}

#[test]
fn a_source_that_panics_in_next_and_in_drop_stalls_no_consumer() {
    with_timeout(|| {
        // The source ends at each position of the window. The consumer is early or late.
        for items in 0..20 {
            for late in [false, true] {
                let builder = Executor::builder().workers(1).window(4);
                let executor = builder.consumer_helps(false).build().unwrap();
                let mut stream = executor.stream(Source(items), |item| item);
                let (mut values, mut panics) = (0, 0);
                loop {
                    if late {
                        thread::sleep(Duration::from_micros(300));
                    }
                    match stream.next() {
                        Some(Ok(_)) => values += 1,
                        Some(Err(failure)) => {
                            assert!(matches!(failure, Failure::SourcePanicked(_)));
                            panics += 1;
                            // The failure may hold the payload that panics when it is dropped.
                            forget(failure);
                        }
                        None => break,
                    }
                }
                assert_eq!(values, items);
                assert!(panics > 0, "the consumer got no panic of the source");
            }
        }
    });
}

#[test]
fn a_capture_whose_drop_panics_affects_no_outcome() {
    with_timeout(|| {
        let executor = executor(1);
        let result = executor.scope(|scope| {
            for _ in 0..2 {
                let capture = PanicsOnDrop;
                drop(scope.stream(0..3, move |item| {
                    let _captured = &capture;
                    item
                }));
            }
            7
        });
        assert_eq!(result, 7);

        let capture = PanicsOnDrop;
        let mut stream = executor.stream(0..3, move |item| {
            let _captured = &capture;
            item
        });
        assert_eq!(stream.by_ref().map(Result::unwrap).collect::<Vec<_>>(), [0, 1, 2]);
        drop(stream);
        assert_eq!(executor.map(0..3, |item| item), [0, 1, 2], "the worker is gone");
    });
}

#[test]
fn an_untaken_result_and_a_capture_that_panic_raise_one_panic() {
    with_timeout(|| {
        let executor = executor(1);
        let capture = PanicsOnDrop;
        let stream = executor.stream(0..1, move |_| {
            let _captured = &capture;
            PanicsOnDrop
        });
        while executor.snapshot().calls()[0].waiting() == 0 {
            thread::yield_now();
        }
        assert!(catch_unwind(AssertUnwindSafe(|| drop(stream))).is_err());
    });
}

#[test]
fn dropping_the_executor_while_its_captures_panic_does_not_panic() {
    with_timeout(|| {
        for _ in 0..10 {
            let executor = executor(1);
            let streams: Vec<_> = (0..500)
                .map(|_| {
                    let capture = PanicsOnDrop;
                    executor.stream(std::iter::empty::<u8>(), move |item| {
                        let _captured = &capture;
                        item
                    })
                })
                .collect();
            let dropping = thread::spawn(move || drop(streams));
            drop(executor);
            dropping.join().unwrap();
        }
    });
}

#[test]
fn a_caller_may_catch_a_panic_without_further_ado() {
    fn is_unwind_safe<T: UnwindSafe + RefUnwindSafe>() {}
    is_unwind_safe::<Executor>();
    is_unwind_safe::<QueueSender<Task<u8>, u8, Box<dyn std::error::Error + Send>>>();

    with_timeout(|| {
        let executor = executor(2);
        let job = |n| assert!(n != 5, "on purpose");
        assert!(catch_unwind(|| executor.map(0..9, job)).is_err());
        assert_eq!(executor.map(0..9, |n| n).len(), 9);

        let weigh = |&n: &u64| n.checked_sub(1).expect("on purpose");
        let (sender, outcomes) = executor.queue(|n: u64| n).weight(10, weigh).build().unwrap();
        assert!(catch_unwind(|| sender.send(0)).is_err());
        sender.send(7).unwrap();
        drop(sender);
        assert_eq!(outcomes.map(Result::unwrap).collect::<Vec<_>>(), [7]);
    });
}
