//! Rings that are leased, given back, and leased again. The models of `late` are about tickets that
//! find their rings by name.

use std::mem;
use std::sync::Arc;

use loom::thread;
use loom_tests::{Tokens, Witness, explore};

use super::{Lease, Pool, assert_passes};

/// One ring comes back while another one is idle. Whoever leases it next, by its first look or
/// after a failed attempt, knows what was done with it.
///
/// The thread that gives it back is the main one, since loom begins with that: it does not find the
/// execution in which a first look comes late if the first one that it tries has it early.
#[test]
fn ring_handed_on() {
    explore("ring_handed_on", None, 400, || {
        let pool = Pool::new();
        let (lease, idle) = (pool.lease(1).unwrap(), pool.lease(1).unwrap());
        let first = name(&lease);
        drop(idle);
        let witness = Arc::new(Witness::default());
        let (done, leasing) = (Arc::clone(&witness), pool.clone());
        let leasing = thread::spawn(move || {
            let next = leasing.lease(1).unwrap();
            if name(&next) == first {
                assert!(done.is_seen());
            }
        });
        witness.testify();
        drop(lease);
        leasing.join().unwrap();
        drop(pool);
    });
}

/// The address of a leased ring: no two leases have the same at a time.
fn name(lease: &Lease) -> usize {
    std::ptr::from_ref(&**lease).addr()
}

/// A thread is stopped while it takes a ring from the top. Others take that one and the one below,
/// and give the first back: the stack looks as before.
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
        let batches = leases.each_ref().map(|lease| lease.open().expect("a lease is one's own"));
        drop(batches);
    });
}

/// The same with the two who disturb it on threads of their own.
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
        let batches = leases.each_ref().map(|lease| lease.open().expect("a lease is one's own"));
        drop(batches);
    });
}

/// Two handles of a lease go at once. Whoever leases the ring next knows what was done with either.
#[test]
fn last_of_two_handles() {
    explore("last_of_two_handles", None, 3, || {
        let pool = Pool::new();
        let lease = pool.lease(1).unwrap();
        let first = name(&lease);
        let witness = Arc::new(Witness::default());
        let (other, done) = (lease.clone(), Arc::clone(&witness));
        let ending = thread::spawn(move || {
            done.testify();
            drop(other);
        });
        drop(lease);
        let next = pool.lease(1).unwrap();
        if name(&next) == first {
            assert!(witness.is_seen());
        }
        ending.join().unwrap();
    });
}

/// A batch whose handles were forgotten holds a value, and another handle of the lease is the last.
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
        assert_passes(next.open().expect("the first batch of a lease"), &next, &tokens);
        forgetting.join().unwrap();
        drop((next, pool));
        tokens.assert_all_gone();
    });
}

/// A ring is taken as soon as it comes back: it was counted as idle before.
#[test]
fn idle_bytes_never_wrap() {
    explore("idle_bytes_never_wrap", None, 16, || {
        let pool = Pool::new();
        let lease = pool.lease(1).unwrap();
        let other = pool.clone();
        let leasing = thread::spawn(move || {
            let lease = other.lease(1).unwrap();
            assert!(other.usage().idle_bytes < 1 << 20, "more than one small ring");
            lease
        });
        drop(lease);
        drop((leasing.join().unwrap(), pool));
    });
}

/// Two leases end at once in a pool that keeps no idle ring: whoever frees which, none is kept.
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
