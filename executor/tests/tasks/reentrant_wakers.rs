//! Wakers whose functions use the queue, the timers or the token that keeps them: no lock is held
//! while a waker is cloned, woken or dropped. Otherwise these tests would hang.
//!
//! The executor catches the panics of wakers. So a callback notes its panic, and the test asks.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{Latch, executor, with_timeout};
use reorder_executor::{CancellationToken, Job, QueueSender};

type Sender = QueueSender<u32, u32>;

/// A waker that does nothing, and differs from other ones.
struct Ignore;

impl Wake for Ignore {
    fn wake(self: Arc<Self>) {}
}

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

/// Returns a callback that uses a queue in each way that may wait for room or wake a sender.
fn user_of_a_queue(sender: &Arc<OnceLock<Sender>>) -> Arc<Callback> {
    let sender = Arc::clone(sender);
    Callback::new(move || {
        let Some(sender) = sender.get() else { return };
        let cx = &mut Context::from_waker(Waker::noop());
        let other = sender.clone();
        assert!(pin!(other.reserve_async()).poll(cx).is_pending() || other.try_reserve().is_err());
        #[cfg(feature = "sink")]
        {
            _ = pin!(other).poll_ready(cx);
        }
    })
}

/// Checks two waiters for room, of which one is woken and one is dropped.
fn check_waiters<W>(
    waiters: impl FnOnce(&Sender) -> [W; 2],
    poll: impl Fn(&mut W, &mut Context<'_>) -> Poll<()>,
) {
    let executor = executor(1);
    let (sender, mut outcomes) = executor.queue(|n: u32| n).window(1).build().unwrap();
    let shared = Arc::new(OnceLock::new());
    let callback = user_of_a_queue(&shared);
    sender.try_send(1).unwrap();
    assert!(shared.set(sender.clone()).is_ok());
    let [mut woken, mut dropped] = waiters(&sender);
    for waiter in [&mut woken, &mut dropped] {
        // The second waker replaces the first one, which is dropped.
        for waker in [callback.waker(), callback.waker()] {
            assert!(poll(waiter, &mut Context::from_waker(&waker)).is_pending());
        }
    }
    let [clones, wakes, drops] = callback.counts();
    assert!(clones >= 4 && wakes == 0 && drops >= 6);
    drop(dropped);
    assert_eq!(callback.counts(), [clones, 0, drops + 1]);
    assert_eq!(outcomes.next().unwrap().unwrap(), 1);
    assert_eq!(callback.counts()[1], 1);
    drop(woken);
    callback.counts();
}

#[test]
fn futures_of_a_queue_wait_with_wakers_that_use_the_queue() {
    with_timeout(|| {
        let send = |sender: &Sender, n| {
            let sender = sender.clone();
            Box::pin(async move { _ = sender.send_async(n).await })
        };
        check_waiters(|sender| [send(sender, 2), send(sender, 3)], |it, cx| it.as_mut().poll(cx));
    });
}

#[cfg(feature = "sink")]
use futures_util::Sink as _;

#[cfg(feature = "sink")]
#[test]
fn sinks_wait_with_wakers_that_use_the_queue() {
    with_timeout(|| {
        let poll_ready =
            |sink: &mut Sender, cx: &mut Context<'_>| pin!(sink).poll_ready(cx).map(drop);
        check_waiters(|sender| [sender.clone(), sender.clone()], poll_ready);
    });
}

#[test]
fn consumers_wait_with_wakers_that_use_the_queue() {
    with_timeout(|| {
        let executor = executor(1);
        let (sender, mut outcomes) = executor.queue(|n: u32| n).window(4).build().unwrap();
        let shared = Arc::new(OnceLock::new());
        let sending = Arc::clone(&shared);
        let callback = Callback::new(move || {
            if let Some(sender) = sending.get() {
                let sender: &Sender = sender;
                _ = sender.clone().try_send(7);
            }
        });
        assert!(shared.set(sender.clone()).is_ok());
        for _ in 0..100 {
            // The clone of the waker has sent an item.
            let taken = loop {
                match outcomes.poll_next(&mut Context::from_waker(&callback.waker())) {
                    Poll::Ready(outcome) => break outcome.unwrap().unwrap(),
                    Poll::Pending => thread::yield_now(),
                }
            };
            assert_eq!(taken, 7);
        }
        assert!(callback.counts()[0] > 0);
        drop(outcomes);
        assert!(sender.try_send(1).is_err());
    });
}

#[test]
fn consumers_wait_for_a_deadline_with_wakers_that_use_a_timer() {
    with_timeout(|| {
        let executor = executor(1);
        let go_on = Latch::default();
        let stream = || {
            let go_on = go_on.clone();
            let batch = executor.batch(0..1).deadline(Instant::now() + Duration::from_secs(3600));
            let job = move |n: u32, _: &Job<'_>| {
                go_on.wait();
                Ok::<_, ()>(n)
            };
            batch.stream(job).unwrap()
        };
        // Each of its polls sets or changes a timer.
        let other = Mutex::new(stream());
        let callback = Callback::new(move || {
            let waker = Waker::from(Arc::new(Ignore));
            _ = other.lock().unwrap().poll_next(&mut Context::from_waker(&waker));
        });
        let mut outcomes = stream();
        for waker in [callback.waker(), callback.waker()] {
            assert!(outcomes.poll_next(&mut Context::from_waker(&waker)).is_pending());
        }
        // The timer had the last reference to the first waker.
        let [clones, wakes, drops] = callback.counts();
        assert_eq!([clones, wakes, drops], [2, 0, 3]);
        drop(outcomes);
        callback.counts();
        go_on.open();
    });
}

#[test]
fn tasks_wait_for_a_cancellation_with_wakers_that_use_the_token() {
    with_timeout(|| {
        let token = CancellationToken::new();
        let own = token.clone();
        let callback = Callback::new(move || {
            let cx = &mut Context::from_waker(Waker::noop());
            _ = pin!(own.cancelled()).poll(cx);
            assert_eq!(own.child_token().is_cancelled(), own.is_cancelled());
        });
        let [mut woken, mut dropped] = [token.cancelled(), token.cancelled()];
        for task in [&mut woken, &mut dropped] {
            for waker in [callback.waker(), callback.waker()] {
                assert!(pin!(&mut *task).poll(&mut Context::from_waker(&waker)).is_pending());
            }
        }
        let [clones, wakes, drops] = callback.counts();
        assert_eq!([clones, wakes, drops], [4, 0, 6]);
        drop(dropped);
        assert_eq!(callback.counts(), [4, 0, 7]);
        token.cancel();
        assert_eq!(callback.counts(), [4, 1, 7]);
        assert!(pin!(woken).poll(&mut Context::from_waker(Waker::noop())).is_ready());
        callback.counts();
    });
}
