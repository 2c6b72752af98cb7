//! The batches of a thousand threads over one pool, and the memory that they leave.
//!
//! `REORDER_POOL_THREADS` sets the number of threads, for slow builds.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::thread;
use std::time::{Duration, Instant};

use reorder_ring::RingPool;

use crate::traffic::{Plan, Traffic};

const THREADS: usize = if cfg!(miri) { 4 } else { 1000 };
const FREED_RINGS: u64 = if cfg!(miri) { 50 } else { 20_000 };
/// The limit is so low that rings are freed all the time.
const IDLE_LIMIT: usize = 1 << 20;

#[test]
fn batches_of_a_thousand_threads_stay_isolated_and_leave_nothing() {
    Traffic::new(Plan::new(THREADS, IDLE_LIMIT)).run().assert_memory_is_bounded();
}

/// Late threads use tickets of rings of one slot while these rings are freed. A value that reached
/// the next ring in the same memory would be delivered there.
#[test]
fn tickets_of_rings_that_are_being_freed_reach_no_other_ring() {
    let pool = RingPool::<u128>::with_idle_limit(0);
    // All positions are 0, so that the upper half of the bits is enough.
    let (posted, over) = (AtomicU64::new(0), AtomicBool::new(false));
    let accepted_count = AtomicU64::new(0);
    thread::scope(|scope| {
        let late = [0, 1].map(|_| {
            scope.spawn(|| {
                while !over.load(Relaxed) {
                    let bits = u128::from(posted.load(Relaxed)) << 64;
                    let Ok(ticket) = pool.ticket_from_bits(bits) else { continue };
                    let accepted = |_: &u32| pool.complete(ticket, bits).is_ok();
                    accepted_count.fetch_add((0..20).filter(accepted).count() as u64, Relaxed);
                }
            })
        });
        let owner = scope.spawn(|| {
            let start = Instant::now();
            // On a busy machine, the late threads may not run for as long as this takes.
            let none_came = || accepted_count.load(Relaxed) == 0 && !cfg!(miri);
            let mut freed = 0;
            while freed < FREED_RINGS || none_came() && start.elapsed() < Duration::from_secs(60) {
                freed += 1;
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
    assert!(cfg!(miri) || accepted_count.load(Relaxed) > 0, "no ticket has reached its ring");
}
