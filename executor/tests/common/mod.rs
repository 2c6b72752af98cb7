//! What several of the executor's tests use.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it")]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::task::{Context, Poll, Wake};
use std::thread::{self, Thread};
use std::time::Duration;

use reorder_executor::{Executor, Failure, Outcome};

pub fn executor(workers: usize) -> Executor {
    Executor::builder().workers(workers).build().expect("threads for a test")
}

/// Runs `f` elsewhere and fails if it hangs. The limit is no expectation of speed.
pub fn without_hanging<R: Send + 'static>(f: impl FnOnce() -> R + Send + 'static) -> R {
    let (done, result) = mpsc::channel();
    let thread = std::thread::spawn(move || _ = done.send(f()));
    match result.recv_timeout(Duration::from_secs(120)) {
        Ok(value) => {
            thread.join().expect("it has sent its result");
            value
        }
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("it hangs"),
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            std::panic::resume_unwind(thread.join().expect_err("it did not send a result"))
        }
    }
}

/// A door that is closed until somebody opens it for good.
#[derive(Clone, Default)]
pub struct Door(Arc<(Mutex<bool>, Condvar)>);

impl Door {
    pub fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    pub fn pass(&self) {
        let mut open = self.0.0.lock().unwrap();
        while !*open {
            open = self.0.1.wait(open).unwrap();
        }
    }
}

/// Counts how many exist and fails if one is dropped twice.
#[derive(Clone, Default)]
pub struct Census(Arc<AtomicUsize>);

impl Census {
    pub fn join(&self, value: u64) -> Member {
        self.0.fetch_add(1, SeqCst);
        Member { value, alive: AtomicBool::new(true), census: self.clone() }
    }

    pub fn alive(&self) -> usize {
        self.0.load(SeqCst)
    }

    /// Waits until nobody is left; a straggler may still be on its way.
    pub fn wait_for_none(&self) {
        while self.alive() != 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

pub struct Member {
    pub value: u64,
    alive: AtomicBool,
    census: Census,
}

impl Drop for Member {
    fn drop(&mut self) {
        assert!(self.alive.swap(false, SeqCst), "dropped twice");
        self.census.0.fetch_sub(1, SeqCst);
    }
}

/// Blocks on a future as a simple runtime does.
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

/// A letter for each outcome.
pub fn kinds<U, E>(outcomes: &[Outcome<U, E>]) -> String {
    let kind = |outcome: &Outcome<U, E>| match outcome {
        Ok(_) => '.',
        Err(Failure::Failed(_)) => 'f',
        Err(Failure::Panicked(_)) => 'p',
        Err(Failure::RetriesExhausted(_)) => 'x',
        Err(Failure::Gap(_)) => 'g',
        Err(Failure::Cancelled) => 'c',
        Err(Failure::ShutDown) => 's',
        Err(Failure::BatchDeadline) => 'b',
        Err(Failure::ItemDeadline) => 'i',
        Err(_) => '?',
    };
    outcomes.iter().map(kind).collect()
}
