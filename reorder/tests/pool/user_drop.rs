//! User code that runs while a lease ends: a `Drop` that panics, or that uses the pool itself.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use crate::drop_counter::DropCounter;
use crate::values::PanicsIfArmed;
use reorder_ring::{Lease, Reason, RingPool, Ticket};

fn panics(f: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(f)).is_err()
}

/// Opens a batch with a full window on the lease, and forgets it. The value at `armed` panics when
/// it is dropped.
fn forget_batch_with_panicking_drop(
    lease: &Lease<PanicsIfArmed>,
    armed: usize,
    counter: &DropCounter,
) -> Vec<Ticket> {
    let mut batch = lease.open().unwrap();
    let tickets: Vec<_> = batch.reserve_many(lease.capacity()).unwrap().collect();
    for (index, &ticket) in tickets.iter().enumerate() {
        lease.complete(ticket, PanicsIfArmed::new(index == armed, counter)).unwrap();
    }
    std::mem::forget(batch);
    tickets
}

#[test]
fn a_drop_that_panics_while_a_lease_ends_leaks_no_value_and_no_ring() {
    for capacity in [1, 2, 8] {
        for armed in 0..capacity {
            let (pool, counter) = (RingPool::new(), DropCounter::default());
            for _ in 0..2 {
                let lease = pool.lease(capacity).unwrap();
                assert_eq!(pool.usage().rings, 1, "the ring was lost");
                let tickets = forget_batch_with_panicking_drop(&lease, armed, &counter);
                assert!(panics(|| drop(lease)));
                assert_eq!(counter.alive(), 0);
                assert_ne!(pool.usage().idle_bytes, 0);
                for ticket in tickets {
                    let late = PanicsIfArmed::new(false, &counter);
                    assert_eq!(pool.complete(ticket, late).unwrap_err().reason, Reason::Stale);
                }
            }
            let lease = pool.lease(capacity).unwrap();
            let mut batch = lease.open().unwrap();
            let unarmed = PanicsIfArmed::new(false, &counter);
            pool.complete(batch.reserve().unwrap(), unarmed).unwrap();
            assert!(batch.try_next().is_ok());
            counter.assert_each_dropped_once();
        }
    }
}

#[test]
fn a_drop_that_panics_does_not_leak_the_pool() {
    let counter = DropCounter::default();
    let pool = RingPool::with_idle_limit(0);
    let lease = pool.lease(2).unwrap();
    forget_batch_with_panicking_drop(&lease, 1, &counter);
    drop(pool);
    // The last lease frees the pool and its rings. A leak detector would report them otherwise.
    assert!(panics(|| drop(lease)));
    counter.assert_each_dropped_once();
}

/// Uses the pool of its ring when it is dropped.
struct UsesPool {
    pool: RingPool<UsesPool>,
    own: Ticket,
    /// A ticket of an open batch on another ring of the pool. Without it, the drop does nothing.
    other: Option<Ticket>,
    drops: Arc<AtomicUsize>,
}

impl UsesPool {
    /// Returns a value whose drop does not use the pool, so that the recursion ends.
    fn silent(&self, own: Ticket) -> UsesPool {
        UsesPool { pool: self.pool.clone(), own, other: None, drops: Arc::clone(&self.drops) }
    }
}

impl Drop for UsesPool {
    fn drop(&mut self) {
        self.drops.fetch_add(1, Relaxed);
        let Some(other) = self.other else { return };
        // The ring of this value is being closed, so that each lease is of another ring.
        for capacity in [4, 2, 4] {
            let lease = self.pool.lease(capacity).unwrap();
            let mut batch = lease.open().unwrap();
            let ticket = batch.reserve().unwrap();
            assert!(self.pool.complete(ticket, self.silent(ticket)).is_ok());
            assert!(batch.try_next().is_ok());
        }
        let refused = self.pool.complete(self.own, self.silent(self.own)).unwrap_err();
        assert_eq!(refused.reason, Reason::Stale);
        // Only the first value that is dropped completes the other position.
        _ = self.pool.complete(other, self.silent(other));
        self.pool.trim(0);
        assert_ne!(self.pool.refusals().stale, 0);
    }
}

#[test]
fn a_drop_may_use_the_pool_while_a_batch_or_a_lease_ends() {
    let drops = Arc::new(AtomicUsize::new(0));
    for limit in [0, usize::MAX] {
        let pool = RingPool::with_idle_limit(limit);
        for forgotten in [false, true] {
            let outer = pool.lease(2).unwrap();
            let mut waiting = outer.open().unwrap();
            let other = Some(waiting.reserve().unwrap());
            let lease = pool.lease(4).unwrap();
            let mut batch = lease.open().unwrap();
            for own in batch.reserve_many(4).unwrap() {
                let value = UsesPool { pool: pool.clone(), own, other, drops: Arc::clone(&drops) };
                assert!(lease.complete(own, value).is_ok());
            }
            if forgotten {
                std::mem::forget(batch);
            } else {
                drop(batch);
            }
            drop(lease);
            assert!(waiting.try_next().is_ok(), "no drop completed the other position");
        }
    }
    // In each of 4 rounds, 4 values are dropped, and each of them makes 5 silent values.
    assert_eq!(drops.load(Relaxed), 4 * (4 + 4 * 5));
}
