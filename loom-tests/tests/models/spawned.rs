//! Futures of an async stream: they and the puller of the source end with the consumer, wherever
//! they wait.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use futures_core::Stream;
use loom::sync::{Condvar, Mutex};
use loom::thread::{self, JoinHandle};
use loom_tests::explore;
use reorder_executor::StreamExt as _;

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A source of one item. A source without one waits for good.
struct Source(Option<()>);

impl Stream for Source {
    type Item = ();

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<()>> {
        if self.0.is_some() { Poll::Ready(self.0.take()) } else { Poll::Pending }
    }
}

/// The token of a thread that blocks on a future.
#[derive(Default)]
struct Token(Mutex<bool>, Condvar);

impl Wake for Token {
    fn wake(self: Arc<Self>) {
        *self.0.lock().unwrap() = true;
        self.1.notify_one();
    }
}

pub(super) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let token = Arc::new(Token::default());
    let waker = Waker::from(Arc::clone(&token));
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        let mut is_woken = token.0.lock().unwrap();
        while !*is_woken {
            is_woken = token.1.wait(is_woken).unwrap();
        }
        *is_woken = false;
    }
}

/// A runtime with a thread for each task.
#[derive(Clone, Default)]
struct Threads(Arc<Mutex<Vec<JoinHandle<()>>>>);

impl Threads {
    fn spawn(&self, task: Task) {
        let thread = thread::spawn(move || block_on(task));
        self.0.lock().unwrap().push(thread);
    }

    /// Waits until all tasks have ended.
    fn join(&self) {
        loop {
            let Some(thread) = self.0.lock().unwrap().pop() else { return };
            thread.join().unwrap();
        }
    }
}

/// The handle is dropped while the puller waits for its source. Otherwise the puller, and the
/// source with it, would stay for good.
#[test]
fn a_waiting_puller_ends_with_its_consumer() {
    explore("a_waiting_puller_ends_with_its_consumer", None, 10, || {
        let threads = Threads::default();
        let spawning = threads.clone();
        let spawner = move |task: Task| spawning.spawn(task);
        let outcomes = Source(None).map_ordered(spawner, 1, |()| async {});
        drop(outcomes);
        threads.join();
    });
}

/// The handle is dropped while a future waits. Otherwise the future would stay for good.
#[test]
fn a_waiting_future_is_aborted() {
    explore("a_waiting_future_is_aborted", Some(2), 100, || {
        let threads = Threads::default();
        let spawning = threads.clone();
        let spawner = move |task: Task| spawning.spawn(task);
        let outcomes = Source(Some(())).map_ordered(spawner, 1, |()| std::future::pending::<()>());
        drop(outcomes);
        threads.join();
    });
}
