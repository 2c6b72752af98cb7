//! Wakers that panic: the executor still delivers and counts every outcome.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::task::{Context, Poll, Wake};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{block_on, executor, kinds, with_timeout};
use reorder_executor::{Failure, Ordered, Outcome, Shutdown};

struct PanickingWaker;

impl Wake for PanickingWaker {
    fn wake(self: Arc<Self>) {
        resume_unwind(Box::new("a waker that panics"));
    }
}

impl Drop for PanickingWaker {
    fn drop(&mut self) {
        if !thread::panicking() {
            resume_unwind(Box::new("a waker that panics when it is dropped"));
        }
    }
}

/// Takes all outcomes. Each poll passes a waker that panics.
fn take_all<U: Send, E: Send>(mut stream: Ordered<'_, U, E>) -> Vec<Outcome<U, E>> {
    let mut outcomes = Vec::new();
    loop {
        let waker = Arc::new(PanickingWaker).into();
        let poll = stream.poll_next(&mut Context::from_waker(&waker));
        // Only the clones that the stream holds are to be dropped.
        std::mem::forget(waker);
        match poll {
            Poll::Ready(Some(outcome)) => outcomes.push(outcome),
            Poll::Ready(None) => return outcomes,
            Poll::Pending => thread::yield_now(),
        }
    }
}

#[test]
fn failures_and_source_panics_are_delivered_and_counted() {
    with_timeout(|| {
        let executor = executor(1);
        let batch = executor.batch((0..30).inspect(|&n| assert!(n < 20, "the source")));
        let stream = batch.stream(|n, _| if n % 2 == 0 { Ok(n) } else { Err(n) }).unwrap();
        let outcomes = take_all(stream);
        assert_eq!(kinds(&outcomes[..20]), ".f".repeat(10));
        assert!(matches!(outcomes[20..], [Err(Failure::SourcePanicked(_))]));
        assert!(executor.shutdown(Shutdown::Drain, Some(Duration::from_secs(100))).is_complete());
    });
}

#[test]
fn the_timer_thread_survives_a_waker_that_panics() {
    with_timeout(|| {
        let executor = executor(1);
        let slow = |_, job: &reorder_executor::Job<'_>| {
            while !job.should_stop() {
                thread::sleep(Duration::from_millis(1));
            }
            Ok::<_, ()>(())
        };
        let stream = executor.batch(0..2).item_timeout(Duration::from_millis(5)).stream(slow);
        assert_eq!(kinds(&take_all(stream.unwrap())), "ii");
        // The deadline of another batch needs the same thread.
        let deadline = Instant::now() + Duration::from_millis(5);
        let handle = executor.batch(0..2).deadline(deadline).submit(slow);
        assert_eq!(kinds(block_on(handle.unwrap()).outcomes()), "bb");
    });
}
