//! Runtimes for tests: tokio's, and one with a single thread.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it")]

use std::collections::VecDeque;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake};
use std::thread::{self, Thread};
use std::time::Duration;

use reorder_executor::Spawn;
use tokio::runtime::{Builder, Runtime};

pub const MS: Duration = Duration::from_millis(1);

pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

pub fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap()
}

pub fn spawner(runtime: &Runtime) -> impl Spawn + Send + Sync + use<> {
    let handle = runtime.handle().clone();
    move |task: Task| _ = handle.spawn(task)
}

/// Runs its tasks and a main future on the thread of [`OneThread::run`].
#[derive(Clone, Default)]
pub struct OneThread(Arc<Shared>);

#[derive(Default)]
struct Shared {
    ready: Mutex<VecDeque<Arc<Spawned>>>,
    thread: Mutex<Option<Thread>>,
}

struct Spawned {
    task: Mutex<Option<Task>>,
    shared: Arc<Shared>,
}

impl Wake for Spawned {
    fn wake(self: Arc<Self>) {
        let shared = Arc::clone(&self.shared);
        shared.ready.lock().unwrap().push_back(self);
        if let Some(thread) = &*shared.thread.lock().unwrap() {
            thread.unpark();
        }
    }
}

impl OneThread {
    pub fn spawn(&self, task: Task) {
        let shared = Arc::clone(&self.0);
        Arc::new(Spawned { task: Mutex::new(Some(task)), shared }).wake();
    }

    /// Polls each task that is ready once. Returns `false` if there was none.
    pub fn poll_ready(&self) -> bool {
        let ready = std::mem::take(&mut *self.0.ready.lock().unwrap());
        let any = !ready.is_empty();
        for spawned in ready {
            let waker = Arc::clone(&spawned).into();
            let mut task = spawned.task.lock().unwrap();
            if let Some(running) = &mut *task {
                if running.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
                    *task = None;
                }
            }
        }
        any
    }

    /// Runs until the main future is ready.
    pub fn run<F: Future>(&self, main: F) -> F::Output {
        struct Unpark(Thread);
        impl Wake for Unpark {
            fn wake(self: Arc<Self>) {
                self.0.unpark();
            }
        }
        *self.0.thread.lock().unwrap() = Some(thread::current());
        let waker = Arc::new(Unpark(thread::current())).into();
        let mut main: Pin<&mut F> = pin!(main);
        loop {
            if let Poll::Ready(output) = main.as_mut().poll(&mut Context::from_waker(&waker)) {
                return output;
            }
            if !self.poll_ready() {
                thread::park();
            }
        }
    }
}
