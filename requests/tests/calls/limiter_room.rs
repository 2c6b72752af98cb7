//! An attempt makes room at its limiter in whatever way it ends.

use std::future::pending;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{Latch, executor, with_timeout};
use reorder_executor::Shutdown;
use reorder_executor::{CancellationToken, Executor, Ordered};
use reorder_requests::{AttemptOutcome, RateLimiter, RequestsExt};

const MS: Duration = Duration::from_millis(1);

type Outcomes = Ordered<'static, (), ()>;

/// The way in which an attempt ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Answer,
    Panic,
    /// The runtime drops the future.
    Lost,
    /// The consumer gives up the item after its timeout.
    Timeout,
    Deadline,
    Cancellation,
    Shutdown,
    /// The batch is dropped.
    Drop,
    /// The executor is dropped before the batch.
    ExecutorDrop,
}

const ENDS: [End; 9] = [
    End::Answer,
    End::Panic,
    End::Lost,
    End::Timeout,
    End::Deadline,
    End::Cancellation,
    End::Shutdown,
    End::Drop,
    End::ExecutorDrop,
];

/// Returns two limiters that let one attempt in flight, the second after a closing.
fn limiters() -> [RateLimiter; 2] {
    let narrow = RateLimiter::builder().max_in_flight(NonZeroU32::MIN).build().unwrap();
    let closed = RateLimiter::builder().build().unwrap();
    closed.close_until(Instant::now() + MS);
    [narrow, closed]
}

/// Starts an attempt that waits until `end`.
fn start(
    executor: &Executor,
    limiter: &RateLimiter,
    end: End,
    (token, go_on): (&CancellationToken, &Latch),
) -> Outcomes {
    let mut batch = executor.batch([()]).cancelled_by(token);
    if end == End::Timeout {
        batch = batch.item_timeout(20 * MS);
    }
    if end == End::Deadline {
        batch = batch.deadline(Instant::now() + 20 * MS);
    }
    let (started, is_started) = mpsc::channel();
    let lost = go_on.clone();
    let spawner = move |task: Pin<Box<dyn Future<Output = ()> + Send>>| {
        let (started, lost) = (started.clone(), lost.clone());
        thread::spawn(move || {
            started.send(()).ok();
            if end == End::Lost {
                lost.wait();
                return drop(task);
            }
            futures_executor::block_on(task);
        });
    };
    let go_on = go_on.clone();
    let outcomes = batch.requests().through(limiter).stream_async(spawner, move |_, _| {
        let go_on = go_on.clone();
        async move {
            if matches!(end, End::Answer | End::Panic) {
                go_on.wait();
                assert_eq!(end, End::Answer, "it panics");
                return AttemptOutcome::Done(());
            }
            pending().await
        }
    });
    match end {
        // On a busy machine, the deadline may come before the attempt.
        End::Deadline => _ = is_started.recv_timeout(1000 * MS),
        _ => is_started.recv().unwrap(),
    }
    outcomes.unwrap()
}

#[test]
fn a_batch_of_another_executor_goes_on_after_any_end_of_an_attempt() {
    with_timeout(|| {
        for (limiter, end) in ENDS.iter().flat_map(|&end| limiters().map(|it| (it, end))) {
            let (holder, other) = (executor(1), executor(1));
            let (token, go_on) = (CancellationToken::new(), Latch::default());
            let mut outcomes = start(&holder, &limiter, end, (&token, &go_on));
            let waiting = other.batch(0..3_u32).requests().through(&limiter);
            let waiting = waiting.submit(|&n, _| AttemptOutcome::<_, ()>::Done(n)).unwrap();
            match end {
                End::Answer | End::Panic | End::Lost => go_on.open(),
                End::Timeout | End::Deadline => assert!(outcomes.next().unwrap().is_err()),
                End::Cancellation => token.cancel(),
                End::Shutdown => _ = holder.shutdown(Shutdown::Abort, None),
                End::Drop => drop(outcomes),
                End::ExecutorDrop => drop(holder),
            }
            assert_eq!(waiting.wait().into_values().unwrap(), [0, 1, 2], "{end:?}");
        }
    });
}
