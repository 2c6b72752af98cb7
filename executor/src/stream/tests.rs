//! Instants that no test from outside can hit.

use std::sync::Arc;
use std::time::{Duration, Instant};

use reorder_ring::Ring;

use crate::primitive::Parker;

use super::*;

/// Promises nothing, and lets a worker look for work and fall asleep while it is asked.
struct Unpromising(Arc<Hub>);

impl Iterator for Unpromising {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        unreachable!("a consumer that may not wait does not ask")
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.start_searching();
        assert!(self.0.doze(0), "nothing is claimable while somebody pulls");
        (0, None)
    }
}

#[test]
fn a_consumer_that_gives_the_right_to_pull_back_wakes_a_worker() {
    let parker = Parker::new();
    let hub = Arc::new(Hub::new(vec![parker.unparker()], true));
    let ring = Arc::new(Ring::with_capacity(8).unwrap());
    let (producer, consumer) = ring.open_owned().unwrap().split();
    let source = Unpromising(Arc::clone(&hub));
    let spares = Arc::new(Spares::<u8>::new());
    let core = Arc::new(Core::new(source, Ok, ring, producer, spares, None, 1));
    let work: Arc<dyn Published> = core.clone();
    hub.publish(Arc::clone(&work), Instant::now());

    assert!(!core.help(&Turn::own(&hub), false));
    assert!(core.claimable());
    assert!(parker.park_timeout(Duration::ZERO), "the worker sleeps on");

    hub.withdraw(&work);
    core.cancel();
    drop(consumer);
}
