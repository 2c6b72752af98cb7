//! A million batches on the same few slots, with tickets that come late, twice, swapped and from
//! other rings.
//!
//! One owner opens batch after batch. Two workers read its positions from shared words, by relaxed
//! loads. They complete or evict these positions at once, repeatedly, or many batches later.
//!
//! Every value carries the name of the position that it is for. Every refusal is compared with the
//! state of that position. At the end, every value has been delivered, returned or dropped by the
//! ring exactly once.
//!
//! `REORDER_STRESS_BATCHES` sets the number of batches, for slow builds.

mod named_value;
mod owner;
mod test_thread;

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::thread;

use named_value::{DropCounts, NamedValue};
use reorder_ring::{Reason, Ring, Ticket};
use test_thread::TestThread;

const BATCHES: u64 = if cfg!(miri) { 40 } else { 1_000_000 };
const WORKERS: u64 = 2;
/// The capacity of each ring, and the divisor of its number of batches.
const RINGS: [(usize, u64); 4] = [(1, 8), (2, 8), (4, 1), (8, 8)];

#[test]
fn a_late_completion_never_reaches_a_later_batch() {
    let batches = std::env::var("REORDER_STRESS_BATCHES").ok();
    let batches = batches.map_or(BATCHES, |text| text.parse().expect("a number of batches"));
    let mut answers = Answers::default();
    for (capacity, divisor) in RINGS {
        answers.add(&run(capacity, batches / divisor));
    }
    // A short run may miss some of the answers.
    if batches >= 1_000_000 {
        answers.assert_all();
    }
}

/// Runs the batches, and returns the answers that the workers got.
fn run(capacity: usize, batches: u64) -> Answers {
    let drops = DropCounts::default();
    let (ring, other) = (Ring::with_capacity(capacity), Ring::with_capacity(capacity));
    let (ring, other) = (ring.unwrap(), other.unwrap());
    let mut other_batch = other.open().unwrap();
    let foreign: Vec<_> = other_batch.reserve_many(capacity).unwrap().collect();
    let shared = Shared {
        identity: identity(&ring),
        ring: &ring,
        other: &other,
        foreign: &foreign,
        drops: &drops,
        live: Default::default(),
        opened: AtomicU64::new(0),
        taking: AtomicU64::new(0),
        closing: AtomicU64::new(0),
        over: AtomicBool::new(false),
    };
    let mut owner = Answers::default();
    let mut workers = Answers::default();
    thread::scope(|scope| {
        let shared = &shared;
        let threads: Vec<_> = (1..=WORKERS)
            .map(|seed| scope.spawn(move || TestThread::new(shared, seed).work()))
            .collect();
        // Set also when the owner panics: the workers would not end otherwise.
        let over = SetOnDrop(&shared.over);
        owner = TestThread::new(shared, WORKERS + 1).own(batches);
        drop(over);
        threads.into_iter().for_each(|thread| workers.add(&thread.join().unwrap()));
    });
    drop(ring);
    // The other ring has accepted no value.
    assert!(foreign.iter().all(|&ticket| other.evict(ticket).is_ok()));
    drop(other_batch);

    let accepted = owner.accepted + workers.accepted;
    let refused = owner.refused() + workers.refused();
    let (retrieved, reclaimed) = drops.counts();
    assert_eq!(retrieved, owner.delivered + refused, "values delivered or returned");
    assert_eq!(reclaimed, accepted - owner.delivered, "values dropped by the ring");
    workers
}

/// Returns the bits that all tickets of this ring have in common.
fn identity<T>(ring: &Ring<T>) -> u128 {
    let mut batch = ring.open().unwrap();
    batch.reserve().unwrap().to_bits() >> 64 << 64
}

/// The state that all threads of a run share.
struct Shared<'s, 'd> {
    identity: u128,
    ring: &'s Ring<NamedValue<'d>>,
    /// A second ring with an open batch.
    other: &'s Ring<NamedValue<'d>>,
    /// The tickets of the second ring.
    foreign: &'s [Ticket],
    drops: &'d DropCounts,
    /// The names of the latest positions, in no order.
    live: [AtomicU64; 16],
    /// The last batch that was opened. All batches before it are closed.
    opened: AtomicU64,
    /// The last batch that has begun to close.
    closing: AtomicU64,
    /// One past the last position whose delivery has begun.
    taking: AtomicU64,
    over: AtomicBool,
}

struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// The number of times that a thread got each answer.
#[derive(Debug, Default)]
struct Answers {
    accepted: u64,
    delivered: u64,
    /// The refusals, by reason.
    refused: [u64; 7],
}

impl Answers {
    fn refused(&self) -> u64 {
        self.refused.iter().sum()
    }

    fn add(&mut self, other: &Answers) {
        self.accepted += other.accepted;
        self.delivered += other.delivered;
        for (sum, more) in self.refused.iter_mut().zip(other.refused) {
            *sum += more;
        }
    }

    /// Asserts that each answer came at least once. Otherwise the run has tested too little.
    fn assert_all(&self) {
        assert!(self.accepted > 0, "nothing was accepted");
        use Reason::{Abandoned, Duplicate, Evicted, Foreign, Settled, Stale};
        for reason in [Foreign, Stale, Duplicate, Evicted, Abandoned, Settled] {
            assert!(self.refused[reason as usize] > 0, "nothing was refused as {reason:?}");
        }
    }
}
