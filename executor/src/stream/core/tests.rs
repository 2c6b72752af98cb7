//! Instants that no test from outside can hit.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

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
