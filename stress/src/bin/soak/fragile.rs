//! Batches of values whose `Drop` panics, now and then. Whoever drops them gets the panic; the ring goes on.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;

use reorder_ring::{Batch, Busy, Ring, Ticket};
use reorder_stress::Random;

const BATCHES: u64 = 200;
const CAPACITY: usize = 8;

#[derive(Debug, Default)]
pub(crate) struct Fragile {
    batches: u64,
    completed: u64,
    refused: u64,
    delivered: u64,
    panicked: u64,
    orphaned: u64,
}

impl Fragile {
    pub(crate) fn add(&mut self, other: &Fragile) {
        let Fragile { batches, completed, refused, delivered, panicked, orphaned } = other;
        self.batches += batches;
        self.completed += completed;
        self.refused += refused;
        self.delivered += delivered;
        self.panicked += panicked;
        self.orphaned += orphaned;
    }

    /// An orphan takes a delay at one place, and is not asked for.
    pub(crate) fn assert_all(&self) {
        let Fragile { completed, refused, delivered, panicked, .. } = *self;
        assert!(
            [completed, refused, delivered, panicked].iter().all(|&count| count > 0),
            "{self:?}"
        );
    }
}

/// Panics when it is dropped, if it is told to.
struct Value {
    panics: bool,
    alive: Arc<AtomicU64>,
}

impl Value {
    fn new(random: &mut Random, alive: &Arc<AtomicU64>) -> Value {
        alive.fetch_add(1, Relaxed);
        Value { panics: random.once_in(4), alive: Arc::clone(alive) }
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Relaxed);
        // Without the panic hook, which would tell of each; never two at a time, which would abort.
        if self.panics && !thread::panicking() {
            resume_unwind(Box::new("a fragile value"));
        }
    }
}

/// One thread owns the batches; another one completes what it is told of, early or late.
pub(crate) fn run(seed: u64) -> Fragile {
    let (ring, alive) = (Ring::with_capacity(CAPACITY).unwrap(), Arc::new(AtomicU64::new(0)));
    let mut owner = Actor::new(&ring, &alive, seed * 2);
    let (tickets, told) = std::sync::mpsc::sync_channel(2 * CAPACITY);
    thread::scope(|scope| {
        let (ring, alive) = (&ring, &alive);
        let stranger = scope.spawn(move || {
            let mut stranger = Actor::new(ring, alive, seed * 2 + 1);
            told.iter().for_each(|ticket| stranger.complete(ticket));
            stranger.met
        });
        for _ in 0..BATCHES {
            owner.batch(|ticket| tickets.send(ticket).expect("the stranger listens to the end"));
        }
        drop(tickets);
        owner.met.add(&crate::joined(stranger));
        // Once an orphan may be in the way, of which the first look has got rid.
        let opens = owner.open().or_else(|| owner.open()).is_some();
        assert!(opens, "the ring does not go on after panics");
    });
    let met = owner.met;
    _ = catch_unwind(AssertUnwindSafe(|| drop(ring)));
    assert_eq!(alive.load(Relaxed), 0, "values were lost");
    met
}

struct Actor<'r> {
    ring: &'r Ring<Value>,
    alive: &'r Arc<AtomicU64>,
    random: Random,
    met: Fragile,
}

impl<'r> Actor<'r> {
    fn new(ring: &'r Ring<Value>, alive: &'r Arc<AtomicU64>, seed: u64) -> Self {
        Actor { ring, alive, random: Random::new(seed), met: Fragile::default() }
    }

    fn batch(&mut self, mut tell: impl FnMut(Ticket)) {
        let Some(mut batch) = self.open() else { return };
        self.met.batches += 1;
        for _ in 0..self.random.below(2 * CAPACITY) {
            let Ok(ticket) = batch.reserve() else { break };
            match self.random.below(4) {
                0 => self.complete(ticket),
                1 => _ = self.ring.evict(ticket),
                _ => tell(ticket),
            }
            if self.random.once_in(2) {
                self.take(&mut batch);
            }
        }
        self.catch(|| drop(batch));
    }

    fn open(&mut self) -> Option<Batch<&'r Ring<Value>>> {
        let ring = self.ring;
        let mut opened = None;
        // What an orphan has left is dropped here; the panic comes after the ring was put in order.
        self.catch(|| opened = Some(ring.open()));
        match opened? {
            Ok(batch) => Some(batch),
            Err(Busy::Orphaned) => {
                self.met.orphaned += 1;
                thread::yield_now();
                None
            }
            Err(busy) => panic!("nobody else opens it: {busy}"),
        }
    }

    fn take(&mut self, batch: &mut Batch<&'r Ring<Value>>) {
        if let Ok(delivery) = batch.try_next() {
            self.met.delivered += u64::from(delivery.outcome.is_ok());
            self.catch(|| drop(delivery));
        }
    }

    fn complete(&mut self, ticket: Ticket) {
        let value = Value::new(&mut self.random, self.alive);
        match self.ring.complete(ticket, value) {
            Ok(()) => self.met.completed += 1,
            Err(rejected) => {
                self.met.refused += 1;
                self.catch(|| drop(rejected));
            }
        }
    }

    fn catch(&mut self, f: impl FnOnce()) {
        let caught = catch_unwind(AssertUnwindSafe(f));
        self.met.panicked += u64::from(caught.is_err());
    }
}
