//! A batch closes while somebody is in mid-write, and the ring opens again.

use std::sync::Arc;
use std::task::Context;

use loom::thread::{self, JoinHandle};
use loom_tests::{Token, Tokens, Wakes, explore};
use reorder_ring::Ring;

use super::{assert_passes, assert_usable, open_when_possible, ring};

/// What the late thread does with its position.
#[derive(Clone, Copy)]
enum Late {
    Complete,
    /// Of a slot that is waited for, so that it goes by way of `Writing`.
    Evict,
}

/// A batch with one position, which another thread settles while the batch closes.
fn closed_around(
    late: Late,
    capacity: usize,
    tokens: &Tokens,
) -> (Arc<Ring<Token>>, JoinHandle<()>) {
    let ring = ring(capacity);
    let (mut producer, mut consumer) = ring.open_owned().unwrap().split();
    let ticket = producer.reserve().unwrap();
    if matches!(late, Late::Evict) {
        let (_, waker) = Wakes::new();
        assert!(consumer.poll_next(&mut Context::from_waker(&waker)).is_pending());
    }
    let (settling, value) = (Arc::clone(&ring), tokens.make("late"));
    let late = thread::spawn(move || match late {
        Late::Complete => drop(settling.complete(ticket, value)),
        Late::Evict => _ = settling.evict(ticket),
    });
    drop((producer, consumer));
    (ring, late)
}

/// The late one may be stopped before, within or after each of the two batches that follow.
fn reopened_twice(late: Late, capacity: usize) {
    let tokens = Tokens::default();
    let (ring, late) = closed_around(late, capacity, &tokens);
    for _ in 0..2 {
        assert_passes(open_when_possible(&ring), &ring, &tokens);
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

/// The ring is opened once right after the close, and again only after the late one has ended:
/// what it left must be gone by then, whether that one open has met it or not.
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

/// Two threads open an orphaned ring at once: one of them polls, and nobody gets it twice.
#[test]
fn opened_by_two() {
    explore("opened_by_two", Some(3), 8000, || {
        let tokens = Tokens::default();
        let (ring, late) = closed_around(Late::Complete, 1, &tokens);
        let opener = {
            let (ring, tokens) = (Arc::clone(&ring), tokens.clone());
            thread::spawn(move || {
                ring.open().map(|batch| assert_passes(batch, &ring, &tokens)).is_ok()
            })
        };
        _ = ring.open().map(|batch| assert_passes(batch, &ring, &tokens));
        opener.join().unwrap();
        late.join().unwrap();
        assert_usable(&ring, &tokens);
        drop(ring);
        tokens.assert_all_gone();
    });
}
