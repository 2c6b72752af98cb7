//! A thousand threads' worth of batches over one pool, and what is left of them.
//!
//! `REORDER_POOL_THREADS` sets another number of threads, for builds that are slow.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::thread;

use reorder_ring::RingPool;

use crate::traffic::{Plan, Traffic};

const THREADS: usize = if cfg!(miri) { 4 } else { 1000 };
const FREED_RINGS: u64 = if cfg!(miri) { 50 } else { 20_000 };
/// So low that rings are freed all the time.
const IDLE_LIMIT: usize = 1 << 20;

#[test]
fn batches_of_a_thousand_threads_keep_apart_and_leave_nothing() {
    Traffic::new(Plan::new(THREADS, IDLE_LIMIT)).run().assert_memory_is_bounded();
}

/// Tickets keep coming in for rings of one slot, the moment that these are freed. A value that got into
/// the next ring, in the same memory, would be delivered there.
#[test]
fn tickets_of_rings_that_are_just_being_freed_reach_no_other() {
    let pool = RingPool::<u128>::with_idle_limit(0);
    // All positions are 0, so that half of the bits are enough.
    let (posted, over) = (AtomicU64::new(0), AtomicBool::new(false));
    let met = AtomicU64::new(0);
    thread::scope(|scope| {
        let late = [0, 1].map(|_| {
            scope.spawn(|| {
                while !over.load(Relaxed) {
                    let bits = u128::from(posted.load(Relaxed)) << 64;
                    let Ok(ticket) = pool.ticket_from_bits(bits) else { continue };
                    let accepted = |_: &u32| pool.complete(ticket, bits).is_ok();
                    met.fetch_add((0..20).filter(accepted).count() as u64, Relaxed);
                }
            })
        });
        let owner = scope.spawn(|| {
            for _ in 0..FREED_RINGS {
                let lease = pool.lease(1).unwrap();
                let mut batch = lease.open().unwrap();
                let bits = batch.reserve().unwrap().to_bits();
                posted.store((bits >> 64) as u64, Relaxed);
                if let Ok(delivery) = batch.try_next() {
                    assert_eq!(delivery.outcome, Ok(bits));
                }
            }
        });
        let outcome = owner.join();
        over.store(true, Relaxed);
        late.into_iter().for_each(|thread| thread.join().unwrap());
        outcome.unwrap();
    });
    assert!(cfg!(miri) || met.load(Relaxed) > 0, "no ticket has met its ring");
}
