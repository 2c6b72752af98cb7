//! Each event calls the waker of a consumer after its change is visible, and outside of all locks.
//! A waker that panics keeps no other task asleep.

use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use crate::common::{Latch, Wakes, executor, with_timeout};
use reorder_executor::{CancellationToken, Executor, Failure, Ordered, Outcome, Scope, Shutdown};

/// Returns an executor whose only worker runs a job until the latch is open.
fn busy_executor(latch: &Latch) -> Executor {
    let executor = executor(1);
    let (running, runs) = mpsc::channel();
    let latch = latch.clone();
    let job = move |()| {
        running.send(()).unwrap();
        latch.wait();
    };
    std::mem::forget(executor.stream([()], job));
    runs.recv().unwrap();
    executor
}

/// Stops the executor, and does not wait for its worker.
fn abort(executor: &Executor) {
    assert!(!executor.shutdown(Shutdown::Abort, Some(Duration::ZERO)).is_complete());
}

#[test]
fn a_stop_wakes_a_consumer_whose_workers_are_at_other_jobs() {
    with_timeout(|| {
        let latch = Latch::default();
        let executor = busy_executor(&latch);
        let mut stream = executor.stream(5..6, |n| n);
        let wakes = Arc::new(Wakes::default());
        let waker = Waker::from(Arc::clone(&wakes));
        assert!(stream.poll_next(&mut Context::from_waker(&waker)).is_pending());
        let before = wakes.0.load(SeqCst);
        abort(&executor);
        assert!(wakes.0.load(SeqCst) > before, "no thread is left but the consumer, and it sleeps");
        assert_eq!(stream.next().unwrap().unwrap(), 5);
        latch.open();
    });
}

/// While a worker has its time slice, it may hold what a consumer could run. So a consumer that
/// runs items itself may have gone to sleep meanwhile. `open` opens a call with the items 0, 1 and
/// 2.
fn assert_woken_at_the_end_of_a_time_slice<S>(
    open: impl FnOnce(&Executor, Box<dyn Fn(u32) + Send + Sync>) -> (S, Ordered<'static, ()>),
) {
    let (executor, wakes) = (executor(2), Arc::new(Wakes::default()));
    let (first, second, (ended, ends)) = (Latch::default(), Latch::default(), mpsc::channel());
    let job = {
        let (first, second, wakes) = (first.clone(), second.clone(), Arc::clone(&wakes));
        move |n| match n {
            0 => first.wait(),
            1 => {
                second.wait();
                // Longer than a time slice.
                thread::sleep(Duration::from_millis(2));
            }
            _ => ended.send(wakes.0.load(SeqCst)).unwrap(),
        }
    };
    let (_sender, mut outcomes) = open(&executor, Box::new(job));
    let waker = Waker::from(wakes);
    assert!(outcomes.poll_next(&mut Context::from_waker(&waker)).is_pending());
    second.open();
    assert!(ends.recv().unwrap() > 0, "the worker has ended its time slice, and told nobody");
    first.open();
}

#[test]
fn a_time_slice_of_a_stream_that_ends_wakes_the_consumer() {
    with_timeout(|| {
        assert_woken_at_the_end_of_a_time_slice(|executor, job| ((), executor.stream(0..3, job)));
    });
}

#[test]
fn a_time_slice_of_a_queue_that_ends_wakes_the_consumer() {
    with_timeout(|| {
        assert_woken_at_the_end_of_a_time_slice(|executor, job| {
            // Within this window, a worker claims one item at a time.
            let (sender, outcomes) = executor.queue(job).window(3).build().unwrap();
            (0..3).for_each(|n| sender.send(n).unwrap());
            (sender, outcomes)
        });
    });
}

/// A waker that uses the list of calls of its executor.
struct TakesASnapshot(Arc<Executor>, AtomicUsize);

impl Wake for TakesASnapshot {
    fn wake(self: Arc<Self>) {
        assert!(!self.0.snapshot().calls().is_empty());
        self.1.fetch_add(1, SeqCst);
    }
}

#[test]
fn a_stop_wakes_consumers_outside_of_the_lock_of_the_calls() {
    with_timeout(|| {
        let latch = Latch::default();
        let executor = Arc::new(busy_executor(&latch));
        let mut stream = executor.stream(5..6, |n| n);
        let wakes = Arc::new(TakesASnapshot(Arc::clone(&executor), AtomicUsize::new(0)));
        let waker = Waker::from(Arc::clone(&wakes));
        assert!(stream.poll_next(&mut Context::from_waker(&waker)).is_pending());
        abort(&executor);
        assert!(wakes.1.load(SeqCst) > 0);
        latch.open();
    });
}

/// A waker that counts its calls, and panics at each.
#[derive(Default)]
struct CountsAndPanics(AtomicUsize);

impl Wake for CountsAndPanics {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
        resume_unwind(Box::new("a waker that panics"));
    }
}

#[test]
fn a_cancellation_wakes_all_tasks_though_their_wakers_panic() {
    let token = CancellationToken::new();
    let wakers = [(); 3].map(|()| Arc::new(CountsAndPanics::default()));
    let mut tasks = wakers.each_ref().map(|_| token.cancelled());
    for (task, counts) in tasks.iter_mut().zip(&wakers) {
        let waker = Waker::from(Arc::clone(counts));
        let poll = Pin::new(task).poll(&mut Context::from_waker(&waker));
        assert!(poll.is_pending());
    }
    token.cancel();
    assert_eq!(wakers.map(|counts| counts.0.load(SeqCst)), [1; 3]);
}

type Failing = Ordered<'static, u32, &'static str>;
type Polled = Poll<Option<Outcome<u32, &'static str>>>;

/// A waker that polls the stream of its consumer at once.
struct PollsAtOnce {
    stream: Mutex<Option<Failing>>,
    polled: Mutex<mpsc::Sender<Polled>>,
}

impl Wake for PollsAtOnce {
    fn wake(self: Arc<Self>) {
        if let Some(stream) = &mut *self.stream.lock().unwrap() {
            let poll = stream.poll_next(&mut Context::from_waker(Waker::noop()));
            self.polled.lock().unwrap().send(poll).unwrap();
        }
    }
}

/// Otherwise the consumer would skip the item that failed, and the error would be lost.
#[test]
fn a_batch_fails_after_the_failing_outcome_is_in_its_place() {
    with_timeout(|| {
        let (executor, latch) = (executor(1), Latch::default());
        let job = {
            let latch = latch.clone();
            move |_, _: &reorder_executor::Job<'_>| {
                latch.wait();
                Err("the first error")
            }
        };
        let mut stream = executor.batch(0..2_u32).fail_fast().stream(job).unwrap();
        let (polled, polls) = mpsc::channel();
        let polls_at_once =
            Arc::new(PollsAtOnce { stream: Mutex::new(None), polled: Mutex::new(polled) });
        let waker = Waker::from(Arc::clone(&polls_at_once));
        assert!(stream.poll_next(&mut Context::from_waker(&waker)).is_pending());
        *polls_at_once.stream.lock().unwrap() = Some(stream);
        latch.open();
        let first = polls.recv().unwrap();
        let is_error = matches!(
            first,
            Poll::Ready(Some(Err(Failure::Failed { error: "the first error", .. })))
        );
        assert!(is_error, "{first:?}");
        let stream = polls_at_once.stream.lock().unwrap().take();
        drop(stream);
    });
}

/// A value whose drop opens and drops a stream of its scope.
struct OpensAStream<'scope, 'env>(&'scope Scope<'scope, 'env>, &'env AtomicUsize);

impl Drop for OpensAStream<'_, '_> {
    fn drop(&mut self) {
        drop(self.0.stream(0..0, |n: u32| n));
        self.1.fetch_add(1, SeqCst);
    }
}

#[test]
fn a_scope_drops_a_stream_that_has_ended_outside_of_its_lock() {
    with_timeout(|| {
        let (executor, dropped) = (executor(1), AtomicUsize::new(0));
        executor.scope(|scope| {
            let capture = OpensAStream(scope, &dropped);
            drop(scope.stream(0..0, move |n: u32| {
                _ = &capture;
                n
            }));
            // The scope drops the stream when another one is opened, unless a worker is there.
            while dropped.load(SeqCst) == 0 {
                drop(scope.stream(0..0, |n: u32| n));
            }
        });
    });
}
