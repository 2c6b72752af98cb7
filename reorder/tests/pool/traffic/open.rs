//! The batch that a thread has open, and what it knows of it.

use std::vec::Vec;

use super::post::Letter;
use super::value::{Name, Stamped};
use reorder_ring::{Consumer, Delivery, Gap, Lease, Producer, Reason};

pub(super) struct Open {
    pub(super) number: u32,
    pub(super) pool: usize,
    pub(super) producer: Producer<Lease<Stamped>>,
    pub(super) consumer: Consumer<Lease<Stamped>>,
    /// The last ticket.
    pub(super) letter: Option<Letter>,
    /// The tickets that the owner completes later.
    pub(super) kept: Vec<Letter>,
    /// By index.
    fates: Vec<Fate>,
}

/// What has become of a position, if its owner knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Somebody else may have settled it.
    Any,
    Value,
    Gap(Gap),
}

impl Open {
    pub(super) fn new(number: u32, pool: usize, lease: &Lease<Stamped>) -> Open {
        let (producer, consumer) = lease.open_owned().expect("it is leased clean").split();
        let (kept, fates) = (Vec::new(), Vec::new());
        Open { number, pool, producer, consumer, letter: None, kept, fates }
    }

    pub(super) fn name(&self, index: u64) -> Name {
        Name { batch: self.number, index: index as u32 }
    }

    /// The ticket of a permit's position, which nobody gets otherwise.
    pub(super) fn neighbour(&self, name: Name) -> Option<Letter> {
        let near = self.letter?;
        let distance = u128::from(name.index - near.name.index);
        let ticket = self.consumer.ring().ticket_from_bits(near.ticket.to_bits() + distance);
        Some(Letter { name, ticket: ticket.unwrap(), ..near })
    }

    pub(super) fn is_full(&mut self) -> bool {
        self.producer.space() == 0
    }

    pub(super) fn reserved(&mut self) {
        self.fates.push(Fate::Any);
    }

    pub(super) fn know(&mut self, name: Name, fate: Fate) {
        let known = &mut self.fates[name.index as usize];
        assert_eq!(*known, Fate::Any, "{name:?} was settled twice");
        *known = fate;
    }

    /// Notes the answer to a completion. A refusal agrees with what is known.
    pub(super) fn completed(&mut self, name: Name, answer: Result<(), Reason>) {
        let known = self.fates[name.index as usize];
        let agrees = match (answer, known) {
            (Ok(()), _) => return self.know(name, Fate::Value),
            (Err(Reason::Settled), _) => self.consumer.delivered() > u64::from(name.index),
            (Err(_), Fate::Any) => true,
            (Err(reason), Fate::Value) => reason == Reason::Duplicate,
            (Err(reason), Fate::Gap(Gap::Evicted)) => reason == Reason::Evicted,
            (Err(reason), Fate::Gap(_)) => reason == Reason::Abandoned,
        };
        assert!(agrees, "{name:?} is {known:?}, and was refused: {answer:?}");
    }

    /// Compares a delivery with what is known. `true` if it is a value, and not a gap.
    pub(super) fn delivered(&mut self, delivery: Delivery<Stamped>) -> bool {
        assert_eq!(delivery.index + 1, self.consumer.delivered());
        let name = self.name(delivery.index);
        let found = match &delivery.outcome {
            Ok(_) => Fate::Value,
            Err(gap) => Fate::Gap(*gap),
        };
        let known = self.fates[name.index as usize];
        assert!(known == Fate::Any || known == found, "{name:?} is {known:?}, not {found:?}");
        let is_value = delivery.outcome.is_ok();
        delivery.outcome.into_iter().for_each(|value| value.retrieve(name));
        is_value
    }
}
