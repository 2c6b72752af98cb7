//! The texts of the failures of requests, their causes, and the errors that they keep.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{Latch, executor, with_timeout};
use crate::futures::{HOUR, MS, Task};
use reorder_executor::{BatchBuilder, BatchHandle, CancellationToken, Executor, Shutdown};
use reorder_requests::{Attempt, AttemptOutcome, RequestsExt, Retry};

/// Waits for both items to run. Item 1 fails. Item 0 is told to stop then, and returns an error.
fn failing(started: &AtomicUsize, index: u64, should_stop: &dyn Fn() -> bool) -> &'static str {
    started.fetch_add(1, SeqCst);
    while !if index == 1 { started.load(SeqCst) == 2 } else { should_stop() } {
        thread::yield_now();
    }
    if index == 1 { "the cause" } else { "stopped by a sibling" }
}

#[test]
fn requests_that_failed_fast_name_their_cause() {
    with_timeout(|| {
        let executor = executor(2);
        let started = AtomicUsize::new(0);
        let requests =
            executor.batch(0..2_u64).fail_fast().requests().submit(move |&n, attempt| {
                AttemptOutcome::<(), _>::Failed(failing(&started, n, &|| attempt.should_stop()))
            });
        let error = requests.unwrap().wait().into_values().unwrap_err();
        assert_eq!((error.index, error.failure.error()), (1, Some(&"the cause")));
    });
}

/// Starts requests for one item. Its first attempt is refused, and it waits for the next one, or is
/// at it.
fn retrying(
    executor: &Executor,
    batch: BatchBuilder<'_, [u64; 1]>,
    at_attempt: Option<&Latch>,
) -> BatchHandle<u64, &'static str> {
    let (attempted, attempts) = mpsc::channel();
    let latch = at_attempt.cloned();
    let retry = Retry::new().within(10 * HOUR).wait(MS, MS);
    let job = move |_: &u64, attempt: &Attempt| {
        attempted.send(()).ok();
        if attempt.number() == 2 {
            latch.as_ref().unwrap().wait();
        }
        let after = if latch.is_some() { Duration::ZERO } else { HOUR };
        AttemptOutcome::Retry { error: "busy", after: Some(after) }
    };
    let handle = batch.requests().retry(retry).submit(job).unwrap();
    for _ in 0..1 + usize::from(at_attempt.is_some()) {
        attempts.recv().unwrap();
    }
    if at_attempt.is_none() {
        // The only worker is back from the attempt once it has run this.
        _ = executor.batch([()]).submit(|(), _| Ok::<_, ()>(())).unwrap().wait();
    }
    handle
}

#[test]
fn a_retrying_item_keeps_its_last_error() {
    with_timeout(|| {
        for is_at_attempt in [false, true] {
            let latch = Latch::default();
            let at = is_at_attempt.then_some(&latch);
            let attempts = 1 + u32::from(is_at_attempt);
            let check = |handle: BatchHandle<u64, &str>, kind: &str| {
                let failure = handle.wait().into_outcomes().remove(0).unwrap_err();
                assert_eq!(failure.error(), Some(&"busy"), "{failure}");
                let count = if attempts == 1 {
                    "the job failed: busy"
                } else {
                    "2 attempts, the last error: busy"
                };
                assert_eq!(failure.to_string(), format!("{kind}; {count}"));
            };
            let executor = executor(1);
            let token = CancellationToken::new();
            let batch = executor.batch([7]).cancelled_by(&token);
            let handle = retrying(&executor, batch, at);
            token.cancel();
            check(handle, "cancelled before it had a result");
            latch.open();

            let latch = Latch::default();
            let at = is_at_attempt.then_some(&latch);
            let batch = executor.batch([7]).item_timeout(300 * MS);
            let handle = retrying(&executor, batch, at);
            check(handle, "took longer than 300ms, the limit of an item of its batch");
            latch.open();

            let latch = Latch::default();
            let at = is_at_attempt.then_some(&latch);
            let batch = executor.batch([7]).deadline(Instant::now() + 300 * MS);
            let handle = retrying(&executor, batch, at);
            let failure = handle.wait().into_outcomes().remove(0).unwrap_err();
            assert_eq!(failure.error(), Some(&"busy"));
            assert!(failure.to_string().contains("ms, the deadline of its batch; "), "{failure}");
            latch.open();

            let latch = Latch::default();
            let at = is_at_attempt.then_some(&latch);
            let handle = retrying(&executor, executor.batch([7]), at);
            _ = executor.shutdown(Shutdown::Abort, Some(Duration::ZERO));
            check(handle, "the executor was shut down before it had a result");
            latch.open();
        }
    });
}

#[test]
fn used_up_attempts_and_used_up_time_read_differently() {
    let executor = executor(1);
    let text = |retry| {
        let refuse =
            |_: &u64, _: &Attempt| AttemptOutcome::<(), _>::Retry { error: "503", after: None };
        let handle = executor.batch([1]).requests().retry(retry).submit(refuse).unwrap();
        handle.wait().into_outcomes().remove(0).unwrap_err().to_string()
    };
    let attempts = Retry::new().within(HOUR).wait(Duration::ZERO, Duration::ZERO);
    assert_eq!(text(attempts.clone().retries(2)), "all 3 attempts failed, the last with: 503");
    assert_eq!(text(attempts.retries(0)), "the only attempt failed: 503");
    let time = Retry::new().within(40 * MS).wait(HOUR, HOUR).without_jitter();
    assert_eq!(text(time), "no attempt succeeded within 40ms; 1 attempt: 503");
}

#[test]
fn lost_futures_and_panicking_spawners_say_so() {
    with_timeout(|| {
        let text = |spawner: fn(Task)| {
            let executor = executor(1);
            let job = |_: std::sync::Arc<u8>, _| async { AttemptOutcome::<(), String>::Done(()) };
            let handle = executor.batch([1]).requests().submit_async(spawner, job).unwrap();
            handle.wait().into_outcomes().remove(0).map_err(|failure| failure.to_string())
        };
        let dropped = "the runtime dropped the future of the item";
        assert_eq!(text(drop).unwrap_err(), dropped);
        assert_eq!(text(|task| drop(thread::spawn(|| drop(task)))).unwrap_err(), dropped);
        let panicked = "the spawner of the future panicked: no runtime";
        assert_eq!(text(|_| panic!("no runtime")).unwrap_err(), panicked);
        // A future that has an end, or is not lost, has that end.
        fn run(task: Task) {
            futures_executor::block_on(task);
            panic!("too late");
        }
        assert_eq!(text(run), Ok(()));
        fn hand_over(task: Task) {
            thread::spawn(|| futures_executor::block_on(task));
            panic!("not with the future in hand");
        }
        assert_eq!(text(hand_over), Ok(()));
    });
}

#[test]
fn requests_with_a_window_beyond_memory_are_refused_with_their_source() {
    let executor = executor(1);
    for window in [usize::MAX, usize::MAX / 2, usize::MAX / 64] {
        let requests = executor.batch([1]).requests().window(NonZeroUsize::new(window).unwrap());
        let refused = requests.stream(|_, _| AttemptOutcome::<u8, ()>::Done(1)).unwrap_err();
        let text = refused.to_string();
        assert!(text.starts_with("a window must be at most "), "{text}");
        assert!(text.ends_with(&format!(" items, not {window}")), "{text}");
        assert_eq!(refused.into_inner().next(), Some(1));
    }
}
