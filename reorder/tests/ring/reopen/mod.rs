//! A million batches on the same few slots, while tickets come late, twice, swapped and from
//! elsewhere.
//!
//! One owner opens batch after batch. Two workers pick its tickets up from shared words, by relaxed
//! loads, and complete or evict them at once, again, or many batches later. Every value carries the
//! name of the position that it is for; every refusal is compared with what is known about that
//! position; in the end every value was delivered, returned or dropped by the ring, once.
//!
//! `REORDER_STRESS_BATCHES` sets another number of batches, for builds that are slow.

mod actor;
mod owner;
mod stamped;

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::thread;

use actor::Actor;
use reorder_ring::{Reason, Ring, Ticket};
use stamped::{Drops, Stamped};

const BATCHES: u64 = if cfg!(miri) { 40 } else { 1_000_000 };
const WORKERS: u64 = 2;
/// The capacity of each ring, and which part of the batches it sees.
const RINGS: [(usize, u64); 4] = [(1, 8), (2, 8), (4, 1), (8, 8)];

#[test]
fn a_late_completion_never_lands_in_a_later_batch() {
    let told = std::env::var("REORDER_STRESS_BATCHES").ok();
    let batches = told.map_or(BATCHES, |batches| batches.parse().expect("a number of batches"));
    let mut met = Answers::default();
    for (capacity, part) in RINGS {
        met.add(&run(capacity, batches / part));
    }
    // A short run may miss some of them.
    if batches >= 1_000_000 {
        met.assert_all();
    }
}

/// Returns what the workers met.
fn run(capacity: usize, batches: u64) -> Answers {
    let drops = Drops::default();
    let (ring, other) = (Ring::with_capacity(capacity), Ring::with_capacity(capacity));
    let (ring, other) = (ring.unwrap(), other.unwrap());
    let mut strange = other.open().unwrap();
    let strangers: Vec<_> = strange.reserve_many(capacity).unwrap().collect();
    let stage = Stage {
        identity: identity(&ring),
        ring: &ring,
        other: &other,
        strangers: &strangers,
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
        let stage = &stage;
        let threads: Vec<_> =
            (1..=WORKERS).map(|seed| scope.spawn(move || Actor::new(stage, seed).work())).collect();
        // Also when the owner panics: the workers would go on for ever.
        let over = SetOnDrop(&stage.over);
        owner = Actor::new(stage, WORKERS + 1).own(batches);
        drop(over);
        threads.into_iter().for_each(|thread| workers.add(&thread.join().unwrap()));
    });
    drop(ring);
    // Nothing got into the ring next door.
    assert!(strangers.iter().all(|&ticket| other.evict(ticket).is_ok()));
    drop(strange);

    let accepted = owner.accepted + workers.accepted;
    let refused = owner.refused() + workers.refused();
    let (retrieved, reclaimed) = drops.counts();
    assert_eq!(retrieved, owner.delivered + refused, "delivered or returned");
    assert_eq!(reclaimed, accepted - owner.delivered, "dropped by the ring");
    workers
}

/// The bits that every ticket of this ring has.
fn identity<T>(ring: &Ring<T>) -> u128 {
    let mut batch = ring.open().unwrap();
    batch.reserve().unwrap().to_bits() >> 64 << 64
}

/// What all threads of a run share.
struct Stage<'s, 'd> {
    identity: u128,
    ring: &'s Ring<Stamped<'d>>,
    /// A second ring, which is open too.
    other: &'s Ring<Stamped<'d>>,
    strangers: &'s [Ticket],
    drops: &'d Drops,
    /// The latest positions, in no order.
    live: [AtomicU64; 16],
    /// The last batch that was opened; all before it are closed.
    opened: AtomicU64,
    /// The last batch that is closed, or being closed.
    closing: AtomicU64,
    /// One past the last position that was delivered, or may be being delivered.
    taking: AtomicU64,
    over: AtomicBool,
}

struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// How often each answer came to a thread.
#[derive(Debug, Default)]
struct Answers {
    accepted: u64,
    delivered: u64,
    /// By reason.
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

    /// The workers must have met the owner at every stage, or the run says little.
    fn assert_all(&self) {
        assert!(self.accepted > 0, "nothing was accepted");
        use Reason::{Abandoned, Duplicate, Evicted, Foreign, Settled, Stale};
        for reason in [Foreign, Stale, Duplicate, Evicted, Abandoned, Settled] {
            assert!(self.refused[reason as usize] > 0, "nothing was refused as {reason:?}");
        }
    }
}
