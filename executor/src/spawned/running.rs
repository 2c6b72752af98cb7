//! The running jobs of one stream, by the slots of its ring.
//!
//! A place of this table has the right to complete a position, and the waker of its job:
//!
//! | from | to | by |
//! |---|---|---|
//! | `Empty` | `Spawning` | the puller, before it calls the spawner |
//! | `Spawning` | `Spawned` | the puller, after the spawner has kept the job |
//! | `Spawning`, `Spawned` | `Empty` | the job that ends, and completes its position |
//! | `Spawning` | `Lost` | the job that is dropped while the spawner is called |
//! | `Lost` | `Empty` | the puller, which knows whether the spawner has panicked |
//!
//! The number of outstanding positions is at most the number of slots. So a place has at most one
//! job.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Waker;

use reorder_ring::Permit;

use crate::observe::CallSpan;
use crate::outcome::Outcome;
use crate::primitive::{AtomicBool, Mutex, lock};
use crate::spawned::{OutcomeRing, Parcel};
use crate::unwind::{catch_panic, discard};

pub(super) type OutcomePermit<U> = Permit<OutcomeRing<U>>;

enum State<U> {
    Empty,
    /// The spawner is being called.
    Spawning(OutcomePermit<U>),
    Spawned(OutcomePermit<U>),
    /// The job was dropped while the spawner was called.
    Lost(OutcomePermit<U>),
}

struct Place<U> {
    state: State<U>,
    waker: Option<Waker>,
}

/// The running jobs of one stream.
pub(super) struct Running<U> {
    is_aborted: AtomicBool,
    /// The span in which the source and the futures are polled.
    pub(super) span: CallSpan,
    /// One place for each slot of the ring.
    places: Box<[Mutex<Place<U>>]>,
}

impl<U> Running<U> {
    /// Returns a table for a ring with this number of slots, a power of two.
    pub(super) fn new(slots: usize) -> Arc<Running<U>> {
        let place = |_| Mutex::new(Place { state: State::Empty, waker: None });
        Arc::new(Running {
            is_aborted: AtomicBool::new(false),
            span: CallSpan::map_ordered(),
            places: (0..slots).map(place).collect(),
        })
    }

    fn place(&self, index: u64) -> &Mutex<Place<U>> {
        &self.places[index as usize & (self.places.len() - 1)]
    }

    /// Adds a job whose spawner is called next.
    pub(super) fn add(&self, permit: OutcomePermit<U>) {
        let place = self.place(permit.index());
        lock(place).state = State::Spawning(permit);
    }

    /// Notes that the spawner has returned or panicked. Returns the permit if it has dropped the
    /// job.
    pub(super) fn spawned(&self, index: u64) -> Option<OutcomePermit<U>> {
        let mut place = lock(self.place(index));
        match mem::replace(&mut place.state, State::Empty) {
            State::Spawning(permit) => {
                place.state = State::Spawned(permit);
                None
            }
            State::Lost(permit) => Some(permit),
            // The job has ended.
            State::Empty | State::Spawned(_) => None,
        }
    }

    /// Registers the waker of a job. Returns `true` if the jobs were aborted.
    pub(super) fn register(&self, index: u64, waker: &Waker) -> bool {
        let place = self.place(index);
        let is_known = lock(place).waker.as_ref().is_some_and(|known| known.will_wake(waker));
        if !is_known {
            // Not under the lock, because wakers are user code.
            let waker = waker.clone();
            let old = lock(place).waker.replace(waker);
            drop(old);
        }
        // ORDERING: spawned:aborted: Relaxed; the lock of the place orders it. If `abort` has
        // locked the place before, this thread sees the flag. Otherwise `abort` finds the waker.
        self.is_aborted.load(Relaxed)
    }

    /// Takes the permit of a job that ends.
    fn take(&self, index: u64) -> Option<OutcomePermit<U>> {
        let mut place = lock(self.place(index));
        let waker = place.waker.take();
        let permit = match mem::replace(&mut place.state, State::Empty) {
            State::Spawning(permit) | State::Spawned(permit) => Some(permit),
            State::Empty | State::Lost(_) => None,
        };
        drop(place);
        discard(waker);
        permit
    }

    /// Ends a job with its outcome.
    pub(super) fn complete(&self, index: u64, outcome: Outcome<U>) {
        match self.take(index) {
            Some(permit) => complete(permit, outcome),
            None => discard(outcome),
        }
    }

    /// Ends a job that was dropped.
    pub(super) fn lose(&self, index: u64) {
        let mut place = lock(self.place(index));
        let waker = place.waker.take();
        let permit = match mem::replace(&mut place.state, State::Empty) {
            State::Spawning(permit) => {
                place.state = State::Lost(permit);
                None
            }
            State::Spawned(permit) => Some(permit),
            State::Empty | State::Lost(_) => None,
        };
        drop(place);
        discard(waker);
        // This leaves a gap in the ring.
        discard(permit);
    }

    /// Aborts all jobs. Each of them is dropped when its runtime polls it next.
    pub(super) fn abort(&self) {
        // ORDERING: spawned:abort: Relaxed; as `spawned:aborted`.
        self.is_aborted.store(true, Relaxed);
        for place in &self.places {
            let waker = lock(place).waker.take();
            catch_panic(|| waker.into_iter().for_each(Waker::wake));
        }
    }
}

/// Completes a position. The waker of the consumer may panic, and so may the `Drop` of an outcome
/// that the ring refuses.
pub(super) fn complete<U>(permit: OutcomePermit<U>, outcome: Outcome<U>) {
    catch_panic(|| discard(permit.complete(Parcel::new(outcome))));
}
