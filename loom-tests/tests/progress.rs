//! How many steps each operation takes, over all executions of models that bring the roles together.
//!
//! They need `--cfg reorder_hooks` beside the flags of the other models; `ci/progress.sh` runs them.
#![cfg(all(reorder_loom, reorder_hooks))]

#[allow(dead_code, reason = "not every operation is in a model")]
#[path = "../../reorder/tests/progress/bounds.rs"]
mod bounds;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Waker};

use bounds::{Bound, CANCEL, COMPLETE, EVICT, POLL_NEXT, POLL_SPACE, RESERVE, TRY_NEXT};
use loom::thread;
use loom_tests::explore;
use reorder_ring::Ring;

/// The most steps of one operation so far. Invisible to loom.
struct Most(AtomicUsize);

impl Most {
    const fn new() -> Most {
        Most(AtomicUsize::new(0))
    }

    #[track_caller]
    fn check<R>(&self, bound: &Bound, call: impl FnOnce() -> R) -> R {
        let (result, steps) = bound.check(call);
        self.0.fetch_max(steps, Relaxed);
        result
    }

    fn told(&self, bound: &Bound, at_least: usize) {
        let most = self.0.load(Relaxed);
        println!("steps: {}: {most} at the most, of {}", bound.operation, bound.most);
        assert!(most >= at_least, "{} took no more than {most}", bound.operation);
    }
}

fn ring(capacity: usize) -> Arc<Ring<u8>> {
    Arc::new(Ring::with_capacity(capacity).unwrap())
}

/// A consumer that polls, against a completer and an eviction of the same position, and the end.
#[test]
fn consumer_against_all() {
    static NEXT: Most = Most::new();
    static POLL: Most = Most::new();
    static SETTLE: [Most; 2] = [Most::new(), Most::new()];
    explore("consumer_against_all", Some(3), 140_000, || {
        let ring = ring(2);
        let (mut producer, mut consumer) = ring.open_owned().unwrap().split();
        let ticket = producer.reserve().unwrap();
        let (completing, evicting) = (Arc::clone(&ring), Arc::clone(&ring));
        let completer = thread::spawn(move || {
            _ = SETTLE[0].check(&COMPLETE, || completing.complete(ticket, 1));
        });
        let evictor = thread::spawn(move || {
            _ = SETTLE[1].check(&EVICT, || evicting.evict(ticket));
            producer.finish();
        });
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..2 {
            _ = POLL.check(&POLL_NEXT, || consumer.poll_next(&mut context));
            _ = NEXT.check(&TRY_NEXT, || consumer.try_next());
        }
        completer.join().unwrap();
        evictor.join().unwrap();
        drop((consumer, ring));
    });
    NEXT.told(&TRY_NEXT, 5);
    POLL.told(&POLL_NEXT, 16);
    SETTLE[0].told(&COMPLETE, COMPLETE.most);
    SETTLE[1].told(&EVICT, EVICT.most);
}

/// A producer against the consumer that makes room, and a canceller.
#[test]
fn producer_against_all() {
    static ROOM: Most = Most::new();
    static POSITION: Most = Most::new();
    static END: Most = Most::new();
    explore("producer_against_all", Some(3), 13_000, || {
        let ring = ring(1);
        let (mut producer, mut consumer) = ring.open_owned().unwrap().split();
        let canceller = consumer.canceller();
        let ticket = producer.reserve().unwrap();
        ring.complete(ticket, 1).unwrap();
        let consumer = thread::spawn(move || {
            _ = consumer.try_next();
            consumer
        });
        let cancelling = thread::spawn(move || _ = END.check(&CANCEL, || canceller.cancel()));
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..2 {
            _ = ROOM.check(&POLL_SPACE, || producer.poll_space(&mut context));
            _ = POSITION.check(&RESERVE, || producer.reserve());
        }
        drop(producer);
        drop(consumer.join().unwrap());
        cancelling.join().unwrap();
    });
    ROOM.told(&POLL_SPACE, POLL_SPACE.most);
    POSITION.told(&RESERVE, RESERVE.most);
    END.told(&CANCEL, CANCEL.most - 1);
}
