//! A thread of the test, and the operations of the workers.

use std::sync::atomic::Ordering::{Acquire, Relaxed};

use super::named_value::{Name, NamedValue};
use super::{Answers, Shared};
use reorder_ring::{Reason, Rejected, Ticket, TicketError};

/// A thread of the test, with its random numbers and the answers that it got.
pub(super) struct TestThread<'s, 'd> {
    pub(super) shared: &'s Shared<'s, 'd>,
    random: u64,
    pub(super) answers: Answers,
}

impl<'s, 'd> TestThread<'s, 'd> {
    pub(super) fn new(shared: &'s Shared<'s, 'd>, seed: u64) -> Self {
        let random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        TestThread { shared, random, answers: Answers::default() }
    }

    /// Returns a number below `bound`, by xorshift.
    pub(super) fn random(&mut self, bound: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 32) as usize % bound
    }

    pub(super) fn value(&self, name: Name) -> NamedValue<'d> {
        NamedValue::new(self.shared.identity, name, self.shared.drops)
    }

    /// Completes or evicts the positions that the owner reserves, some of them much later.
    pub(super) fn work(mut self) -> Answers {
        let mut kept = [None; 64];
        while !self.shared.over.load(Relaxed) {
            let seen = &self.shared.live[self.random(self.shared.live.len())];
            let fresh = Name::from_word(seen.load(Relaxed));
            let place = self.random(kept.len());
            let name = if self.random(2) == 0 { fresh } else { kept[place] };
            kept[place] = fresh;
            let Some(name) = name else { continue };
            match self.random(16) {
                0 => self.evict(name),
                1 => self.complete_on_wrong_ring(name),
                2 => (0..2).for_each(|_| self.complete(name)),
                _ => self.complete(name),
            }
        }
        self.answers
    }

    /// Returns the ticket of a position, and the last batch that was opened before the call.
    fn ticket(&self, name: Name) -> Option<(Ticket, u64)> {
        let opened = self.shared.opened.load(Acquire);
        match self.shared.ring.ticket_from_bits(self.shared.identity | u128::from(name.position)) {
            Ok(ticket) => Some((ticket, opened)),
            Err(TicketError::Unreserved { .. }) if opened <= name.batch => None,
            Err(error) => panic!("{name:?} in batch {opened}: {error}"),
        }
    }

    pub(super) fn complete(&mut self, name: Name) {
        let Some((ticket, opened)) = self.ticket(name) else { return };
        let answer = self.shared.ring.complete(ticket, self.value(name));
        self.completed(answer, name, opened);
    }

    pub(super) fn completed(
        &mut self,
        answer: Result<(), Rejected<NamedValue<'d>>>,
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
                rejected.value.retrieve(self.shared.identity, name);
                self.answers.refused[rejected.reason as usize] += 1;
            }
        }
    }

    pub(super) fn evict(&self, name: Name) {
        let Some((ticket, opened)) = self.ticket(name) else { return };
        match self.shared.ring.evict(ticket) {
            Ok(()) => assert!(opened <= name.batch, "{name:?} was evicted in batch {opened}"),
            Err(reason) => self.check(reason, name, opened),
        }
    }

    /// Uses a ticket of this ring on the other ring, and a ticket of the other ring on this one.
    fn complete_on_wrong_ring(&mut self, name: Name) {
        let Some((ticket, _)) = self.ticket(name) else { return };
        let foreign = self.shared.foreign[self.random(self.shared.foreign.len())];
        for (ring, ticket) in [(self.shared.other, ticket), (self.shared.ring, foreign)] {
            let Err(rejected) = ring.complete(ticket, self.value(name)) else {
                panic!("{name:?} was accepted by another ring");
            };
            assert_eq!(rejected.reason, Reason::Foreign);
            rejected.value.retrieve(self.shared.identity, name);
            self.answers.refused[Reason::Foreign as usize] += 1;
        }
    }

    /// Asserts that the reason may be true for a call that began when batch `opened` was open.
    ///
    /// A refusal is ordered after the delivery that it reports, so the count of deliveries includes
    /// it. The end of a batch orders nothing for a thread whose position was delivered before. So
    /// this thread reads the newest number of closed batches, by a read-modify-write.
    fn check(&self, reason: Reason, name: Name, opened: u64) {
        let plausible = match reason {
            Reason::Stale => self.shared.closing.fetch_add(0, Relaxed) >= name.batch,
            _ if opened > name.batch => false,
            Reason::Settled => self.shared.taking.load(Relaxed) > name.position,
            Reason::Duplicate | Reason::Evicted | Reason::Abandoned => true,
            // `ticket_from_bits` has seen the position reserved.
            _ => false,
        };
        assert!(plausible, "{name:?} was refused as {reason:?} in batch {opened}");
    }
}
