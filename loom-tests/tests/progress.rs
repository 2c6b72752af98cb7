//! The number of steps of each operation, over all executions of models with all roles.
//!
//! These models need `--cfg reorder_hooks` beside the flags of the other models. `ci/progress.sh`
//! runs them.
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

/// The largest number of steps of one operation. Loom does not see it.
struct MaxSteps(AtomicUsize);

impl MaxSteps {
    const fn new() -> MaxSteps {
        MaxSteps(AtomicUsize::new(0))
    }

    #[track_caller]
    fn check<R>(&self, bound: &Bound, call: impl FnOnce() -> R) -> R {
        let (result, steps) = bound.check(call);
        self.0.fetch_max(steps, Relaxed);
        result
    }

    /// Prints the largest number of steps, and asserts that it is at least `at_least`.
    fn report(&self, bound: &Bound, at_least: usize) {
        let most = self.0.load(Relaxed);
        println!("steps: {}: at most {most}, of {}", bound.operation, bound.most);
        assert!(most >= at_least, "{} took at most {most} steps", bound.operation);
    }
}

fn ring(capacity: usize) -> Arc<Ring<u8>> {
    Arc::new(Ring::with_capacity(capacity).unwrap())
}

/// A consumer polls while a completer and an evictor use the same position, and the producer ends.
#[test]
fn consumer_against_all() {
    static NEXT: MaxSteps = MaxSteps::new();
    static POLL: MaxSteps = MaxSteps::new();
    static COMPLETE_OR_EVICT: [MaxSteps; 2] = [MaxSteps::new(), MaxSteps::new()];
    explore("consumer_against_all", Some(3), 140_000, || {
        let ring = ring(2);
        let (mut producer, mut consumer) = ring.open_owned().unwrap().split();
        let ticket = producer.reserve().unwrap();
        let (completing, evicting) = (Arc::clone(&ring), Arc::clone(&ring));
        let completer = thread::spawn(move || {
            _ = COMPLETE_OR_EVICT[0].check(&COMPLETE, || completing.complete(ticket, 1));
        });
        let evictor = thread::spawn(move || {
            _ = COMPLETE_OR_EVICT[1].check(&EVICT, || evicting.evict(ticket));
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
    NEXT.report(&TRY_NEXT, 5);
    POLL.report(&POLL_NEXT, 16);
    COMPLETE_OR_EVICT[0].report(&COMPLETE, COMPLETE.most);
    COMPLETE_OR_EVICT[1].report(&EVICT, EVICT.most);
}

/// A producer polls for space and reserves while the consumer makes space and a canceller cancels.
#[test]
fn producer_against_all() {
    static SPACE: MaxSteps = MaxSteps::new();
    static POSITION: MaxSteps = MaxSteps::new();
    static END: MaxSteps = MaxSteps::new();
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
            _ = SPACE.check(&POLL_SPACE, || producer.poll_space(&mut context));
            _ = POSITION.check(&RESERVE, || producer.reserve());
        }
        drop(producer);
        drop(consumer.join().unwrap());
        cancelling.join().unwrap();
    });
    SPACE.report(&POLL_SPACE, POLL_SPACE.most);
    POSITION.report(&RESERVE, RESERVE.most);
    END.report(&CANCEL, CANCEL.most - 1);
}
