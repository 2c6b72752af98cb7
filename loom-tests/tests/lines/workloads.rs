//! The operations that run on the machine.
//!
//! Each workload runs for a while before the counts begin, so that they show the steady state. Its
//! queues and barriers are invisible to the machine.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use reorder_executor::Executor;
use reorder_ring::{ReserveError, Ring, RingPool, Ticket};
use shuttle::thread::{self, Thread};

use crate::machine::{count, pause, start, stop, work};

/// A name, the operation that is counted, and a function of the number of threads.
pub(crate) type Workload = (&'static str, fn(usize));

pub(crate) const ALL: &[Workload] = &[
    ("ring: an item", |threads| ring(threads, 250)),
    ("ring, full: an item", |threads| ring(threads, 0)),
    ("pool: a lease with 16 items", pool),
    ("map: an item", map),
    ("stream: an item", stream),
    ("submit: a batch of 16 items", submit),
];

/// Wakes a thread of the machine.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Blocks this thread until `poll` is ready.
fn wait_for<R>(mut poll: impl FnMut(&mut Context<'_>) -> Poll<R>) -> R {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        match poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(result) => return result,
            Poll::Pending => thread::park(),
        }
    }
}

/// One producer, one consumer, and `threads` completers. An item takes longer on more threads, so
/// that the two sides keep up. The window is full unless the producer takes some time for an item.
fn ring(threads: usize, production: u64) {
    const ITEMS: u64 = 2048;
    let ring = Arc::new(Ring::with_capacity(128).unwrap());
    let (mut producer, mut consumer) = ring.open_owned().unwrap().split();
    let tickets = Arc::new(Mutex::new(VecDeque::<Option<Ticket>>::new()));
    let completers: Vec<_> = (0..threads)
        .map(|_| {
            let (ring, tickets) = (Arc::clone(&ring), Arc::clone(&tickets));
            thread::spawn(move || {
                loop {
                    let next = tickets.lock().unwrap().pop_front();
                    match next {
                        None => pause(Duration::from_nanos(100)),
                        Some(None) => break,
                        Some(Some(ticket)) => {
                            work(200 * threads as u64);
                            ring.complete(ticket, 1u64).unwrap();
                        }
                    }
                }
            })
        })
        .collect();
    let producing = thread::spawn(move || {
        for _ in 0..ITEMS {
            work(production);
            let ticket = loop {
                match producer.reserve() {
                    Ok(ticket) => break ticket,
                    Err(ReserveError::Full) => {
                        wait_for(|cx| producer.poll_space(cx)).unwrap();
                    }
                    Err(error) => panic!("{error}"),
                }
            };
            tickets.lock().unwrap().push_back(Some(ticket));
        }
        tickets.lock().unwrap().extend((0..threads).map(|_| None));
        producer.finish();
    });
    for item in 0..ITEMS {
        if item == ITEMS / 4 {
            start();
        }
        wait_for(|cx| consumer.poll_next(cx)).unwrap().expect("it is not the end");
        count();
        if item == ITEMS * 3 / 4 {
            stop();
        }
    }
    producing.join().unwrap();
    completers.into_iter().for_each(|completer| completer.join().unwrap());
}

/// Runs `operation` on `threads` threads at once, `times` times on the first, and until then on the
/// others. The first quarter is not counted.
fn at_once(threads: usize, times: usize, operation: impl Fn() + Send + Sync + 'static) {
    let (operation, is_over) = (Arc::new(operation), Arc::new(AtomicBool::new(false)));
    let run = |thread| {
        let (operation, is_over) = (Arc::clone(&operation), Arc::clone(&is_over));
        thread::spawn(move || {
            for time in 0.. {
                if thread == 0 && time == times / 4 {
                    start();
                }
                if thread == 0 && time == times {
                    stop();
                    is_over.store(true, Relaxed);
                }
                if is_over.load(Relaxed) {
                    break;
                }
                operation();
                count();
            }
        })
    };
    let threads: Vec<_> = (0..threads).map(run).collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

/// `threads` threads with a batch each, whose tickets are completed through the pool.
fn pool(threads: usize) {
    let pool = RingPool::new();
    at_once(threads, (512 / threads).max(16), move || {
        let lease = pool.lease(16).unwrap();
        let mut batch = lease.open().unwrap();
        let tickets: Vec<_> = (0..16).map(|_| batch.reserve().unwrap()).collect();
        for ticket in tickets {
            work(1000);
            pool.complete(ticket, 1u64).unwrap();
        }
        assert_eq!(batch.drain_ready().count(), 16);
    });
}

/// Returns an executor for a call that runs on `threads` threads, with its caller.
fn executor(threads: usize) -> Executor {
    Executor::builder().workers(threads - 1).window(64 * threads).build().unwrap()
}

/// One caller, whose items run on `threads` threads.
fn map(threads: usize) {
    let executor = executor(threads);
    for call in 0..1 + (64 / threads).max(3) {
        if call == 1 {
            start();
        }
        executor.map(0..32 * threads, |_| {
            work(1000);
            count();
        });
    }
    stop();
}

/// One stream, whose items run on `threads` threads. The consumer is one of them.
fn stream(threads: usize) {
    let executor = executor(threads);
    let items = (64 * threads).max(2048);
    for item in executor.stream(0..items, |n| {
        work(1000);
        n
    }) {
        let item = item.unwrap();
        if item == items / 4 {
            start();
        }
        count();
        if item == items * 3 / 4 {
            stop();
        }
    }
}

/// Half of the threads are callers, and the others are workers.
fn submit(threads: usize) {
    let executor = Arc::new(Executor::builder().workers(threads / 2).build().unwrap());
    at_once(threads / 2, (192 / threads).max(8), move || {
        let job = |n: u32, _: &reorder_executor::Job<'_>| {
            work(1000);
            Ok::<_, ()>(n)
        };
        let handle = executor.batch(0..16).submit(job).unwrap();
        assert_eq!(handle.wait().outcomes().len(), 16);
    });
}
