//! Code that the benches share: payloads of several sizes, and a hand-off between threads.

pub mod compare;

use crossbeam_utils::Backoff;
use reorder_ring::{Ring, Ticket};

/// A payload that a bench can create from a number and check against that number.
pub trait Payload: Send {
    /// Creates the payload for a number.
    fn new(number: u64) -> Self;
    /// Returns the number that the payload was created from.
    fn number(&self) -> u64;
}

impl Payload for u64 {
    fn new(number: u64) -> Self {
        number
    }

    fn number(&self) -> u64 {
        *self
    }
}

impl<const WORDS: usize> Payload for [u64; WORDS] {
    fn new(number: u64) -> Self {
        [number; WORDS]
    }

    fn number(&self) -> u64 {
        self[WORDS - 1]
    }
}

/// A number whose slot has two cache lines: one for the tag, and one for the number.
#[derive(Debug)]
#[repr(align(64))]
pub struct OwnLine(u64);

impl Payload for OwnLine {
    fn new(number: u64) -> Self {
        OwnLine(number)
    }

    fn number(&self) -> u64 {
        self.0
    }
}

/// Sends `items` numbers through `ring` and checks their order.
///
/// The calling thread reserves and takes. Each of the `completers` threads completes every
/// `completers`-th position, so different threads write neighbouring slots. A completer builds the
/// ticket of a position from bits, and the ring refuses the bits until the position is reserved.
/// So there is no queue of tickets whose cost would be measured, too.
///
/// # Panics
///
/// Panics if the ring is in use, or if a delivery is wrong.
pub fn hand_off<T: Payload>(ring: &Ring<T>, completers: u64, items: u64) {
    let mut batch = ring.open().expect("the ring is free");
    let Some(last) = items.checked_sub(1) else { return };
    let first = batch.reserve().expect("a new batch has free slots");
    std::thread::scope(|scope| {
        for start in 0..completers {
            scope.spawn(move || complete_every(ring, first, (start, completers, last)));
        }
        let backoff = Backoff::new();
        while batch.delivered() < items {
            let before = (batch.reserved(), batch.delivered());
            while batch.reserved() < items && batch.reserve().is_ok() {}
            for delivery in batch.drain_ready() {
                let value = delivery.outcome.expect("no position is evicted");
                assert_eq!(value.number(), delivery.index, "out of order");
            }
            if before == (batch.reserved(), batch.delivered()) {
                backoff.snooze();
            } else {
                backoff.reset();
            }
        }
    });
}

/// Does the same as [`hand_off`], with a producer on its own thread, and a consumer that blocks.
///
/// # Panics
///
/// Panics if the ring is in use, or if a delivery is wrong.
pub fn hand_off_split<T: Payload>(ring: &Ring<T>, completers: u64, items: u64) {
    let (mut producer, mut consumer) = ring.open().expect("the ring is free").split();
    let Some(last) = items.checked_sub(1) else { return };
    let first = producer.reserve().expect("a new batch has free slots");
    std::thread::scope(|scope| {
        for start in 0..completers {
            scope.spawn(move || complete_every(ring, first, (start, completers, last)));
        }
        scope.spawn(move || {
            let backoff = Backoff::new();
            while producer.reserved() < items {
                match producer.reserve() {
                    Ok(_) => backoff.reset(),
                    Err(_) => backoff.snooze(),
                }
            }
            producer.finish();
        });
        while let Some(delivery) = consumer.next().expect("the producer finishes") {
            let value = delivery.outcome.expect("no position is evicted");
            assert_eq!(value.number(), delivery.index, "out of order");
        }
    });
}

/// Completes the positions at `start`, `start + step` and so on to `last`, counted from `first`.
fn complete_every<T: Payload>(ring: &Ring<T>, first: Ticket, (start, step, last): (u64, u64, u64)) {
    for index in (start..=last).step_by(step as usize) {
        complete(ring, first, index);
    }
}

/// Completes the position that is `index` after `first`, as soon as it is reserved.
fn complete<T: Payload>(ring: &Ring<T>, first: Ticket, index: u64) {
    let bits = first.to_bits() + u128::from(index);
    let backoff = Backoff::new();
    let ticket = loop {
        match ring.ticket_from_bits(bits) {
            Ok(ticket) => break ticket,
            Err(_) => backoff.snooze(),
        }
    };
    assert!(ring.complete(ticket, T::new(index)).is_ok(), "the ring refused a completion");
}
