//! Tests of the parts of the pool.

mod stopped;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Wake, Waker};
use std::time::Duration;
use std::vec::Vec;

use super::inventory::Inventory;
use super::reclaim;
use super::{Lease, RingPool};
use crate::errors::{CapacityError, Reason, ReserveError};
use crate::primitive::epoch;
use crate::ring::identity;

/// Excludes other tests that retire rings or call a pool with a ticket, which delays all freeing.
/// The bytes that wait to be freed are counted for the whole process.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns a pool whose rings start with this position.
fn late_pool(first: u64) -> RingPool<u8> {
    RingPool { inventory: Arc::new(Inventory::new(RingPool::<u8>::IDLE_LIMIT as u64, first)) }
}

#[test]
fn an_identity_leads_to_its_entry() {
    for entry in [0, 1, 31, 32, 1000, u16::MAX] {
        let id = identity::new(entry).unwrap();
        assert_eq!(identity::entry(id), entry);
    }
}

#[test]
fn a_ring_with_half_its_positions_used_is_not_leased_again() {
    let _alone = alone();
    let half = ((1 << 61) - 4) / 2;
    let pool = late_pool(half);
    let id = |lease: &Lease<u8>| lease.id();
    let lease = pool.lease(4).unwrap();
    let first = id(&lease);
    drop(lease);

    // Exactly half is not more than half.
    let lease = pool.lease(4).unwrap();
    assert_eq!(id(&lease), first);
    let mut batch = lease.open().unwrap();
    let ticket = batch.reserve().unwrap();
    drop(batch);
    drop(lease);

    let lease = pool.lease(4).unwrap();
    assert_ne!(id(&lease), first);
    assert_eq!(pool.usage().rings, 1, "the first ring was freed");
    assert_eq!(pool.complete(ticket, 1).unwrap_err().reason, Reason::Foreign);
}

/// A capacity whose ring of `u64` is larger than the bytes that may wait to be freed.
const LARGE: usize = reclaim::DEFERRED_LIMIT as usize / 8;

#[test]
fn large_rings_stay_within_the_limit() {
    let _alone = alone();
    for limit in [0, 40 * LARGE] {
        let pool = RingPool::<u64>::with_idle_limit(limit);
        for count in [1, 2, 5, 3] {
            drop((0..count).map(|_| pool.lease(LARGE).unwrap()).collect::<Vec<_>>());
            assert!(pool.usage().idle_bytes <= limit, "{:?}", pool.usage());
        }
        // Each takes 16 bytes per slot, and a little more.
        assert_eq!(pool.usage().rings, limit / (17 * LARGE));
    }
}

#[test]
fn one_trim_frees_all_large_rings() {
    let _alone = alone();
    let pool = RingPool::<u64>::with_idle_limit(usize::MAX);
    drop([LARGE; 5].map(|capacity| pool.lease(capacity).unwrap()));
    assert_eq!(pool.usage().rings, 5);
    pool.trim(0);
    let usage = pool.usage();
    assert_eq!((usage.rings, usage.idle_bytes, usage.deferred_bytes), (0, 0, 0));
}

#[test]
fn a_ring_above_the_limit_is_freed_when_it_is_retired() {
    let _alone = alone();
    let pool = RingPool::<u64>::with_idle_limit(0);
    let is_freed = || {
        drop(pool.lease(LARGE).unwrap());
        reclaim::deferred() == 0
    };
    // A thread of another test may be within a call, and delay the freeing.
    assert!((0..100).any(|_| is_freed()));
}

/// The guard stands for a thread that is stopped within a call.
#[test]
fn a_return_frees_what_a_pinned_thread_has_delayed() {
    let _alone = alone();
    let pool = RingPool::<[u8; 4096]>::with_idle_limit(0);
    let guard = reclaim::pin();
    // Returned rings wait to be freed, up to the limit. Then they are kept.
    while pool.usage().idle_bytes == 0 {
        drop(pool.lease(64).unwrap());
    }
    drop(guard);
    let is_freed = || {
        drop(pool.lease(64).unwrap());
        pool.usage().idle_bytes == 0
    };
    // A thread of another test may be within a call, and delay the freeing.
    assert!((0..10_000).any(|_| is_freed()), "{:?}", pool.usage());
}

#[test]
fn a_pool_that_is_dropped_leaves_nothing_to_be_freed() {
    let _alone = alone();
    for capacity in [16, LARGE] {
        let pool = RingPool::<u64>::with_idle_limit(0);
        let (first, last) = (pool.lease(capacity).unwrap(), pool.lease(capacity).unwrap());
        drop(first);
        drop(pool);
        // The lease keeps the pool.
        drop(last);
        assert_eq!(reclaim::deferred(), 0, "capacity {capacity}");
    }
}

#[test]
fn the_last_positions_of_a_leased_ring_can_be_used() {
    let _alone = alone();
    let pool = late_pool((1 << 61) - 2);
    let lease = pool.lease(1).unwrap();
    let mut batch = lease.open().unwrap();
    let last = batch.reserve().unwrap();
    pool.complete(last, 1).unwrap();
    assert_eq!(batch.try_next().unwrap().outcome, Ok(1));
    assert_eq!(batch.reserve(), Err(ReserveError::Exhausted));
}

#[test]
#[cfg_attr(miri, ignore = "tens of thousands of rings take too long")]
fn every_entry_can_have_a_ring_and_no_more() {
    let _alone = alone();
    let pool = RingPool::<()>::new();
    let mut leases = Vec::new();
    let error = loop {
        match pool.lease(1) {
            Ok(lease) => leases.push(lease),
            Err(error) => break error,
        }
    };
    assert_eq!(error, CapacityError::TooManyRings { largest: leases.len() });
    assert_eq!(leases.len(), 65_504);

    // Each ring is found by its identity.
    for lease in &leases {
        let ticket = lease.open().unwrap().reserve().unwrap();
        assert_eq!(pool.ticket_from_bits(ticket.to_bits()), Ok(ticket));
    }
    leases.pop();
    assert!(pool.lease(1).is_ok(), "an entry is unused again");
}

#[test]
fn an_entry_is_unused_again_after_its_ring_was_retired_or_refused() {
    let _alone = alone();
    let pool = RingPool::<u64>::with_idle_limit(0);
    let entry = || identity::entry(pool.lease(1).unwrap().id());
    assert_eq!((entry(), entry()), (0, 0), "the ring was retired when its lease ended");
    if cfg!(all(target_pointer_width = "64", not(miri))) {
        let refused = pool.lease(1 << 58).unwrap_err();
        assert!(matches!(refused, CapacityError::OutOfMemory { .. }), "{refused}");
        assert_eq!(entry(), 0);
    }
}

/// Notes whether its thread is pinned when it is called.
#[derive(Default)]
struct NotesPins(Mutex<Vec<bool>>);

impl Wake for NotesPins {
    fn wake(self: Arc<Self>) {
        let is_pinned = epoch::with_handle(|handle| handle.is_pinned());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(is_pinned);
    }
}

/// A waker is user code, and may take any time. Meanwhile, a pinned thread would delay all freeing.
#[test]
fn a_late_completion_and_eviction_wake_after_the_pin() {
    let _alone = alone();
    let (pool, notes) = (RingPool::new(), Arc::new(NotesPins::default()));
    let waker = Waker::from(Arc::clone(&notes));
    for evicts in [false, true] {
        let (mut producer, mut consumer) = pool.lease(1).unwrap().open_owned().unwrap().split();
        let ticket = producer.reserve().unwrap();
        assert!(consumer.poll_next(&mut Context::from_waker(&waker)).is_pending());
        match evicts {
            false => pool.complete(ticket, 7).unwrap(),
            true => pool.evict(ticket).unwrap(),
        }
    }
    assert_eq!(*notes.0.lock().unwrap(), [false, false]);
    let guard = reclaim::pin();
    waker.wake();
    drop(guard);
    assert_eq!(*notes.0.lock().unwrap(), [false, false, true], "the waker notices a pin");
}

/// The guard stands for a thread that is stopped within a call.
#[test]
fn a_pinned_thread_bounds_what_waits_to_be_freed() {
    let _alone = alone();
    let pool = RingPool::<[u8; 4096]>::with_idle_limit(0);
    let guard = reclaim::pin();
    let mut most = 0;
    for round in 0..if cfg!(miri) { 100 } else { 1000 } {
        // There are two capacities, so a returned ring displaces rings of the other one.
        let leases = [pool.lease(16).unwrap(), pool.lease(32 << (round % 3)).unwrap()];
        drop(leases);
        let usage = pool.usage();
        most = most.max(usage.idle_bytes + usage.deferred_bytes);
    }
    // Without a limit, the rings of 64 KiB and more would take 200 MB.
    let limit = reclaim::DEFERRED_LIMIT as usize + 4 * 140 * 4096;
    assert!(most <= limit, "{most} bytes, but at most {limit} are allowed");
    assert!(pool.usage().rings > 0, "rings are kept while freeing is delayed");
    assert!(
        pool.usage().deferred_bytes > reclaim::DEFERRED_LIMIT as usize / 2,
        "rings wait to be freed, up to the limit"
    );

    // `trim` does not wait for delayed rings.
    pool.trim(0);
    assert!(pool.usage().deferred_bytes > 0);

    drop(guard);
    // A thread of another test may be within a call, and delay the freeing.
    let is_empty = || {
        pool.trim(0);
        std::thread::sleep(Duration::from_millis(1));
        pool.usage().rings == 0 && pool.usage().deferred_bytes == 0
    };
    assert!((0..10_000).any(|_| is_empty()), "{:?}", pool.usage());
}
