//! The operations that a thread performs on its own batch and on batches of other threads.

use super::random::Random;
use super::value::{Name, NamedValue};
use super::{Answers, State, Traffic};
use reorder_ring::{PoolUsage, Reason, Rejected};

/// A thread during one of its batches.
pub(super) struct TestThread<'s> {
    pub(super) traffic: &'s Traffic,
    pub(super) random: Random,
    pub(super) answers: Answers,
}

impl<'s> TestThread<'s> {
    pub(super) fn new(traffic: &'s Traffic, seed: usize) -> Self {
        TestThread { traffic, random: Random::new(seed as u64), answers: Answers::default() }
    }

    /// Adds the answers of this thread to the answers of the run.
    pub(super) fn end(self) {
        self.traffic.answers.lock().unwrap().add(&self.answers);
    }

    /// Completes a position by `way`, and compares the answer with the state of its batch.
    pub(super) fn complete(
        &mut self,
        name: Name,
        way: impl FnOnce(NamedValue) -> Result<(), Rejected<NamedValue>>,
    ) -> Result<(), Reason> {
        let before = self.traffic.state(name.batch);
        match way(NamedValue::new(name, &self.traffic.drops)) {
            Ok(()) => {
                assert_ne!(before, State::Closed, "{name:?} was accepted");
                self.answers.accepted += 1;
                Ok(())
            }
            Err(rejected) => {
                self.check(rejected.reason, name, before);
                Err(self.returned(rejected, name))
            }
        }
    }

    /// Completes a position by `way`, on the wrong ring or pool. The answer must be `wanted`.
    pub(super) fn misdirect(
        &mut self,
        name: Name,
        wanted: Reason,
        way: impl FnOnce(NamedValue) -> Result<(), Rejected<NamedValue>>,
    ) {
        match way(NamedValue::new(name, &self.traffic.drops)) {
            Ok(()) => panic!("{name:?} was accepted by the wrong ring or pool"),
            Err(rejected) => assert_eq!(self.returned(rejected, name), wanted, "{name:?}"),
        }
    }

    fn returned(&mut self, rejected: Rejected<NamedValue>, name: Name) -> Reason {
        rejected.value.retrieve(name);
        self.answers.refused[rejected.reason as usize] += 1;
        rejected.reason
    }

    /// Evicts a position by `way`, and compares the answer with the state of its batch.
    pub(super) fn evict(
        &mut self,
        name: Name,
        way: impl FnOnce() -> Result<(), Reason>,
    ) -> Result<(), Reason> {
        let before = self.traffic.state(name.batch);
        let answer = way();
        match answer {
            Ok(()) => assert_ne!(before, State::Closed, "{name:?} was evicted"),
            Err(reason) => self.check(reason, name, before),
        }
        answer
    }

    /// Asserts that the reason may be true for a call that began when its batch was in the state
    /// `before`.
    fn check(&self, reason: Reason, name: Name, before: State) {
        let plausible = match reason {
            // `Foreign` means that the ring was freed.
            Reason::Stale | Reason::Foreign => self.traffic.state(name.batch) != State::Open,
            Reason::Settled => before != State::Closed,
            // True also for a closed batch, if its completer was preempted while it writes.
            Reason::Duplicate | Reason::Evicted | Reason::Abandoned => true,
            _ => false,
        };
        assert!(plausible, "{name:?} was refused as {reason:?}, and its batch was {before:?}");
    }

    /// Records the memory usage of a pool.
    pub(super) fn record_usage(&mut self, pool: usize) {
        let PoolUsage { rings, deferred_bytes, .. } = self.traffic.pools[pool].usage();
        self.answers.most_rings = self.answers.most_rings.max(rings);
        self.answers.most_deferred_bytes = self.answers.most_deferred_bytes.max(deferred_bytes);
    }
}
