//! Wakers whose functions use an executor: no lock of a limiter is held while a waker is cloned,
//! woken or dropped. Otherwise this test would hang.
//!
//! The executor catches the panics of wakers. So a callback notes its panic, and the test asks.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::task::{Context, RawWaker, RawWakerVTable, Waker};
use std::time::{Duration, Instant};

use crate::common::{Latch, executor, with_timeout};
use reorder_requests::{AttemptOutcome, RateLimiter, RequestsExt};

/// Counts the calls of a waker's functions, and runs a closure at each of them.
struct Callback {
    run: Box<dyn Fn() + Send + Sync>,
    /// `true` while `run` runs.
    is_inside: AtomicBool,
    /// `true` if `run` has panicked.
    has_failed: AtomicBool,
    clones: AtomicUsize,
    wakes: AtomicUsize,
    drops: AtomicUsize,
}

impl Callback {
    fn new(run: impl Fn() + Send + Sync + 'static) -> Arc<Callback> {
        Arc::new(Callback {
            run: Box::new(run),
            is_inside: AtomicBool::new(false),
            has_failed: AtomicBool::new(false),
            clones: AtomicUsize::new(0),
            wakes: AtomicUsize::new(0),
            drops: AtomicUsize::new(0),
        })
    }

    /// Runs the callback, unless this call comes from inside of it.
    fn call(&self, count: &AtomicUsize) {
        count.fetch_add(1, SeqCst);
        if !self.is_inside.swap(true, SeqCst) {
            if catch_unwind(AssertUnwindSafe(|| (self.run)())).is_err() {
                self.has_failed.store(true, SeqCst);
            }
            self.is_inside.store(false, SeqCst);
        }
    }

    /// Returns a new waker, which is another one than all earlier ones.
    fn waker(self: &Arc<Self>) -> Waker {
        // SAFETY: the functions of the table expect a box that `raw` made.
        unsafe { Waker::from_raw(raw(Arc::clone(self))) }
    }

    /// Returns the numbers of clones, wakes and drops. Panics if the callback has panicked.
    fn counts(&self) -> [usize; 3] {
        assert!(!self.has_failed.load(SeqCst), "an assertion of the callback failed");
        [&self.clones, &self.wakes, &self.drops].map(|count| count.load(SeqCst))
    }
}

/// Returns a waker whose data is a box of its own, so that no two of them seem to be the same.
fn raw(callback: Arc<Callback>) -> RawWaker {
    RawWaker::new(Box::into_raw(Box::new(callback)).cast(), &TABLE)
}

// SAFETY of each function: the data is a box that `raw` made and that was not dropped before.
static TABLE: RawWakerVTable = RawWakerVTable::new(
    |data| {
        // SAFETY: see above.
        let callback = unsafe { &*data.cast::<Arc<Callback>>() };
        callback.call(&callback.clones);
        raw(Arc::clone(callback))
    },
    |data| {
        // SAFETY: see above.
        let callback = unsafe { Box::from_raw(data.cast::<Arc<Callback>>().cast_mut()) };
        callback.call(&callback.wakes);
    },
    |data| {
        // SAFETY: see above.
        let callback = unsafe { &*data.cast::<Arc<Callback>>() };
        callback.call(&callback.wakes);
    },
    |data| {
        // SAFETY: see above.
        let callback = unsafe { Box::from_raw(data.cast::<Arc<Callback>>().cast_mut()) };
        callback.call(&callback.drops);
    },
);

#[test]
fn consumers_wait_at_a_limiter_with_wakers_that_ask_the_executor_of_another_batch() {
    with_timeout(|| {
        let limiter = RateLimiter::builder().build().unwrap();
        limiter.close_until(Instant::now() + Duration::from_millis(1));
        let executors = [(); 3].map(|()| Arc::new(executor(1)));
        let (started, go_on) = (Latch::default(), Latch::default());
        let (starts, goes_on) = (started.clone(), go_on.clone());
        // After its answer, two attempts may be in flight.
        let probe = executors[0].batch([()]).requests().through(&limiter).submit(move |(), _| {
            starts.open();
            goes_on.wait();
            AttemptOutcome::<_, ()>::Done(())
        });
        started.wait();
        let snapshots = Arc::clone(&executors[1]);
        let callback = Callback::new(move || _ = snapshots.snapshot());
        let wakers = [Waker::noop().clone(), callback.waker()];
        // Both batches enter the queue. Their consumers are workers, so they run the items.
        let batches: Vec<_> = executors[1..]
            .iter()
            .zip(wakers)
            .map(|(executor, waker)| {
                let job = |&n: &u32, _: &_| AttemptOutcome::<_, ()>::Done(n);
                let batch = executor.batch([7]).requests().through(&limiter).stream(job).unwrap();
                let poll = move |mut batch: reorder_executor::Ordered<'static, u32, ()>| {
                    for _ in 0..10 {
                        assert!(batch.poll_next(&mut Context::from_waker(&waker)).is_pending());
                    }
                    batch
                };
                let polled =
                    executor.batch([batch]).submit(move |batch, _| Ok::<_, ()>(poll(batch)));
                polled.unwrap().wait().into_values().unwrap().remove(0)
            })
            .collect();
        go_on.open();
        for batch in batches {
            assert_eq!(batch.map(Result::unwrap).collect::<Vec<_>>(), [7]);
        }
        probe.unwrap().wait().into_values().unwrap();
        assert!(callback.counts()[1] > 0);
    });
}
