//! Instants that no test from outside can hit.

use std::convert::Infallible;
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use crate::io::Keyed;
use crate::limits::{LimitState, Limits};
use crate::primitive::Parker;
use crate::scheduler::{ThreadSettings, WorkerThread};
use crate::stream::open::{Opened, open_ring};

use super::*;

/// Lets a worker look for work and fall asleep while it is asked.
struct LetsSleep(Arc<Scheduler>, Arc<WorkerThread>);

impl Iterator for LetsSleep {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        self.0.idle.start_searching();
        assert!(self.0.try_sleep(&self.1), "nothing is claimable while a thread pulls");
        Some(1)
    }
}

#[test]
fn a_consumer_that_gives_the_right_to_pull_back_wakes_a_worker() {
    let parker = Parker::new();
    let scheduler = Scheduler::new(ThreadSettings::default(), true);
    let worker = WorkerThread::new(0, parker.unparker(), scheduler.monitor.clone());
    let source = LetsSleep(Arc::clone(&scheduler), worker);
    let Opened { producer, output, consumer_end } = open_ring::<u8, Infallible>(8, None);
    let source = LazySource::new(source);
    let core = Core::<(_, _, _, _)>::new(source, Ok, producer, output, 1, FairShare::default());
    let core = Arc::new(core);
    let work: Arc<dyn Published> = core.clone();
    scheduler.publish(Arc::clone(&work), Instant::now());

    let slice = TimeSlice::own(&scheduler, None);
    assert!(!core.help(&slice, Helper::Volunteer), "a consumer that may wait does not pull");
    assert!(core.help(&slice, Helper::Worker));
    assert!(core.claimable() && !core.helps(Helper::Worker), "an item is outstanding");
    assert!(parker.park_timeout(Duration::ZERO), "the worker sleeps on");

    scheduler.withdraw(&work);
    core.cancel();
    drop(consumer_end);
}

/// The monitor finds it blocked in each call of `next`.
struct LooksBlocked(std::ops::Range<u64>, Arc<OnceLock<Weak<dyn Published>>>);

impl Iterator for LooksBlocked {
    type Item = (usize, u64);

    fn next(&mut self) -> Option<(usize, u64)> {
        let core = self.1.get().and_then(Weak::upgrade).expect("a thread pulls");
        // The second look finds this thread blocked, if the monitor watches the source.
        core.look_at_source();
        core.look_at_source();
        self.0.next().map(|n| (n as usize, n))
    }
}

/// Lets the other thread end, also if this one panics.
struct EndsAtDrop<'a>(&'a AtomicBool);

impl Drop for EndsAtDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

#[test]
fn no_thread_takes_over_an_item_with_a_key() {
    const ITEMS: u64 = 50_000;
    let scheduler = Scheduler::new(ThreadSettings::default(), true);
    let limits = Limits { key_window: Some(1), ..Limits::default() };
    let limits = Some(Arc::new(LimitState::new(limits, 8)));
    let Opened { producer, output, mut consumer_end } = open_ring::<u64, Infallible>(8, limits);
    let keys = Arc::clone(output.keys().expect("the limits have a window of keys"));
    let place = Arc::new(OnceLock::new());
    let source = LooksBlocked(0..ITEMS, Arc::clone(&place));
    let key = DiscardOnDrop::new(|_: &(usize, u64)| Some(()));
    let source = LazySource::new(Keyed::new(source, key, keys)).with_keys(Keyed::take_key);
    let job = |(_, n)| Ok(n);
    let core = Core::<(_, _, _, _)>::new(source, job, producer, output, 1, FairShare::default());
    let core = Arc::new(core);
    let work: Arc<dyn Published> = core.clone();
    assert!(place.set(Arc::downgrade(&work)).is_ok());
    scheduler.publish(Arc::clone(&work), Instant::now());

    let has_ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let looks = scope.spawn(|| {
            let mut is_claimable = false;
            while !has_ended.load(SeqCst) {
                is_claimable |= core.handover.is_claimable();
            }
            is_claimable
        });
        let end = EndsAtDrop(&has_ended);
        for index in 0..ITEMS {
            while !core.help(&TimeSlice::own(&scheduler, None), Helper::Alone) {}
            let delivery = consumer_end.consumer.try_next().expect("the item has run");
            assert_eq!(delivery.outcome.map(|chunk| chunk.index).ok(), Some(index));
            core.output.delivered.set(index + 1);
            core.notify_space(&scheduler);
        }
        drop(end);
        assert!(!looks.join().unwrap(), "another thread would not know the key");
    });
    scheduler.withdraw(&work);
    core.cancel();
}
