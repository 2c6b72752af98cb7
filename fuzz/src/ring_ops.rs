//! Operations on one ring, which starts anywhere.

use std::sync::Arc;

use crate::bytes::Bytes;
use crate::ledger::{Counted, Ledger};
use crate::model::Model;
use crate::player::Player;
use reorder_ring::{CapacityError, Reason, Ring};

/// # Panics
///
/// If an answer differs from the model's.
pub fn ring_ops(bytes: &[u8]) {
    let mut bytes = Bytes::new(bytes);
    let capacity = 1 + usize::from(bytes.byte()) % 9;
    let rounded = capacity.next_power_of_two() as u64;
    let Err(CapacityError::FirstPosition { largest: end, .. }) =
        Ring::<Counted>::starting_at(capacity, u64::MAX)
    else {
        panic!("positions have an end");
    };
    let first = match bytes.byte() {
        near @ 0..64 => end - u64::from(near),
        far => u64::from(far) - 64,
    };
    let ring = Arc::new(Ring::starting_at(capacity, first).expect("it is not beyond the end"));
    let other = Ring::<Counted>::with_capacity(1).expect("there is memory");
    let foreign = other.open().expect("it is new").reserve().expect("there is room");
    let ledger = Ledger::default();
    let mut player = Player::new(Model::new(rounded, first, end));
    while let Some(op) = bytes.next() {
        let n = usize::from(bytes.byte());
        match op {
            0..32 => player.open(ring.open_owned()),
            32 => {
                let refused = ring.complete(foreign, ledger.value()).unwrap_err();
                assert_eq!(refused.reason, Reason::Foreign);
                assert_eq!(ring.evict(foreign), Err(Reason::Foreign));
            }
            33 => {
                if let Some(ticket) = player.pick(n) {
                    let refused = other.complete(ticket, ledger.value()).unwrap_err();
                    assert_eq!(refused.reason, Reason::Foreign);
                }
            }
            _ => player.step(op, n, &*ring, &ledger),
        }
        assert_eq!(ledger.alive(), player.model.ready().len(), "values inside of the ring");
    }
    drop((player, ring));
    ledger.assert_each_dropped_once();
}
