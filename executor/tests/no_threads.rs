//! The system refuses threads for a while. This test has its own file because it limits the memory
//! of its process.
#![cfg(target_os = "linux")]

mod common;

use std::panic;
use std::thread;
use std::time::Duration;

use common::{executor, with_timeout};
use reorder_executor::{Executor, Failure};

/// Limits the address space to the used part and a megabyte, which is too little for a stack.
/// Without `limited`, ends the limit.
fn set_limit(limited: bool) {
    let used = || {
        let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
        pages.split(' ').next().unwrap().parse::<u64>().unwrap() * 4096
    };
    let most = if limited { used() + (1 << 20) } else { libc::RLIM_INFINITY };
    let limit = libc::rlimit { rlim_cur: most, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: it is the limit of this process.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &limit) }, 0);
}

/// Polls a future until it is ready.
fn block_on<F: Future + Unpin>(mut future: F) -> F::Output {
    futures_executor::block_on(&mut future)
}

/// The first use of the global executor panics, and a later use makes it.
fn use_the_global_executor() {
    // There may be no memory to print a backtrace.
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| ()));
    set_limit(true);
    let panicked = panic::catch_unwind(|| Executor::global().workers());
    set_limit(false);
    panic::set_hook(hook);
    let text = panicked.expect_err("there are no threads").downcast::<String>().expect("a text");
    assert!(text.starts_with("the global executor cannot start: only 0 of "), "{text}");
    assert!(text.contains("Resource temporarily unavailable"), "{text}");
    assert_eq!(Executor::global().map(0..10, |n| n).len(), 10);
}

#[test]
fn the_system_refuses_threads_for_a_while() {
    with_timeout(|| {
        // First: the stack of a thread that has ended would be used again, despite the limit.
        use_the_global_executor();
        let executor = executor(2);
        assert_eq!(executor.map(0..10, |n| n).len(), 10);
        thread::sleep(Duration::from_millis(50));
        set_limit(true);
        assert!(thread::Builder::new().spawn(|| ()).is_err(), "the limit has no effect");
        let (started, go_on) = (common::Latch::default(), common::Latch::default());
        let job = {
            let (started, go_on) = (started.clone(), go_on.clone());
            move |_: u64, _: &reorder_executor::Job<'_>| {
                started.open();
                go_on.wait();
                Ok::<_, ()>(())
            }
        };
        let batch = executor.batch(0..1_u64).item_timeout(Duration::from_millis(20));
        let handle = batch.submit(job).unwrap();
        started.wait();
        let report = block_on(handle);
        assert!(matches!(report.outcomes(), [Err(Failure::ItemDeadline(_))]));
        set_limit(false);
        go_on.open();
        assert_eq!(executor.stream(0..10_u64, |n| n).count(), 10);
        let batch = executor.batch(0..1_u64).item_timeout(Duration::from_millis(20));
        let handle = batch.submit(|_, job| {
            while !job.should_stop() {
                thread::yield_now();
            }
            Ok::<_, ()>(())
        });
        let report = block_on(handle.unwrap());
        assert!(matches!(report.outcomes(), [Err(Failure::ItemDeadline(_))]));
    });
}
