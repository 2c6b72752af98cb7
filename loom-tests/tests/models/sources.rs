//! Sources that block: other threads take over pulled items, and another worker takes the place.
//! The monitor notices each of them.

use std::sync::Arc;

use loom::sync::atomic::AtomicUsize;
use loom::sync::atomic::Ordering::Relaxed;
use loom::sync::{Condvar, Mutex};
use loom::thread;
use loom_tests::{PlainFlag, explore};
use reorder_executor::model::{BatchItems, Jobs, PulledItems, WatchedSource, Workers};

/// The puller brings an item, and is blocked in the source until another thread has run it. Each
/// item is claimed once, and the pull of an item happens before its job.
#[test]
fn pulled_items_are_taken_over() {
    explore("pulled_items_are_taken_over", None, 2000, || {
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

/// The puller of a batch leaves an item, and another thread looks for it. The item is claimed once,
/// and its pull happens before its job.
#[test]
fn left_items_of_a_batch_are_taken_over() {
    explore("left_items_of_a_batch_are_taken_over", None, 5, || {
        let pulled = Arc::new(PlainFlag::default());
        let pulls = Arc::clone(&pulled);
        let items = Arc::new(BatchItems::new(1, (0..1).inspect(move |_| pulls.set())));
        let puller = {
            let items = Arc::clone(&items);
            thread::spawn(move || items.pull())
        };
        let early = items.take_over();
        early.clone().for_each(|_| assert!(pulled.is_set()));
        puller.join().unwrap();
        let late = items.take_over();
        assert_eq!(early.len() + late.len(), 1, "the item is claimed once");
    });
}

/// A thread leaves a source, and is blocked in the next. The monitor notices that, also if it fell
/// asleep or ended in between. Otherwise the thread would stay for good.
#[test]
fn monitor_notices_each_blocked_source() {
    explore("monitor_notices_each_blocked_source", None, 1000, || {
        let source = WatchedSource::new();
        source.enter();
        source.leave();
        source.enter();
        source.stay();
        source.leave();
        source.end();
    });
}

/// The only worker is inside a source, which waits for a job of other work. A thread takes its
/// place and runs that job. When the worker is back, one of the two ends. Otherwise this thread
/// would wait for good.
#[test]
fn a_thread_takes_the_place_of_a_blocked_worker() {
    explore("a_thread_takes_the_place_of_a_blocked_worker", Some(2), 20000, || {
        let (workers, stage) = (Workers::start(1), Arc::new(Stage::default()));
        let blocks = Arc::clone(&stage);
        let source = Arc::new(Jobs::of_source(1, move || {
            blocks.reach(1);
            blocks.wait_for(2);
            blocks.reach(3);
        }));
        let runs = Arc::clone(&stage);
        let other = Arc::new(Jobs::new(1, move || runs.reach(2)));
        workers.publish(&source);
        stage.wait_for(1);
        workers.publish(&other);
        // The second look finds that the worker has been inside since the first.
        workers.look();
        workers.look();
        stage.wait_for(3);
        workers.look();
        workers.wait_until_none_is_surplus();
        workers.withdraw(&source);
        workers.withdraw(&other);
        workers.stop();
    });
}

/// The number of the last stage that was reached.
#[derive(Default)]
struct Stage(Mutex<usize>, Condvar);

impl Stage {
    fn reach(&self, stage: usize) {
        *self.0.lock().unwrap() = stage;
        self.1.notify_all();
    }

    fn wait_for(&self, stage: usize) {
        let mut reached = self.0.lock().unwrap();
        while *reached < stage {
            reached = self.1.wait(reached).unwrap();
        }
    }
}
