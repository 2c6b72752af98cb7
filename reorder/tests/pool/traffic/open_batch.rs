//! The batch that a thread has open, and the outcomes that the thread knows.

use std::vec::Vec;

use super::exchange::IssuedTicket;
use super::value::{Name, NamedValue};
use reorder_ring::{Consumer, Delivery, Gap, Lease, Producer, Reason};

pub(super) struct OpenBatch {
    pub(super) number: u32,
    pub(super) pool: usize,
    pub(super) producer: Producer<Lease<NamedValue>>,
    pub(super) consumer: Consumer<Lease<NamedValue>>,
    /// The last ticket that was reserved.
    pub(super) last_issued: Option<IssuedTicket>,
    /// The tickets that the owner completes later.
    pub(super) kept: Vec<IssuedTicket>,
    /// The known outcome of each position, by index.
    known: Vec<KnownOutcome>,
}

/// The outcome of a position, if its owner knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KnownOutcome {
    /// Another thread may have completed or evicted the position.
    Unknown,
    Value,
    Gap(Gap),
}

impl OpenBatch {
    pub(super) fn new(number: u32, pool: usize, lease: &Lease<NamedValue>) -> OpenBatch {
        let (producer, consumer) =
            lease.open_owned().expect("no batch is open on a new lease").split();
        let (kept, known) = (Vec::new(), Vec::new());
        OpenBatch { number, pool, producer, consumer, last_issued: None, kept, known }
    }

    pub(super) fn name(&self, index: u64) -> Name {
        Name { batch: self.number, index: index as u32 }
    }

    /// Returns the ticket of a permit's position, rebuilt from the bits of the last ticket.
    pub(super) fn ticket_of_permit(&self, name: Name) -> Option<IssuedTicket> {
        let near = self.last_issued?;
        let distance = u128::from(name.index - near.name.index);
        let ticket = self.consumer.ring().ticket_from_bits(near.ticket.to_bits() + distance);
        Some(IssuedTicket { name, ticket: ticket.unwrap(), ..near })
    }

    pub(super) fn is_full(&mut self) -> bool {
        self.producer.space() == 0
    }

    pub(super) fn reserved(&mut self) {
        self.known.push(KnownOutcome::Unknown);
    }

    pub(super) fn know(&mut self, name: Name, fate: KnownOutcome) {
        let known = &mut self.known[name.index as usize];
        assert_eq!(*known, KnownOutcome::Unknown, "{name:?} has two outcomes");
        *known = fate;
    }

    /// Records the answer to a completion. A refusal must agree with the known outcome.
    pub(super) fn completed(&mut self, name: Name, answer: Result<(), Reason>) {
        let known = self.known[name.index as usize];
        let agrees = match (answer, known) {
            (Ok(()), _) => return self.know(name, KnownOutcome::Value),
            (Err(Reason::Settled), _) => self.consumer.delivered() > u64::from(name.index),
            (Err(_), KnownOutcome::Unknown) => true,
            (Err(reason), KnownOutcome::Value) => reason == Reason::Duplicate,
            (Err(reason), KnownOutcome::Gap(Gap::Evicted)) => reason == Reason::Evicted,
            (Err(reason), KnownOutcome::Gap(_)) => reason == Reason::Abandoned,
        };
        assert!(agrees, "{name:?} is {known:?}, and was refused: {answer:?}");
    }

    /// Compares a delivery with the known outcome. Returns `true` if it is a value.
    pub(super) fn delivered(&mut self, delivery: Delivery<NamedValue>) -> bool {
        assert_eq!(delivery.index + 1, self.consumer.delivered());
        let name = self.name(delivery.index);
        let found = match &delivery.outcome {
            Ok(_) => KnownOutcome::Value,
            Err(gap) => KnownOutcome::Gap(*gap),
        };
        let known = self.known[name.index as usize];
        assert!(
            known == KnownOutcome::Unknown || known == found,
            "{name:?} is {known:?}, not {found:?}"
        );
        let is_value = delivery.outcome.is_ok();
        delivery.outcome.into_iter().for_each(|value| value.retrieve(name));
        is_value
    }
}
