//! Models of the ring and of the executor, one module per property. `docs/ring.md` says what
//! each module shows.
//!
//! ```sh
//! RUSTFLAGS="--cfg reorder_loom --cfg crossbeam_loom" cargo test --release -p loom-tests --
//! --nocapture
//! ```
//!
//! A model joins its threads before it drops its ring. The `Arc` of a ring is the one from std,
//! whose ordering loom does not see.
#![cfg(reorder_loom)]

mod batches;
mod by_index;
mod cancel;
mod cancellation;
mod claim;
mod close;
mod finish;
mod late_tickets;
mod next_batch;
mod order;
mod pool;
mod queues;
mod resume;
mod reuse;
mod sides;
mod sources;
mod space;
mod spawned;
mod streams;
mod wake;
mod workers;

use std::sync::Arc;

use loom_tests::{Token, Tokens};
use reorder_ring::{Batch, Busy, Ring, RingPool};

type Pool = RingPool<Token>;
type Lease = reorder_ring::Lease<Token>;

fn ring(capacity: usize) -> Arc<Ring<Token>> {
    Arc::new(Ring::with_capacity(capacity).unwrap())
}

/// Opens another batch on a used ring, and asserts that it delivers its own values only.
fn assert_usable(ring: &Arc<Ring<Token>>, tokens: &Tokens) {
    let batch = ring.open().expect("no thread is writing any more");
    assert_delivers(batch, ring, tokens);
}

/// Asserts that the batch delivers its own values only.
fn assert_delivers(mut batch: Batch<&Ring<Token>>, ring: &Ring<Token>, tokens: &Tokens) {
    for index in 0..2 {
        let ticket = batch.reserve().unwrap();
        ring.complete(ticket, tokens.make("own")).unwrap();
        let delivery = batch.try_next().unwrap();
        assert_eq!((delivery.index, delivery.outcome.unwrap().name), (index, "own"));
    }
}

/// Opens the ring as soon as no thread is writing.
fn open_when_possible(ring: &Ring<Token>) -> Batch<&Ring<Token>> {
    loop {
        match ring.open() {
            Ok(batch) => return batch,
            Err(Busy::Orphaned) => loom::thread::yield_now(),
            Err(busy) => panic!("{busy}"),
        }
    }
}
