//! What the owner of a batch and a stranger to it have in common.

use super::random::Random;
use super::value::{Name, Stamped};
use super::{Answers, State, Traffic};
use reorder_ring::{PoolUsage, Reason, Rejected};

/// A thread in the time of one batch.
pub(super) struct Actor<'s> {
    pub(super) traffic: &'s Traffic,
    pub(super) random: Random,
    pub(super) met: Answers,
}

impl<'s> Actor<'s> {
    pub(super) fn new(traffic: &'s Traffic, seed: usize) -> Self {
        Actor { traffic, random: Random::new(seed as u64), met: Answers::default() }
    }

    pub(super) fn end(self) {
        self.traffic.met.lock().unwrap().add(&self.met);
    }

    /// Completes a position in the way that is given, and compares the answer with what is known of its
    /// batch.
    pub(super) fn complete(
        &mut self,
        name: Name,
        way: impl FnOnce(Stamped) -> Result<(), Rejected<Stamped>>,
    ) -> Result<(), Reason> {
        let before = self.traffic.state(name.batch);
        match way(Stamped::new(name, &self.traffic.drops)) {
            Ok(()) => {
                assert_ne!(before, State::Closed, "{name:?} was accepted");
                self.met.accepted += 1;
                Ok(())
            }
            Err(rejected) => {
                self.check(rejected.reason, name, before);
                Err(self.returned(rejected, name))
            }
        }
    }

    /// As `complete`, where the ticket has no business.
    pub(super) fn misdirect(
        &mut self,
        name: Name,
        wanted: Reason,
        way: impl FnOnce(Stamped) -> Result<(), Rejected<Stamped>>,
    ) {
        match way(Stamped::new(name, &self.traffic.drops)) {
            Ok(()) => panic!("{name:?} was accepted elsewhere"),
            Err(rejected) => assert_eq!(self.returned(rejected, name), wanted, "{name:?}"),
        }
    }

    fn returned(&mut self, rejected: Rejected<Stamped>, name: Name) -> Reason {
        rejected.value.retrieve(name);
        self.met.refused[rejected.reason as usize] += 1;
        rejected.reason
    }

    /// As `complete`, for an eviction.
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

    /// Whether this may be why a call was refused that began when its batch was in the state `before`.
    fn check(&self, reason: Reason, name: Name, before: State) {
        let plausible = match reason {
            // Foreign: its ring was freed.
            Reason::Stale | Reason::Foreign => self.traffic.state(name.batch) != State::Open,
            Reason::Settled => before != State::Closed,
            // Of a closed batch, if its completer was preempted in mid-write.
            Reason::Duplicate | Reason::Evicted | Reason::Abandoned => true,
            _ => false,
        };
        assert!(plausible, "{name:?} was refused as {reason:?}, and its batch was {before:?}");
    }

    /// Notes how much memory there is.
    pub(super) fn look(&mut self, pool: usize) {
        let PoolUsage { rings, deferred_bytes, .. } = self.traffic.pools[pool].usage();
        self.met.most_rings = self.met.most_rings.max(rings);
        self.met.most_deferred_bytes = self.met.most_deferred_bytes.max(deferred_bytes);
    }
}
