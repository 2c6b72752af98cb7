//! Sources that block: other threads take over pulled items, and another worker takes the place.

use std::sync::Arc;

use loom::sync::atomic::AtomicUsize;
use loom::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use loom::thread;
use loom_tests::{PlainFlag, explore};
use reorder_executor::model::{Jobs, PulledItems, Workers};

/// The puller brings an item, and is blocked in the source until another thread has run it. Each
/// item is claimed once, and the pull of an item happens before its job.
#[test]
fn pulled_items_are_taken_over() {
    explore("pulled_items_are_taken_over", Some(3), 500, || {
        let (items, taken) = (Arc::new(PulledItems::default()), Arc::new(AtomicUsize::new(0)));
        let pulled = Arc::new([PlainFlag::default(), PlainFlag::default()]);
        let puller = {
            let (items, taken, pulled) =
                (Arc::clone(&items), Arc::clone(&taken), Arc::clone(&pulled));
            thread::spawn(move || {
                let source = (0..2).inspect(|&n| {
                    while n == 1 && taken.load(Relaxed) == 0 {
                        thread::yield_now();
                    }
                    pulled[n].set();
                });
                items.pull(source)
            })
        };
        let other = loop {
            items.look();
            let other = items.take_over();
            if !other.is_empty() {
                break other;
            }
            thread::yield_now();
        };
        other.iter().for_each(|&n| assert!(pulled[n].is_set()));
        taken.store(other.len(), Relaxed);
        let more = items.take_over();
        let own = puller.join().unwrap();
        assert!([other, more, own].concat().into_iter().eq(0..2), "each item is claimed once");
    });
}

/// The only worker is inside a source, which waits for a job of other work. A thread takes its
/// place and runs that job. When the worker is back, one of the two ends.
#[test]
fn a_thread_takes_the_place_of_a_blocked_worker() {
    explore("a_thread_takes_the_place_of_a_blocked_worker", Some(1), 100, || {
        let (workers, done) = (Workers::start(1), Arc::new(AtomicUsize::new(0)));
        let waits = Arc::clone(&done);
        let source = Arc::new(Jobs::of_source(1, move || {
            while waits.load(Acquire) == 0 {
                thread::yield_now();
            }
            waits.store(2, Release);
        }));
        let sets = Arc::clone(&done);
        let other = Arc::new(Jobs::new(1, move || sets.store(1, Release)));
        workers.publish(&source);
        workers.wait_until_inside(&source);
        workers.publish(&other);
        while done.load(Acquire) < 2 {
            workers.look();
            thread::yield_now();
        }
        while workers.threads() > 1 {
            workers.look();
            thread::yield_now();
        }
        workers.withdraw(&source);
        workers.withdraw(&other);
        workers.stop();
    });
}
