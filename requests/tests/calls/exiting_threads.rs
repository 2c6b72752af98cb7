//! Requests from the destructor of a thread-local value, while the thread exits. Other thread-local
//! values, of the executor and its dependencies, may be gone by then.

use std::cell::RefCell;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::common::{executor, with_timeout};
use reorder_executor::Executor;
use reorder_requests::{AttemptOutcome, RateLimiter, RequestsExt, Throttle};

/// Runs requests when it is dropped.
struct Flush {
    executor: Executor,
    done: mpsc::Sender<u64>,
}

impl Drop for Flush {
    fn drop(&mut self) {
        _ = self.done.send(requests(&self.executor));
    }
}

thread_local! {
    static FLUSH: RefCell<Option<Flush>> = const { RefCell::new(None) };
}

fn requests(executor: &Executor) -> u64 {
    let throttle =
        Throttle::new(Duration::ZERO, Duration::from_millis(1), Duration::from_micros(1));
    // The jitter is a random number of the thread.
    let limiter = RateLimiter::builder().throttle(throttle.jitter(0.5)).build().unwrap();
    let batch = executor.batch(0..100).requests().through(&limiter);
    let handle = batch.submit(|&n, attempt| match attempt.number() {
        1 => AttemptOutcome::Retry { error: (), after: None },
        _ => AttemptOutcome::Done(n),
    });
    handle.unwrap().wait().into_values().unwrap().into_iter().sum()
}

#[test]
fn requests_work_while_their_thread_exits() {
    with_timeout(|| {
        for warm in [true, false] {
            let (done, results) = mpsc::channel();
            let thread = thread::spawn(move || {
                let flush = Flush { executor: executor(2), done };
                // The values of `FLUSH` and of the executor are dropped in an order that depends on
                // their first uses.
                if warm {
                    FLUSH.with(|_| ());
                    assert_eq!(requests(&flush.executor), 4950);
                }
                FLUSH.set(Some(flush));
            });
            thread.join().unwrap();
            assert_eq!(results.iter().collect::<Vec<_>>(), [4950]);
        }
    });
}
