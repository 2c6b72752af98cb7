//! Batches of values whose `Drop` sometimes panics. The thread that drops a value gets the panic,
//! and the ring stays usable.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;

use reorder_ring::{Batch, Busy, Ring, Ticket};
use reorder_stress::{Random, joined};

const BATCHES: u64 = 200;
const CAPACITY: usize = 8;

#[derive(Debug, Default)]
pub(crate) struct DropPanics {
    batches: u64,
    completed: u64,
    refused: u64,
    delivered: u64,
    panicked: u64,
    orphaned: u64,
}

impl DropPanics {
    pub(crate) fn add(&mut self, other: &DropPanics) {
        let DropPanics { batches, completed, refused, delivered, panicked, orphaned } = other;
        self.batches += batches;
        self.completed += completed;
        self.refused += refused;
        self.delivered += delivered;
        self.panicked += panicked;
        self.orphaned += orphaned;
    }

    /// Panics if an answer never occurred. Orphans may be missing: they need a delay at one
    /// particular step.
    pub(crate) fn assert_all(&self) {
        let DropPanics { completed, refused, delivered, panicked, .. } = *self;
        assert!(
            [completed, refused, delivered, panicked].iter().all(|&count| count > 0),
            "{self:?}"
        );
    }
}

/// A value whose drop panics if `panics` is set.
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
        // `resume_unwind` does not call the panic hook, which would print each panic. A second
        // panic during an unwind would abort the process.
        if self.panics && !thread::panicking() {
            resume_unwind(Box::new("the drop of a value panics"));
        }
    }
}

/// Runs one thread that owns the batches, and another thread that completes tickets in time or too
/// late.
pub(crate) fn run(seed: u64) -> DropPanics {
    let (ring, alive) = (Ring::with_capacity(CAPACITY).unwrap(), Arc::new(AtomicU64::new(0)));
    let mut owner = Actor::new(&ring, &alive, seed * 2);
    let (tickets, queue) = std::sync::mpsc::sync_channel(2 * CAPACITY);
    thread::scope(|scope| {
        let (ring, alive) = (&ring, &alive);
        let completer = scope.spawn(move || {
            let mut completer = Actor::new(ring, alive, seed * 2 + 1);
            queue.iter().for_each(|ticket| completer.complete(ticket));
            completer.counts
        });
        for _ in 0..BATCHES {
            owner.batch(|ticket| tickets.send(ticket).expect("the completer receives to the end"));
        }
        drop(tickets);
        owner.counts.add(&joined(completer));
        // The first attempt may drop an orphan's value and get its panic. It still removes the
        // orphan, so the second attempt succeeds.
        let opens = owner.open().or_else(|| owner.open()).is_some();
        assert!(opens, "the ring is not usable after panics");
    });
    let counts = owner.counts;
    _ = catch_unwind(AssertUnwindSafe(|| drop(ring)));
    assert_eq!(alive.load(Relaxed), 0, "values were lost");
    counts
}

struct Actor<'r> {
    ring: &'r Ring<Value>,
    alive: &'r Arc<AtomicU64>,
    random: Random,
    counts: DropPanics,
}

impl<'r> Actor<'r> {
    fn new(ring: &'r Ring<Value>, alive: &'r Arc<AtomicU64>, seed: u64) -> Self {
        Actor { ring, alive, random: Random::new(seed), counts: DropPanics::default() }
    }

    fn batch(&mut self, mut send: impl FnMut(Ticket)) {
        let Some(mut batch) = self.open() else { return };
        self.counts.batches += 1;
        for _ in 0..self.random.below(2 * CAPACITY) {
            let Ok(ticket) = batch.reserve() else { break };
            match self.random.below(4) {
                0 => self.complete(ticket),
                1 => _ = self.ring.evict(ticket),
                _ => send(ticket),
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
        // `open` drops the value of an orphan. If that panics, `open` has cleaned the ring before.
        self.catch(|| opened = Some(ring.open()));
        match opened? {
            Ok(batch) => Some(batch),
            Err(Busy::Orphaned) => {
                self.counts.orphaned += 1;
                thread::yield_now();
                None
            }
            Err(busy) => panic!("no other thread opens the ring: {busy}"),
        }
    }

    fn take(&mut self, batch: &mut Batch<&'r Ring<Value>>) {
        if let Ok(delivery) = batch.try_next() {
            self.counts.delivered += u64::from(delivery.outcome.is_ok());
            self.catch(|| drop(delivery));
        }
    }

    fn complete(&mut self, ticket: Ticket) {
        let value = Value::new(&mut self.random, self.alive);
        match self.ring.complete(ticket, value) {
            Ok(()) => self.counts.completed += 1,
            Err(rejected) => {
                self.counts.refused += 1;
                self.catch(|| drop(rejected));
            }
        }
    }

    fn catch(&mut self, f: impl FnOnce()) {
        let caught = catch_unwind(AssertUnwindSafe(f));
        self.counts.panicked += u64::from(caught.is_err());
    }
}
