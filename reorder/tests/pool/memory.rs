//! The memory that a pool keeps, and its release.

use std::thread;

use reorder_ring::{Lease, RingPool};

/// Returns the number of idle bytes for which the pool counts a ring of this capacity.
fn bytes<T>(capacity: usize) -> usize {
    let pool = RingPool::<T>::new();
    drop(pool.lease(capacity).unwrap());
    pool.usage().idle_bytes
}

fn leases<T>(pool: &RingPool<T>, capacity: usize, count: usize) -> Vec<Lease<T>> {
    (0..count).map(|_| pool.lease(capacity).unwrap()).collect()
}

#[test]
fn a_ring_counts_as_the_bytes_of_its_slots_and_a_small_rest() {
    for (slots, capacity) in [(16, 1), (16 * 4096, 4096)] {
        let (least, most) = (slots, slots + 1000);
        assert!((least..most).contains(&bytes::<u64>(capacity)));
    }
    assert_eq!(bytes::<[u8; 4096]>(64) - bytes::<[u8; 4096]>(32), 32 * (4096 + 8));
}

#[test]
fn trim_frees_idle_rings_down_to_the_given_bytes() {
    let pool = RingPool::<u64>::new();
    let one = bytes::<u64>(16);
    let leased = pool.lease(16).unwrap();
    drop(leases(&pool, 16, 10));
    for (most, left) in
        [(usize::MAX, 10), (10 * one, 10), (10 * one - 1, 9), (5 * one + 1, 5), (1, 0), (0, 0)]
    {
        pool.trim(most);
        assert_eq!((pool.usage().idle_bytes, pool.usage().rings), (left * one, left + 1));
    }
    assert!(leased.open().is_ok(), "a leased ring was trimmed");
}

#[test]
fn the_largest_rings_are_trimmed_first() {
    let pool = RingPool::<u64>::new();
    let kept = [leases(&pool, 4, 3), leases(&pool, 1024, 3)].concat();
    drop(kept);
    pool.trim(3 * bytes::<u64>(4));
    assert_eq!(pool.usage().rings, 3);
    drop(leases(&pool, 4, 3));
    assert_eq!(pool.usage().rings, 3, "a small ring was trimmed");
}

#[test]
fn rings_of_one_size_stay_within_the_limit() {
    let one = bytes::<u64>(64);
    for limit in [0, 1, one - 1, one, 3 * one, 3 * one + 1] {
        let pool = RingPool::<u64>::with_idle_limit(limit);
        for count in [1, 2, 8, 3] {
            drop(leases(&pool, 64, count));
            assert!(pool.usage().idle_bytes <= limit);
        }
        assert_eq!(pool.usage().rings, limit / one, "the limit is not used");
    }
}

#[test]
fn rings_of_mixed_sizes_stay_within_the_limit() {
    let small = bytes::<u64>(1);
    for limit in [0, 3 * small, 20 * small, bytes::<u64>(1024), 2 * bytes::<u64>(4096)] {
        let pool = RingPool::<u64>::with_idle_limit(limit);
        drop(leases(&pool, 1, 40));
        // A few rings at a time: all rings of a step are leased together and return one by one.
        for (capacity, count) in [(4096, 1), (16, 5), (1024, 8), (1, 3), (4096, 4), (256, 2)] {
            for lease in leases(&pool, capacity, count) {
                drop(lease);
                let idle = pool.usage().idle_bytes;
                assert!(idle <= limit, "{idle} of {limit} bytes after a ring of {capacity}");
            }
        }
    }
}

/// The idle memory is full of rings of a size that is no longer used. They make way for rings of
/// the size that is used.
#[test]
fn rings_of_a_used_size_displace_rings_of_unused_sizes() {
    let (small, large) = (bytes::<u64>(16), bytes::<u64>(256));
    let limit = 20 * small;
    assert!(large < limit);
    let pool = RingPool::<u64>::with_idle_limit(limit);
    drop(leases(&pool, 16, 20));
    assert_eq!(pool.usage().rings, 20);
    for _ in 0..20 {
        drop(pool.lease(256).unwrap());
    }
    let rings = pool.usage().rings;
    drop(pool.lease(256).unwrap());
    assert_eq!(pool.usage().rings, rings, "the large ring is not kept");
    assert!(rings < 20, "{rings} rings");
    // The large ring displaced no more rings than necessary.
    assert!(pool.usage().idle_bytes > limit - large, "{:?}", pool.usage());
}

/// The return of a ring does a bounded amount of work: it frees at most two rings of other sizes,
/// and then the returned ring itself.
#[test]
fn the_return_of_a_large_ring_frees_few_small_rings() {
    let pool = RingPool::<u64>::with_idle_limit(bytes::<u64>(1024));
    let small = bytes::<u64>(1024) / bytes::<u64>(16);
    drop(leases(&pool, 16, small));
    assert_eq!(pool.usage().rings, small);
    drop(pool.lease(1024).unwrap());
    assert_eq!(pool.usage().rings, small - 2);
}

#[test]
fn the_next_trims_free_deferred_rings() {
    let pool = RingPool::<u64>::with_idle_limit(0);
    drop(leases(&pool, 256, 10));
    assert_eq!(pool.usage().rings, 0);
    // Other tests of this process may be within a call, and defer memory, too.
    while pool.usage().deferred_bytes != 0 {
        pool.trim(0);
        thread::yield_now();
    }
}

#[test]
fn a_pool_never_has_more_rings_than_were_leased_at_once() {
    let pool = RingPool::<u64>::new();
    thread::scope(|scope| {
        for worker in 0..8 {
            let pool = &pool;
            scope.spawn(move || {
                for round in 0..if cfg!(miri) { 5 } else { 200 } {
                    let leases = leases(pool, 8, 1 + (worker + round) % 3);
                    assert!(leases.iter().all(|lease| lease.open().is_ok()));
                }
            });
        }
    });
    let rings = pool.usage().rings;
    assert!((3..=8 * 3).contains(&rings), "{rings} rings");
    assert_eq!(pool.usage().idle_bytes, rings * bytes::<u64>(8));
}
