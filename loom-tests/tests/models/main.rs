//! The ring and the executor, explored. One module per property; see `docs/ALGORITHM.md` for what each one shows.
//!
//! ```sh
//! RUSTFLAGS="--cfg reorder_loom --cfg crossbeam_loom" cargo test --release -p loom-tests -- --nocapture
//! ```
//!
//! A model joins its threads before it drops its ring: `Arc` is std's, and its order is invisible
//! to loom.
#![cfg(reorder_loom)]

mod batches;
mod cancel;
mod claim;
mod close;
mod finish;
mod late;
mod order;
mod pool;
mod reuse;
mod sides;
mod space;
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

/// One more batch on a used ring: it opens, nothing of an earlier batch is in it, and its own
/// value comes through.
fn assert_usable(ring: &Arc<Ring<Token>>, tokens: &Tokens) {
    let batch = ring.open().expect("nobody is in mid-write any more");
    assert_passes(batch, ring, tokens);
}

fn assert_passes(mut batch: Batch<&Ring<Token>>, ring: &Ring<Token>, tokens: &Tokens) {
    for index in 0..2 {
        let ticket = batch.reserve().unwrap();
        ring.complete(ticket, tokens.make("own")).unwrap();
        let delivery = batch.try_next().unwrap();
        assert_eq!((delivery.index, delivery.outcome.unwrap().name), (index, "own"));
    }
}

/// Opens the ring as soon as nobody is in mid-write.
fn open_when_possible(ring: &Ring<Token>) -> Batch<&Ring<Token>> {
    loop {
        match ring.open() {
            Ok(batch) => return batch,
            Err(Busy::Orphaned) => loom::thread::yield_now(),
            Err(busy) => panic!("{busy}"),
        }
    }
}
