//! Rings that are leased, returned, and leased again. The models of `late_tickets` cover tickets
//! that find their rings by identity.

use std::mem;
use std::sync::Arc;

use loom::thread;
use loom_tests::{PlainFlag, Tokens, explore};

use super::{Lease, Pool, assert_delivers};

/// A ring is returned while another ring is idle. The thread that leases the returned ring next
/// sees the earlier writes of its last owner. This holds for its first attempt and for a later one.
///
/// The main thread returns the ring, because loom runs the main thread first. Otherwise loom would
/// not find the execution in which the first attempt comes late.
#[test]
fn ring_handed_on() {
    explore("ring_handed_on", None, 400, || {
        let pool = Pool::new();
        let (lease, idle) = (pool.lease(1).unwrap(), pool.lease(1).unwrap());
        let first = name(&lease);
        drop(idle);
        let flag = Arc::new(PlainFlag::default());
        let (done, leasing) = (Arc::clone(&flag), pool.clone());
        let leasing = thread::spawn(move || {
            let next = leasing.lease(1).unwrap();
            if name(&next) == first {
                assert!(done.is_set());
            }
        });
        flag.set();
        drop(lease);
        leasing.join().unwrap();
        drop(pool);
    });
}

/// Returns the address of a leased ring, which no other lease has at the same time.
fn name(lease: &Lease) -> usize {
    std::ptr::from_ref(&**lease).addr()
}

/// A thread is stopped while it pops the top ring of the free list. Meanwhile, another thread
/// leases the top ring and the ring below, and returns the first: the top is the same as before
/// (ABA).
#[test]
fn no_ring_is_leased_twice() {
    explore("no_ring_is_leased_twice", None, 800, || {
        let pool = Pool::new();
        let rings = [pool.lease(1).unwrap(), pool.lease(1).unwrap()];
        drop(rings);
        let leasing = {
            let pool = pool.clone();
            thread::spawn(move || pool.lease(1).unwrap())
        };
        let top = pool.lease(1).unwrap();
        let below = pool.lease(1).unwrap();
        drop(top);
        let leases = [below, leasing.join().unwrap(), pool.lease(1).unwrap()];
        let batches =
            leases.each_ref().map(|lease| lease.open().expect("each lease has its own ring"));
        drop(batches);
    });
}

/// Two threads use the first entries of a new table. Each of them may allocate their segment. A
/// ring that one thread made is leased to the other one, or both have a ring of their own.
#[test]
fn segment_allocated_by_two() {
    explore("segment_allocated_by_two", Some(3), 70, || {
        let (pool, tokens) = (Pool::new(), Tokens::default());
        let (leasing, its_tokens) = (pool.clone(), tokens.clone());
        let other = thread::spawn(move || {
            let lease = leasing.lease(1).unwrap();
            assert_delivers(lease.open().unwrap(), &lease, &its_tokens);
        });
        let lease = pool.lease(1).unwrap();
        assert_delivers(lease.open().unwrap(), &lease, &tokens);
        other.join().unwrap();
        drop(lease);
        assert!((1..=2).contains(&pool.usage().rings));
        drop(pool);
        tokens.assert_all_gone();
    });
}

/// The same, with the two interfering operations on different threads.
#[test]
fn no_ring_is_leased_twice_by_three() {
    explore("no_ring_is_leased_twice_by_three", Some(4), 10000, || {
        let pool = Pool::new();
        let rings = [pool.lease(1).unwrap(), pool.lease(1).unwrap()];
        drop(rings);
        let leasing = {
            let pool = pool.clone();
            thread::spawn(move || pool.lease(1).unwrap())
        };
        let passing = {
            let pool = pool.clone();
            thread::spawn(move || drop(pool.lease(1).unwrap()))
        };
        let first = pool.lease(1).unwrap();
        passing.join().unwrap();
        let leases = [first, leasing.join().unwrap(), pool.lease(1).unwrap()];
        let batches =
            leases.each_ref().map(|lease| lease.open().expect("each lease has its own ring"));
        drop(batches);
    });
}

/// Two handles of a lease are dropped at once. The thread that leases the ring next sees the
/// earlier writes of both owners.
#[test]
fn last_of_two_handles() {
    explore("last_of_two_handles", None, 3, || {
        let pool = Pool::new();
        let lease = pool.lease(1).unwrap();
        let first = name(&lease);
        let flag = Arc::new(PlainFlag::default());
        let (other, done) = (lease.clone(), Arc::clone(&flag));
        let ending = thread::spawn(move || {
            done.set();
            drop(other);
        });
        drop(lease);
        let next = pool.lease(1).unwrap();
        if name(&next) == first {
            assert!(flag.is_set());
        }
        ending.join().unwrap();
    });
}

/// A forgotten batch holds a value, and another handle of its lease is dropped last.
#[test]
fn forgotten_batch() {
    explore("forgotten_batch", None, 3, || {
        let (pool, tokens) = (Pool::new(), Tokens::default());
        let lease = pool.lease(1).unwrap();
        let (other, value) = (lease.clone(), tokens.make("forgotten"));
        let forgetting = thread::spawn(move || {
            let mut batch = other.open().unwrap();
            let ticket = batch.reserve().unwrap();
            other.complete(ticket, value).unwrap();
            mem::forget(batch);
        });
        drop(lease);
        let next = pool.lease(1).unwrap();
        assert_delivers(next.open().expect("the first batch of a lease"), &next, &tokens);
        forgetting.join().unwrap();
        drop((next, pool));
        tokens.assert_all_gone();
    });
}

/// A ring is leased as soon as it is returned. It must be counted as idle before.
#[test]
fn idle_bytes_never_wrap() {
    explore("idle_bytes_never_wrap", None, 16, || {
        let pool = Pool::new();
        let lease = pool.lease(1).unwrap();
        let other = pool.clone();
        let leasing = thread::spawn(move || {
            let lease = other.lease(1).unwrap();
            assert!(other.usage().idle_bytes < 1 << 20, "the count of idle bytes has wrapped");
            lease
        });
        drop(lease);
        drop((leasing.join().unwrap(), pool));
    });
}

/// Two leases end at once in a pool that keeps no idle ring: neither ring is kept.
#[test]
fn idle_limit_holds() {
    explore("idle_limit_holds", Some(1), 2000, || {
        let pool = Pool::with_idle_limit(0);
        let (lease, other) = (pool.lease(1).unwrap(), pool.lease(1).unwrap());
        let ending = thread::spawn(move || drop(other));
        drop(lease);
        ending.join().unwrap();
        let usage = pool.usage();
        assert_eq!((usage.rings, usage.idle_bytes), (0, 0));
        drop(pool);
    });
}
