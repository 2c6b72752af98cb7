//! A process forks. The rings that parent and child make afterwards have different identities.
#![cfg(all(target_os = "linux", feature = "pool", not(miri)))]

use std::collections::HashSet;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{FromRawFd, OwnedFd};

use reorder_ring::{Ring, RingPool, Ticket};

const RINGS: usize = 100;

/// Runs `f` in a child process, and returns what it returned.
fn in_child(f: impl FnOnce() -> Vec<u128>) -> Vec<u128> {
    let mut ends = [0; 2];
    // SAFETY: `ends` has room for two descriptors.
    assert_eq!(unsafe { libc::pipe(ends.as_mut_ptr()) }, 0);
    // SAFETY: the call opened them, and no other owner knows them.
    let [mut reader, mut writer] = ends.map(|end| File::from(unsafe { OwnedFd::from_raw_fd(end) }));
    // SAFETY: the child calls the allocator, which the C library prepares for a fork, and ends
    // without the destructors of this process.
    match unsafe { libc::fork() } {
        0 => {
            let bytes: Vec<u8> = f().into_iter().flat_map(u128::to_ne_bytes).collect();
            let written = writer.write_all(&bytes);
            // SAFETY: it ends the child.
            unsafe { libc::_exit(i32::from(written.is_err())) }
        }
        child => {
            assert!(child > 0, "fork failed");
            drop(writer);
            let mut bytes = Vec::new();
            reader.read_to_end(&mut bytes).unwrap();
            let mut status = 0;
            // SAFETY: `status` is a place for the status of the child.
            assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
            assert_eq!(status, 0, "the child failed");
            bytes
                .chunks_exact(16)
                .map(|bits| u128::from_ne_bytes(bits.try_into().unwrap()))
                .collect()
        }
    }
}

/// Makes rings, and returns the bits of a ticket of each.
fn bits_of_rings() -> Vec<u128> {
    let rings: Vec<_> = (0..RINGS).map(|_| Ring::<u8>::with_capacity(1).unwrap()).collect();
    rings.iter().map(|ring| ring.open().unwrap().reserve().unwrap().to_bits()).collect()
}

#[test]
fn rings_of_parent_and_children_have_different_identities() {
    let before = bits_of_rings();
    let children = [in_child(bits_of_rings), in_child(bits_of_rings)];
    let grandchild = in_child(|| in_child(bits_of_rings));
    let after = bits_of_rings();
    let all = [&before, &children[0], &children[1], &grandchild, &after];
    let different: HashSet<_> = all.into_iter().flatten().collect();
    assert_eq!(different.len(), 5 * RINGS);
}

/// The child finds the rings of a pool that it inherited, and the rings that it adds to the pool.
#[test]
fn an_inherited_pool_finds_its_rings() {
    let pool = RingPool::<u8>::new();
    let inherited = pool.lease(2).unwrap();
    let mut batch = inherited.open().unwrap();
    let complete_late = |pool: &RingPool<u8>, ticket: Ticket| {
        let ticket = pool.ticket_from_bits(ticket.to_bits()).unwrap();
        pool.complete(ticket, 7).unwrap();
    };
    let ticket = batch.reserve().unwrap();
    let bits = in_child(|| {
        complete_late(&pool, ticket);
        assert_eq!(batch.try_next().unwrap().outcome, Ok(7));
        let added = pool.lease(2).unwrap();
        let mut own = added.open().unwrap();
        let ticket = own.reserve().unwrap();
        complete_late(&pool, ticket);
        assert_eq!(own.try_next().unwrap().outcome, Ok(7));
        vec![ticket.to_bits()]
    });
    complete_late(&pool, ticket);
    assert_eq!(batch.try_next().unwrap().outcome, Ok(7));
    let added = pool.lease(2).unwrap();
    let _reserved = added.open().unwrap().reserve().unwrap();
    assert!(pool.ticket_from_bits(bits[0]).is_err(), "a ring of the child's pool");
}
