//! Timed waits: their processor time, and deadlines at both ends of the clock.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use reorder_ring::{Consumer, Delivery, NextTimeoutError, Ring};

const TIMEOUT: Result<Option<Delivery<u8>>, NextTimeoutError> = Err(NextTimeoutError::Timeout);

/// Returns the first delivery of a batch, with this value.
fn first(value: u8) -> Result<Option<Delivery<u8>>, NextTimeoutError> {
    Ok(Some(Delivery { index: 0, outcome: Ok(value) }))
}

#[cfg(all(target_os = "linux", not(miri)))]
#[test]
fn a_second_before_a_missing_head_costs_little_processor_time() {
    let ring = Ring::<u8>::with_capacity(2).unwrap();
    let mut batch = ring.open().unwrap();
    _ = batch.reserve().unwrap();
    crate::cpu_time::assert_idle(|| {
        assert_eq!(batch.next_timeout(Duration::from_secs(1)), TIMEOUT);
    });
}

#[test]
fn a_wait_with_a_deadline_in_the_past_takes_a_ready_value() {
    let ring = Ring::with_capacity(2).unwrap();
    let (mut producer, mut consumer) = ring.open().unwrap().split();
    // A minute ago, or the present if the clock began less than a minute ago.
    let now = Instant::now();
    let past = now.checked_sub(Duration::from_secs(60)).unwrap_or(now);
    assert_eq!(consumer.next_deadline(past), TIMEOUT);
    let ticket = producer.reserve().unwrap();
    assert_eq!(consumer.next_deadline(past), TIMEOUT);
    assert_eq!(consumer.next_timeout(Duration::ZERO), TIMEOUT);
    ring.complete(ticket, 5).unwrap();
    assert_eq!(consumer.next_deadline(past), first(5));
    producer.finish();
    assert_eq!(consumer.next_deadline(past), Ok(None));
}

#[test]
fn a_wait_does_not_end_before_its_deadline() {
    let ring = Ring::with_capacity(2).unwrap();
    let mut batch = ring.open().unwrap();
    for millis in [0, 1, 5, 20] {
        // A wait that times out leaves its slot `Waited`. The completion then unparks a thread that
        // does not sleep, so that its next park returns at once.
        let ticket = batch.reserve().unwrap();
        assert_eq!(batch.next_timeout(Duration::from_millis(1)), TIMEOUT);
        ring.complete(ticket, 1).unwrap();
        batch.try_next().unwrap();

        let missing = batch.reserve().unwrap();
        let deadline = Instant::now() + Duration::from_millis(millis);
        assert_eq!(batch.next_deadline(deadline), TIMEOUT);
        // This is a lower bound, which holds under any load.
        assert!(Instant::now() >= deadline, "after {millis} ms");
        ring.evict(missing).unwrap();
        batch.try_next().unwrap();
    }
}

#[test]
fn a_wait_after_a_timeout_is_woken() {
    for timeouts in 0..4 {
        let ring = Ring::with_capacity(2).unwrap();
        let (mut producer, mut consumer) = ring.open().unwrap().split();
        let ticket = producer.reserve().unwrap();
        thread::scope(|scope| {
            let waiting = scope.spawn(move || {
                for _ in 0..timeouts {
                    assert_eq!(consumer.next_timeout(Duration::from_millis(1)), TIMEOUT);
                }
                consumer
            });
            // The last wait runs on another thread than the waits before.
            let mut consumer = waiting.join().unwrap();
            let waiting = scope.spawn(move || consumer.next());
            // Usually the consumer is asleep after this. The test is correct in any case.
            thread::sleep(Duration::from_millis(5));
            ring.complete(ticket, 6).unwrap();
            let next = waiting.join().unwrap();
            assert_eq!(next.map_err(|error| panic!("{error}")), first(6));
        });
    }
}

#[test]
fn times_beyond_the_clock_are_no_deadline() {
    // The longest time that the clock can represent, and longer ones.
    let longest = (0..u64::BITS).rev().map(|bit| Duration::from_secs(1 << bit));
    let longest = longest.into_iter().find(|time| Instant::now().checked_add(*time).is_some());
    for timeout in [Duration::MAX, longest.unwrap(), Duration::from_secs(u64::MAX >> 1)] {
        let ring = Ring::with_capacity(2).unwrap();
        let (mut producer, mut consumer) = ring.open().unwrap().split();
        let ticket = producer.reserve().unwrap();
        thread::scope(|scope| {
            let waiting = scope.spawn(move || consumer.next_timeout(timeout));
            // Usually the consumer is asleep after this.
            thread::sleep(Duration::from_millis(5));
            ring.complete(ticket, 7).unwrap();
            assert_eq!(waiting.join().unwrap(), first(7), "{timeout:?}");
        });
    }
    // The same for a batch that is not split.
    let ring = Ring::with_capacity(2).unwrap();
    let mut batch = ring.open().unwrap();
    assert_eq!(batch.next_timeout(Duration::MAX), Ok(None));
    let ticket = batch.reserve().unwrap();
    ring.complete(ticket, 8).unwrap();
    assert_eq!(batch.next_timeout(Duration::MAX), first(8));
}

/// Waits in the destructor of a thread-local, and sends the results.
struct LastWait {
    consumer: Consumer<Arc<Ring<u8>>>,
    got: std::sync::mpsc::Sender<Result<Option<Delivery<u8>>, NextTimeoutError>>,
}

impl Drop for LastWait {
    fn drop(&mut self) {
        for _ in 0..2 {
            self.got.send(self.consumer.next_timeout(Duration::from_millis(1))).unwrap();
        }
        // The main thread completes the position after the second message.
        self.got.send(self.consumer.next_timeout(Duration::MAX)).unwrap();
    }
}

#[test]
fn a_thread_can_wait_while_it_drops_its_thread_locals() {
    use std::cell::RefCell;
    thread_local!(static LAST: RefCell<Option<LastWait>> = const { RefCell::new(None) });

    // The order of destruction depends on the order of first use. The test uses its own
    // thread-local before or after the thread-local of the ring.
    for waits_before in [false, true] {
        let ring = Arc::new(Ring::with_capacity(2).unwrap());
        let (mut producer, mut consumer) = ring.open_owned().unwrap().split();
        let ticket = producer.reserve().unwrap();
        let (got, answers) = std::sync::mpsc::channel();
        let thread = thread::spawn(move || {
            if waits_before {
                assert_eq!(consumer.next_timeout(Duration::from_millis(1)), TIMEOUT);
            }
            LAST.with(|last| {
                let mut consumer = LastWait { consumer, got };
                if !waits_before {
                    let next = consumer.consumer.next_timeout(Duration::from_millis(1));
                    assert_eq!(next, TIMEOUT);
                }
                *last.borrow_mut() = Some(consumer);
            });
        });
        assert_eq!(answers.recv().unwrap(), TIMEOUT);
        assert_eq!(answers.recv().unwrap(), TIMEOUT);
        ring.complete(ticket, 9).unwrap();
        assert_eq!(answers.recv().unwrap(), first(9));
        thread.join().unwrap();
    }
}
