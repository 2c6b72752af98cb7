//! Results that are too large for memory. This test has its own file because the sanitizers try to
//! lay out such a result, so that their runs leave the file out.
#![cfg(all(target_os = "linux", target_pointer_width = "64"))]

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};

use common::{LiveCounter, executor, with_timeout};
use reorder_executor::{BuildError, Executor};

/// A result of which a million take 4 GiB.
struct Huge(#[expect(dead_code, reason = "no value of it is made")] [u8; 1 << 12]);

const ITEMS: u64 = 1 << 20;

fn job<I>(_: I) -> Huge {
    unreachable!("there is no memory for its result")
}

/// Limits the memory of this process to a gigabyte more than it has.
fn limit_memory() {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = pages.split(' ').next().unwrap().parse().unwrap();
    let limit = libc::rlimit { rlim_cur: pages * 4096 + (1 << 30), rlim_max: libc::RLIM_INFINITY };
    // SAFETY: it is the limit of this process.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &limit) }, 0);
}

/// Promises as many items as it is told to, and has ten.
struct Promises(u64, (usize, Option<usize>));

impl Iterator for Promises {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        self.0 += 1;
        (self.0 <= 10).then_some(self.0)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.1
    }
}

fn panic_of<T>(call: impl FnOnce() -> T) -> String {
    let payload = catch_unwind(AssertUnwindSafe(|| drop(call()))).expect_err("the call panics");
    *payload.downcast::<String>().expect("a text")
}

/// Calls the executor in each way that allocates a place for each result.
fn refused_calls<I>(executor: &Executor, items: impl Fn() -> I)
where
    I: IntoIterator<IntoIter: Send + 'static, Item: Send + 'static>,
{
    let told = [
        panic_of(|| executor.map(items(), job)),
        panic_of(|| executor.map_init(items(), || (), |(), _| job(()))),
        panic_of(|| executor.execute_batch(items(), job)),
        panic_of(|| executor.batch(items()).run(|_, _| Ok::<_, ()>(job(())))),
        panic_of(|| executor.batch(items()).timed().run(|_, _| Ok::<_, ()>(job(())))),
        panic_of(|| executor.batch(items()).concurrent().run(|_, _| Ok::<_, ()>(job(())))),
        panic_of(|| executor.batch(items()).submit(|_, _| Ok::<_, ()>(job(())))),
    ];
    told.iter().for_each(|told| assert!(told.starts_with("no memory for"), "{told}"));
}

#[test]
fn a_call_panics_if_there_is_no_memory_for_its_results() {
    with_timeout(|| {
        let (executor, items) = (executor(1), LiveCounter::default());
        limit_memory();
        refused_calls(&executor, || {
            let items = items.clone();
            (0..ITEMS).map(move |value| items.track(value))
        });
        assert_eq!(items.alive(), 0);
        let told = panic_of(|| executor.map_indexed(ITEMS as usize, job));
        assert!(told.starts_with("no memory for"), "{told}");
        assert_eq!(executor.map(0..10, |n| n).len(), 10);
    });
}

#[test]
fn items_and_jobs_that_panic_when_they_are_dropped_change_nothing() {
    struct Fuse;
    impl Drop for Fuse {
        fn drop(&mut self) {
            panic!("an item");
        }
    }
    // Panics of a million items would take long to print.
    const FEW: u64 = 1 << 4;
    struct Larger(#[expect(dead_code, reason = "no value of it is made")] [u8; 1 << 46]);
    fn job<I>(_: I) -> Larger {
        unreachable!("there is no memory for its result")
    }
    with_timeout(|| {
        let executor = executor(1);
        let fuses = || (0..FEW).map(|_| Fuse);
        let unknown = || fuses().filter(|_| true);
        let captured = Fuse;
        let told = [
            panic_of(|| executor.map(fuses(), job)),
            panic_of(|| executor.execute_batch(unknown(), job)),
            panic_of(|| {
                executor.batch(fuses()).submit(move |_, _| {
                    let _ = &captured;
                    Ok::<_, ()>(job(()))
                })
            }),
        ];
        told.iter().for_each(|told| assert!(told.starts_with("no memory for"), "{told}"));
    });
}

#[test]
fn a_source_may_promise_too_much() {
    with_timeout(|| {
        let executor = executor(1);
        limit_memory();
        for hint in [(usize::MAX, None), (usize::MAX - 1, Some(usize::MAX)), (1 << 50, None)] {
            assert_eq!(executor.map(Promises(0, hint), |n| n).len(), 10);
            let batch = executor.batch(Promises(0, hint));
            let report = batch.submit(|n, _| Ok::<_, ()>(n)).unwrap().wait();
            assert_eq!(report.outcomes().len(), 10);
            assert_eq!(executor.stream(Promises(0, hint), |n| n).count(), 10);
        }
        let exact = (usize::MAX, Some(usize::MAX));
        let told = panic_of(|| executor.map(Promises(0, exact), job));
        assert!(told.starts_with("no memory for"), "{told}");
    });
}

#[test]
fn a_builder_refuses_more_workers_than_any_executor_has() {
    for requested in [usize::MAX, usize::MAX / 128, (1 << 16) + 1] {
        let built = Executor::builder().workers(requested).build();
        let Err(BuildError::TooManyWorkers { requested: told, largest }) = built else {
            panic!("{requested} workers")
        };
        assert_eq!((told, largest), (requested, 1 << 16));
    }
}
