//! The system refuses threads for a while. This test has its own file because it limits the memory
//! of its process.
#![cfg(target_os = "linux")]

mod common;

use std::thread;
use std::time::Duration;

use common::{executor, with_timeout};
use reorder_requests::{AttemptOutcome, RateLimiter, RequestsExt};

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

#[test]
fn the_system_refuses_threads_for_a_while() {
    with_timeout(|| {
        let executor = executor(2);
        assert_eq!(executor.map(0..10, |n| n).len(), 10);
        thread::sleep(Duration::from_millis(50));
        set_limit(true);
        assert!(thread::Builder::new().spawn(|| ()).is_err(), "the limit has no effect");
        let handle = executor.batch(0..3_u64).requests().submit(|&n, attempt| {
            let after = Some(Duration::from_millis(20));
            match attempt.number() {
                1 => AttemptOutcome::Retry { error: "busy", after },
                _ => AttemptOutcome::Done(n),
            }
        });
        let report = handle.unwrap().wait();
        assert_eq!(report.into_values().unwrap(), [0, 1, 2]);
        // The limiter has a timer of its own.
        let limiter = RateLimiter::builder().pace(Duration::from_millis(5)).build().unwrap();
        let batch = || executor.batch(0..3_u64).requests().through(&limiter);
        let submit = || batch().submit(|&n, _| AttemptOutcome::<_, ()>::Done(n)).unwrap();
        for handle in [submit(), submit()] {
            assert_eq!(handle.wait().into_values().unwrap(), [0, 1, 2]);
        }
        set_limit(false);
        assert_eq!(executor.stream(0..10_u64, |n| n).count(), 10);
    });
}
