//! Instants that no test from outside can hit.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::primitive::Parker;
use crate::stream::open::{Opened, open_ring};

use super::*;

/// Promises nothing, and lets a worker look for work and fall asleep while it is asked.
struct Unpromising(Arc<Scheduler>);

impl Iterator for Unpromising {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        unreachable!("a consumer that may not wait does not ask")
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.idle.start_searching();
        assert!(self.0.try_sleep(0), "nothing is claimable while somebody pulls");
        (0, None)
    }
}

#[test]
fn a_consumer_that_gives_the_right_to_pull_back_wakes_a_worker() {
    let parker = Parker::new();
    let scheduler = Arc::new(Scheduler::new(vec![parker.unparker()], true));
    let source = Unpromising(Arc::clone(&scheduler));
    let Opened { producer, output, consumer_end } = open_ring::<u8, Infallible>(8, None);
    let core = Core::<(_, _, _, _)>::new(source, Ok, producer, output, 1);
    let core = Arc::new(core);
    let work: Arc<dyn Published> = core.clone();
    scheduler.publish(Arc::clone(&work), Instant::now());

    assert!(!core.help(&TimeSlice::own(&scheduler), false));
    assert!(core.claimable());
    assert!(parker.park_timeout(Duration::ZERO), "the worker sleeps on");

    scheduler.withdraw(&work);
    core.cancel();
    drop(consumer_end);
}
