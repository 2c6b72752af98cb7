//! User code that runs while a lease ends: a `Drop` that panics, or that uses the pool.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use crate::ledger::{Counted, Ledger};
use reorder_ring::{Lease, Reason, RingPool, Ticket};

/// Counted, and its drop panics if it is armed.
struct Bomb {
    armed: bool,
    _counted: Counted,
}

impl Drop for Bomb {
    fn drop(&mut self) {
        if self.armed {
            // As a panic, without the message on the terminal.
            resume_unwind(Box::new("armed"));
        }
    }
}

fn panics(f: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(f)).is_err()
}

/// A batch with a full window is forgotten on the lease; the value at `armed` panics when it goes.
fn forget_bombs(lease: &Lease<Bomb>, armed: usize, ledger: &Ledger) -> Vec<Ticket> {
    let mut batch = lease.open().unwrap();
    let tickets: Vec<_> = batch.reserve_many(lease.capacity()).unwrap().collect();
    for (index, &ticket) in tickets.iter().enumerate() {
        lease.complete(ticket, Bomb { armed: index == armed, _counted: ledger.value() }).unwrap();
    }
    std::mem::forget(batch);
    tickets
}

#[test]
fn a_drop_that_panics_while_a_lease_ends_panics_once_and_spares_nothing_else() {
    for capacity in [1, 2, 8] {
        for armed in 0..capacity {
            let (pool, ledger) = (RingPool::new(), Ledger::default());
            for _ in 0..2 {
                let lease = pool.lease(capacity).unwrap();
                assert_eq!(pool.usage().rings, 1, "the ring came back");
                let tickets = forget_bombs(&lease, armed, &ledger);
                assert!(panics(|| drop(lease)));
                assert_eq!(ledger.alive(), 0);
                assert_ne!(pool.usage().idle_bytes, 0);
                for ticket in tickets {
                    let late = Bomb { armed: false, _counted: ledger.value() };
                    assert_eq!(pool.complete(ticket, late).unwrap_err().reason, Reason::Stale);
                }
            }
            let lease = pool.lease(capacity).unwrap();
            let mut batch = lease.open().unwrap();
            let bomb = Bomb { armed: false, _counted: ledger.value() };
            pool.complete(batch.reserve().unwrap(), bomb).unwrap();
            assert!(batch.try_next().is_ok());
            ledger.assert_each_dropped_once();
        }
    }
}

#[test]
fn a_drop_that_panics_costs_no_count_of_the_pool() {
    let ledger = Ledger::default();
    let pool = RingPool::with_idle_limit(0);
    let lease = pool.lease(2).unwrap();
    forget_bombs(&lease, 1, &ledger);
    drop(pool);
    // The lease is the last that has the pool: its rings are freed on the way, which leak checkers see.
    assert!(panics(|| drop(lease)));
    ledger.assert_each_dropped_once();
}

/// Uses the pool that its ring is from when it is dropped.
struct User {
    pool: RingPool<User>,
    own: Ticket,
    /// A ticket of an open batch elsewhere in the pool.
    other: Option<Ticket>,
    drops: Arc<AtomicUsize>,
}

impl User {
    /// One that does nothing, so that this ends.
    fn silent(&self, own: Ticket) -> User {
        User { pool: self.pool.clone(), own, other: None, drops: Arc::clone(&self.drops) }
    }
}

impl Drop for User {
    fn drop(&mut self) {
        self.drops.fetch_add(1, Relaxed);
        let Some(other) = self.other else { return };
        // Its ring is being cleaned, so that a lease is another ring.
        for capacity in [4, 2, 4] {
            let lease = self.pool.lease(capacity).unwrap();
            let mut batch = lease.open().unwrap();
            let ticket = batch.reserve().unwrap();
            assert!(self.pool.complete(ticket, self.silent(ticket)).is_ok());
            assert!(batch.try_next().is_ok());
        }
        let refused = self.pool.complete(self.own, self.silent(self.own)).unwrap_err();
        assert_eq!(refused.reason, Reason::Stale);
        // The first to come completes it.
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
                let user = User { pool: pool.clone(), own, other, drops: Arc::clone(&drops) };
                assert!(lease.complete(own, user).is_ok());
            }
            if forgotten {
                std::mem::forget(batch);
            } else {
                drop(batch);
            }
            drop(lease);
            assert!(waiting.try_next().is_ok(), "completed by a drop");
        }
    }
    // Each of the 4 makes 5 silent ones, in 4 rounds.
    assert_eq!(drops.load(Relaxed), 4 * (4 + 4 * 5));
}
