//! A batch closes while another thread writes, and the ring opens again.

use std::sync::Arc;
use std::task::Context;

use loom::thread::{self, JoinHandle};
use loom_tests::{Token, Tokens, WakeCounter, explore};
use reorder_ring::Ring;

use super::{assert_delivers, assert_usable, open_when_possible, ring};

/// The operation of the late thread on its position.
#[derive(Clone, Copy)]
enum Late {
    Complete,
    /// The eviction of a `Waited` slot, which passes through `Evicting`.
    Evict,
}

/// Opens a batch with one position, and closes it while another thread completes or evicts that
/// position.
fn closed_around(
    late: Late,
    capacity: usize,
    tokens: &Tokens,
) -> (Arc<Ring<Token>>, JoinHandle<()>) {
    let ring = ring(capacity);
    let (mut producer, mut consumer) = ring.open_owned().unwrap().split();
    let ticket = producer.reserve().unwrap();
    if matches!(late, Late::Evict) {
        let (_, waker) = WakeCounter::new();
        assert!(consumer.poll_next(&mut Context::from_waker(&waker)).is_pending());
    }
    let (other, value) = (Arc::clone(&ring), tokens.make("late"));
    let late = thread::spawn(move || match late {
        Late::Complete => drop(other.complete(ticket, value)),
        Late::Evict => _ = other.evict(ticket),
    });
    drop((producer, consumer));
    (ring, late)
}

/// The late thread may be stopped before, within or after each of the next two batches.
fn reopened_twice(late: Late, capacity: usize) {
    let tokens = Tokens::default();
    let (ring, late) = closed_around(late, capacity, &tokens);
    for _ in 0..2 {
        assert_delivers(open_when_possible(&ring), &ring, &tokens);
    }
    late.join().unwrap();
    assert_usable(&ring, &tokens);
    drop(ring);
    tokens.assert_all_gone();
}

#[test]
fn close_with_a_value_in_mid_write() {
    explore("close_with_a_value_in_mid_write", None, 2000, || reopened_twice(Late::Complete, 1));
}

#[test]
fn close_with_a_value_in_mid_write_of_two() {
    explore("close_with_a_value_in_mid_write_of_two", None, 300, || {
        reopened_twice(Late::Complete, 2);
    });
}

#[test]
fn close_with_a_gap_in_mid_write() {
    explore("close_with_a_gap_in_mid_write", None, 15000, || reopened_twice(Late::Evict, 1));
}

/// The ring is opened right after the close, and again after the late thread has ended. By then the
/// orphan must be gone, whether the first open polled it or not.
fn polled_once(late: Late) {
    let tokens = Tokens::default();
    let (ring, late) = closed_around(late, 1, &tokens);
    drop(ring.open());
    late.join().unwrap();
    assert_usable(&ring, &tokens);
    drop(ring);
    tokens.assert_all_gone();
}

#[test]
fn orphaned_value_is_polled() {
    explore("orphaned_value_is_polled", None, 400, || polled_once(Late::Complete));
}

#[test]
fn orphaned_gap_is_polled() {
    explore("orphaned_gap_is_polled", None, 10000, || polled_once(Late::Evict));
}

/// Two threads open an orphaned ring at once. Only one of them polls the orphans, and at most one
/// batch is open at a time.
#[test]
fn opened_by_two() {
    explore("opened_by_two", Some(3), 8000, || {
        let tokens = Tokens::default();
        let (ring, late) = closed_around(Late::Complete, 1, &tokens);
        let opener = {
            let (ring, tokens) = (Arc::clone(&ring), tokens.clone());
            thread::spawn(move || {
                ring.open().map(|batch| assert_delivers(batch, &ring, &tokens)).is_ok()
            })
        };
        _ = ring.open().map(|batch| assert_delivers(batch, &ring, &tokens));
        opener.join().unwrap();
        late.join().unwrap();
        assert_usable(&ring, &tokens);
        drop(ring);
        tokens.assert_all_gone();
    });
}
