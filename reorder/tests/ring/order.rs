//! The order of delivery across threads, for each way to wait.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use reorder_ring::{
    Consumer, Delivery, Gap, NextError, Producer, ReserveError, Ring, Ticket, TryNextError,
};

const ITEMS: u64 = if cfg!(miri) { 30 } else { 1_000 };
const WORKERS: usize = 2;

type Next = Result<Option<Delivery<u64>>, NextError>;
type Take = fn(&mut Consumer<&Ring<u64>>) -> Next;

/// Each way to wait for the next delivery.
const TAKES: &[(&str, Take)] = &[
    ("try_next", by_trying),
    ("poll_next", by_polling),
    #[cfg(feature = "std")]
    ("next", |consumer| consumer.next()),
    #[cfg(feature = "std")]
    ("next_timeout", by_timeouts),
];

fn by_trying(consumer: &mut Consumer<&Ring<u64>>) -> Next {
    loop {
        match consumer.try_next() {
            Ok(delivery) => return Ok(Some(delivery)),
            Err(TryNextError::Pending) => thread::yield_now(),
            Err(TryNextError::Ended) => return Ok(None),
            Err(TryNextError::Truncated) => return Err(NextError::Truncated),
            Err(TryNextError::Cancelled) => return Err(NextError::Cancelled),
            Err(error) => panic!("{error}"),
        }
    }
}

/// A waker that unparks a thread.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn by_polling(consumer: &mut Consumer<&Ring<u64>>) -> Next {
    // Each wait has a new waker, which replaces the waker of the wait before.
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        match consumer.poll_next(&mut Context::from_waker(&waker)) {
            Poll::Ready(next) => return next,
            Poll::Pending => thread::park(),
        }
    }
}

#[cfg(feature = "std")]
fn by_timeouts(consumer: &mut Consumer<&Ring<u64>>) -> Next {
    use reorder_ring::NextTimeoutError;
    use std::time::Duration;
    // The timeout grows from zero to far more than a completion takes. Waits that time out are
    // repeated.
    let mut timeout = Duration::ZERO;
    loop {
        match consumer.next_timeout(timeout) {
            Ok(next) => return Ok(next),
            Err(NextTimeoutError::Timeout) => timeout = timeout * 2 + Duration::from_micros(1),
            Err(NextTimeoutError::Truncated) => return Err(NextError::Truncated),
            Err(NextTimeoutError::Cancelled) => return Err(NextError::Cancelled),
            Err(error) => panic!("{error}"),
        }
    }
}

/// The index that is evicted instead of completed in each group, and the size of a group.
const EVICTED: (u64, u64) = (3, 7);

/// Reserves all positions, as the window allows, and sends their tickets to the workers.
fn reserve(producer: &mut Producer<&Ring<u64>>, tickets: &Sender<Ticket>) {
    while producer.reserved() < ITEMS {
        match producer.reserve() {
            Ok(ticket) => tickets.send(ticket).unwrap(),
            Err(ReserveError::Full) => thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    }
}

/// Receives up to five tickets at a time, and completes or evicts their positions in reverse order.
fn work(ring: &Ring<u64>, first: u64, tickets: &Mutex<Receiver<Ticket>>) {
    loop {
        let some: Vec<_> = {
            let tickets = tickets.lock().unwrap();
            let Ok(ticket) = tickets.recv() else { return };
            std::iter::once(ticket).chain(tickets.try_iter().take(4)).collect()
        };
        for ticket in some.into_iter().rev() {
            let index = ticket.position() - first;
            if index % EVICTED.1 == EVICTED.0 {
                ring.evict(ticket).unwrap();
            } else {
                ring.complete(ticket, value(index)).unwrap();
            }
        }
    }
}

fn value(index: u64) -> u64 {
    index.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// Runs one batch on four threads, and returns its end.
fn stream(ring: &Ring<u64>, first: u64, take: Take, finish: bool) -> Next {
    let (mut producer, consumer) = ring.open().unwrap().split();
    let (sender, tickets) = channel();
    let tickets = Mutex::new(tickets);
    thread::scope(|scope| {
        // Owned by this closure, so that a failure drops the consumer and ends the producer.
        let mut consumer = consumer;
        let workers = [(); WORKERS].map(|()| scope.spawn(|| work(ring, first, &tickets)));
        let producing = scope.spawn(move || {
            reserve(&mut producer, &sender);
            if finish {
                producer.finish();
            }
        });
        for index in 0..ITEMS {
            let gap = index % EVICTED.1 == EVICTED.0;
            let outcome = if gap { Err(Gap::Evicted) } else { Ok(value(index)) };
            assert_eq!(take(&mut consumer), Ok(Some(Delivery { index, outcome })));
        }
        let end = take(&mut consumer);
        // ThreadSanitizer sees these joins, but not the join of the scope.
        producing.join().unwrap();
        workers.into_iter().for_each(|worker| worker.join().unwrap());
        end
    })
}

#[test]
fn values_completed_in_any_order_are_delivered_in_the_order_of_reservation() {
    for capacity in [1, 8] {
        let ring = Ring::with_capacity(capacity).unwrap();
        let mut first = 0;
        for (name, take) in TAKES {
            assert_eq!(stream(&ring, first, *take, true), Ok(None), "{name}, {capacity}");
            first += ITEMS;
            let truncated = stream(&ring, first, *take, false);
            assert_eq!(truncated, Err(NextError::Truncated), "{name}, {capacity}");
            first += ITEMS;
        }
    }
}
