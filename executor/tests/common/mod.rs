//! Helpers that several of the executor's test files share.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it")]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::task::{Context, Poll, Wake};
use std::thread::{self, Thread};
use std::time::Duration;

use reorder_executor::{Executor, Failure, Outcome};

pub fn executor(workers: usize) -> Executor {
    Executor::builder().workers(workers).build().expect("the threads of a test start")
}

/// Runs `f` on another thread and fails if it hangs. The limit says nothing about speed.
pub fn with_timeout<R: Send + 'static>(f: impl FnOnce() -> R + Send + 'static) -> R {
    let (done, result) = mpsc::channel();
    let thread = std::thread::spawn(move || _ = done.send(f()));
    match result.recv_timeout(Duration::from_secs(120)) {
        Ok(value) => {
            thread.join().expect("a thread that has sent its result does not panic");
            value
        }
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("the test hangs"),
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            let joined = thread.join();
            std::panic::resume_unwind(joined.expect_err("a thread without a result has panicked"))
        }
    }
}

/// Calls `test` with a time for its items, and then with twice the time, until it returns `true`.
/// It returns `false` if an item was late that is not stuck. On a busy machine that may be.
pub fn with_enough_time(test: impl FnMut(Duration) -> bool) {
    let mut times = (5..14).map(|n| Duration::from_millis(1 << n));
    assert!(times.any(test), "an item is late, however much time it has");
}

/// Returns `true` if the outcomes have the expected kinds, and `false` if items are late that
/// should be done.
///
/// # Panics
///
/// Panics if any other kind is not as expected.
pub fn are_in_time(kinds: &str, expected: &str) -> bool {
    let is_late = |(kind, expected)| kind == 'i' && expected == '.';
    let may_be = |pair: (char, char)| pair.0 == pair.1 || is_late(pair);
    assert_eq!(kinds.len(), expected.len(), "{kinds}");
    assert!(kinds.chars().zip(expected.chars()).all(may_be), "{kinds}, not {expected}");
    kinds == expected
}

/// A latch: threads wait at it until another thread opens it for good.
#[derive(Clone, Default)]
pub struct Latch(Arc<(Mutex<bool>, Condvar)>);

impl Latch {
    pub fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    /// Blocks until the latch is open.
    pub fn wait(&self) {
        let mut open = self.0.0.lock().unwrap();
        while !*open {
            open = self.0.1.wait(open).unwrap();
        }
    }
}

/// An error whose text panics.
#[derive(Debug)]
pub struct NoText;

impl std::fmt::Display for NoText {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        panic!("no text");
    }
}

impl std::error::Error for NoText {}

/// Counts the [`Tracked`] values that are alive.
#[derive(Clone, Default)]
pub struct LiveCounter(Arc<AtomicUsize>);

impl LiveCounter {
    /// Returns a new value that this counter counts until it is dropped.
    pub fn track(&self, value: u64) -> Tracked {
        self.0.fetch_add(1, SeqCst);
        Tracked { value, alive: AtomicBool::new(true), counter: self.clone() }
    }

    pub fn alive(&self) -> usize {
        self.0.load(SeqCst)
    }

    /// Waits until no value is alive. Another thread may still be dropping one.
    pub fn wait_until_none_alive(&self) {
        while self.alive() != 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// A value that a [`LiveCounter`] counts. Panics if it is dropped twice.
pub struct Tracked {
    pub value: u64,
    alive: AtomicBool,
    counter: LiveCounter,
}

impl Drop for Tracked {
    fn drop(&mut self) {
        assert!(self.alive.swap(false, SeqCst), "dropped twice");
        self.counter.0.fetch_sub(1, SeqCst);
    }
}

/// Blocks on a future, as a simple runtime does.
pub fn block_on<F: Future + Unpin>(mut future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(thread::current())).into();
    loop {
        match std::pin::Pin::new(&mut future).poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

/// A waker that counts its calls.
#[derive(Default)]
pub struct Wakes(pub AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

/// Returns one letter per outcome, which names its kind.
pub fn kinds<U, E>(outcomes: &[Outcome<U, E>]) -> String {
    let kind = |outcome: &Outcome<U, E>| match outcome {
        Ok(_) => '.',
        Err(Failure::Failed { .. }) => 'f',
        Err(Failure::Panicked(_) | Failure::SpawnerPanicked(_)) => 'p',
        Err(Failure::FutureDropped(_)) => 'g',
        Err(Failure::Cancelled(_)) => 'c',
        Err(Failure::ShutDown(_)) => 's',
        Err(Failure::BatchDeadline(_)) => 'b',
        Err(Failure::ItemDeadline(_)) => 'i',
        Err(Failure::PlaceDropped) => 'd',
        Err(_) => '?',
    };
    outcomes.iter().map(kind).collect()
}
