//! User code at its worst: drops that panic wherever they run, jobs that start work while their
//! scope ends, items too large for a stack.

mod common;

use std::mem::forget;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::thread;
use std::time::Duration;

use common::{Census, executor, without_hanging};
use reorder_executor::{Executor, Failure};

/// Panics when it is dropped, even as the payload of a panic.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("dropped, on purpose");
    }
}

#[test]
fn jobs_may_start_streams_while_their_scope_ends() {
    without_hanging(|| {
        let (executor, ends) = (executor(2), Census::default());
        executor.scope(|scope| {
            let ends = &ends;
            forget(scope.stream(0..1, move |_| {
                thread::sleep(Duration::from_millis(30));
                // The scope is ending by now, and waits for this job.
                forget(scope.stream(0..1, move |_| {
                    thread::sleep(Duration::from_millis(60));
                    let last = ends.join(0);
                    forget(scope.stream(0..1, move |_| last.value));
                }));
                thread::sleep(Duration::from_millis(20));
            }));
            thread::sleep(Duration::from_millis(10));
        });
        assert_eq!(ends.alive(), 0, "a job outlives its scope");
    });
}

/// Panics after so many items, and again when it is dropped, with a payload that does so, too.
struct Source(u64);

impl Iterator for Source {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        self.0 = self.0.checked_sub(1).expect("there is one more, on purpose");
        Some(self.0)
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        panic_any(Bomb);
    }
}

#[test]
fn a_source_that_panics_at_every_step_stalls_nobody() {
    without_hanging(|| {
        // The source ends at every place of the window, with the consumer before or behind it.
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
                            // It may hold the payload that panics.
                            forget(failure);
                        }
                        None => break,
                    }
                }
                assert_eq!(values, items);
                assert!(panics > 0, "the panic of the source is told");
            }
        }
    });
}

#[test]
fn captures_whose_drop_panics_disturb_nobody() {
    without_hanging(|| {
        let executor = executor(1);
        let result = executor.scope(|scope| {
            for _ in 0..2 {
                let bomb = Bomb;
                drop(scope.stream(0..3, move |item| {
                    let _captured = &bomb;
                    item
                }));
            }
            7
        });
        assert_eq!(result, 7);

        let bomb = Bomb;
        let mut stream = executor.stream(0..3, move |item| {
            let _captured = &bomb;
            item
        });
        assert_eq!(stream.by_ref().map(Result::unwrap).collect::<Vec<_>>(), [0, 1, 2]);
        drop(stream);
        assert_eq!(executor.map(0..3, |item| item), [0, 1, 2], "the worker lives");
    });
}

#[test]
fn an_untaken_result_and_a_capture_that_panic_are_one_panic() {
    without_hanging(|| {
        let executor = executor(1);
        let bomb = Bomb;
        let stream = executor.stream(0..1, move |_| {
            let _captured = &bomb;
            Bomb
        });
        while executor.snapshot().calls()[0].waiting() == 0 {
            thread::yield_now();
        }
        assert!(catch_unwind(AssertUnwindSafe(|| drop(stream))).is_err());
    });
}

#[test]
fn an_executor_that_is_dropped_last_of_all_does_not_panic() {
    without_hanging(|| {
        for _ in 0..10 {
            let executor = executor(1);
            let streams: Vec<_> = (0..500)
                .map(|_| {
                    let bomb = Bomb;
                    executor.stream(std::iter::empty::<u8>(), move |item| {
                        let _captured = &bomb;
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
fn items_may_be_large() {
    const BYTES: usize = 64 * 1024;
    without_hanging(|| {
        let executor = executor(2);
        let stream = executor.stream((0..20u8).map(|n| [n; BYTES]), |item| item[BYTES - 1]);
        assert_eq!(stream.map(Result::unwrap).collect::<Vec<_>>(), (0..20).collect::<Vec<_>>());
    });
}
