//! Operations on one ring, which starts at any position. Rings that resume it follow.

use std::sync::Arc;

use crate::bytes::Bytes;
use crate::drop_counter::{Counted, DropCounter};
use crate::harness::Harness;
use crate::model::Model;
use reorder_ring::{CapacityError, Reason, Ring};

/// Runs the operations that the bytes encode.
///
/// # Panics
///
/// Panics if an answer differs from the answer of the model.
pub fn ring_ops(bytes: &[u8]) {
    let mut bytes = Bytes::new(bytes);
    let capacity = 1 + usize::from(bytes.byte()) % 9;
    let end = end(capacity);
    let first = match bytes.byte() {
        near @ 0..64 => end - u64::from(near),
        far => u64::from(far) - 64,
    };
    let ring = Ring::starting_at(capacity, first).expect("the position is not beyond the end");
    let mut ring = Arc::new(ring);
    let other = Ring::<Counted>::with_capacity(1).expect("allocate a ring");
    let mut batch = other.open().expect("a new ring is free");
    let foreign = batch.reserve().expect("a new batch has free slots");
    drop(batch);
    let counter = DropCounter::default();
    let mut harness = Harness::new(Model::new(rounded(capacity), first, end));
    while let Some(op) = bytes.next() {
        let n = usize::from(bytes.byte());
        match op {
            0..32 => harness.open(ring.open_owned()),
            32 => {
                let refused = ring.complete(foreign, counter.value()).unwrap_err();
                assert_eq!(refused.reason, Reason::Foreign);
                assert_eq!(ring.evict(foreign), Err(Reason::Foreign));
            }
            33 => {
                if let Some(ticket) = harness.pick(n) {
                    let refused = other.complete(ticket, counter.value()).unwrap_err();
                    assert_eq!(refused.reason, Reason::Foreign);
                }
            }
            34 => resume(&mut ring, &mut harness, n),
            _ => harness.step(op, n, &*ring, &counter),
        }
        assert_eq!(counter.alive(), harness.model.ready().len(), "the values inside the ring");
    }
    drop((harness, ring));
    counter.assert_each_dropped_once();
}

/// Lets the process of the ring die: its handles are lost. Another ring goes on. It delivers up to
/// 3 positions again.
fn resume(ring: &mut Arc<Ring<Counted>>, harness: &mut Harness<Arc<Ring<Counted>>>, n: usize) {
    let (capacity, again) = (1 + n % 9, n / 9 % 4);
    let first = harness.model.head.saturating_sub(again as u64);
    let end = end(capacity);
    let resumed = match Ring::resume(ring.id(), capacity, first) {
        Ok(resumed) => resumed,
        // The positions of a larger ring end earlier.
        Err(error) => return assert!(first > end, "{error}"),
    };
    assert!(first <= end);
    let mut model = Model::new(rounded(capacity), first, end);
    model.first = 0;
    harness.restart(model);
    *ring = Arc::new(resumed);
}

fn rounded(capacity: usize) -> u64 {
    capacity.next_power_of_two() as u64
}

/// Returns the last possible first position.
fn end(capacity: usize) -> u64 {
    let refused = Ring::<Counted>::starting_at(capacity, u64::MAX);
    let Err(CapacityError::FirstPosition { largest, .. }) = refused else {
        panic!("a ring accepts a first position beyond the end");
    };
    largest
}
