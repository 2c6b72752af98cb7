//! What the owner and the workers have in common, and what the workers do.

use std::sync::atomic::Ordering::{Acquire, Relaxed};

use super::stamped::{Name, Stamped};
use super::{Answers, Stage};
use reorder_ring::{Reason, Rejected, Ticket, TicketError};

/// One thread, its random numbers and what it was answered.
pub(super) struct Actor<'s, 'd> {
    pub(super) stage: &'s Stage<'s, 'd>,
    random: u64,
    pub(super) answers: Answers,
}

impl<'s, 'd> Actor<'s, 'd> {
    pub(super) fn new(stage: &'s Stage<'s, 'd>, seed: u64) -> Self {
        let random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        Actor { stage, random, answers: Answers::default() }
    }

    /// A number below `bound`, by xorshift.
    pub(super) fn random(&mut self, bound: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 32) as usize % bound
    }

    pub(super) fn value(&self, name: Name) -> Stamped<'d> {
        Stamped::new(self.stage.identity, name, self.stage.drops)
    }

    /// Completes or evicts what the owner reserves, some of it much later.
    pub(super) fn work(mut self) -> Answers {
        let mut kept = [None; 64];
        while !self.stage.over.load(Relaxed) {
            let seen = &self.stage.live[self.random(self.stage.live.len())];
            let fresh = Name::from_word(seen.load(Relaxed));
            let place = self.random(kept.len());
            let name = if self.random(2) == 0 { fresh } else { kept[place] };
            kept[place] = fresh;
            let Some(name) = name else { continue };
            match self.random(16) {
                0 => self.evict(name),
                1 => self.stray(name),
                2 => (0..2).for_each(|_| self.complete(name)),
                _ => self.complete(name),
            }
        }
        self.answers
    }

    /// The ticket that was named, and the batch that was known to be open before.
    fn ticket(&self, name: Name) -> Option<(Ticket, u64)> {
        let opened = self.stage.opened.load(Acquire);
        match self.stage.ring.ticket_from_bits(self.stage.identity | u128::from(name.position)) {
            Ok(ticket) => Some((ticket, opened)),
            Err(TicketError::Unreserved { .. }) if opened <= name.batch => None,
            Err(error) => panic!("{name:?} in batch {opened}: {error}"),
        }
    }

    pub(super) fn complete(&mut self, name: Name) {
        let Some((ticket, opened)) = self.ticket(name) else { return };
        let answer = self.stage.ring.complete(ticket, self.value(name));
        self.completed(answer, name, opened);
    }

    pub(super) fn completed(
        &mut self,
        answer: Result<(), Rejected<Stamped<'d>>>,
        name: Name,
        opened: u64,
    ) {
        match answer {
            Ok(()) => {
                assert!(opened <= name.batch, "{name:?} was accepted in batch {opened}");
                self.answers.accepted += 1;
            }
            Err(rejected) => {
                self.check(rejected.reason, name, opened);
                rejected.value.retrieve(self.stage.identity, name);
                self.answers.refused[rejected.reason as usize] += 1;
            }
        }
    }

    pub(super) fn evict(&self, name: Name) {
        let Some((ticket, opened)) = self.ticket(name) else { return };
        match self.stage.ring.evict(ticket) {
            Ok(()) => assert!(opened <= name.batch, "{name:?} was evicted in batch {opened}"),
            Err(reason) => self.check(reason, name, opened),
        }
    }

    /// A ticket of this ring to the other one, and one of the other to this.
    fn stray(&mut self, name: Name) {
        let Some((ticket, _)) = self.ticket(name) else { return };
        let stranger = self.stage.strangers[self.random(self.stage.strangers.len())];
        for (ring, ticket) in [(self.stage.other, ticket), (self.stage.ring, stranger)] {
            let Err(rejected) = ring.complete(ticket, self.value(name)) else {
                panic!("{name:?} was accepted by a ring that is not its own");
            };
            assert_eq!(rejected.reason, Reason::Foreign);
            rejected.value.retrieve(self.stage.identity, name);
            self.answers.refused[Reason::Foreign as usize] += 1;
        }
    }

    /// Whether this may be why a call was refused that began when the batch `opened` was open.
    /// A refusal is ordered after what it tells of, so that the counters below are not behind.
    fn check(&self, reason: Reason, name: Name, opened: u64) {
        let plausible = match reason {
            Reason::Stale => self.stage.closing.load(Relaxed) >= name.batch,
            _ if opened > name.batch => false,
            Reason::Settled => self.stage.taking.load(Relaxed) > name.position,
            Reason::Duplicate | Reason::Evicted | Reason::Abandoned => true,
            // `ticket_from_bits` has seen the position reserved.
            _ => false,
        };
        assert!(plausible, "{name:?} was refused as {reason:?} in batch {opened}");
    }
}
