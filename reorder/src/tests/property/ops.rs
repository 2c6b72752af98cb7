//! The operations of a sequence. A number selects one of the objects that exist when the operation
//! runs.

use proptest::prelude::*;

/// The first position of a ring.
#[derive(Clone, Copy, Debug)]
pub(super) enum Start {
    At(u64),
    BeforeTheEnd(u64),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Op {
    Open,
    Split,
    Reserve,
    ReserveMany(usize),
    /// Reserves through the index `n` after the fourth last reserved one, or through the largest.
    ReserveThrough(u64),
    Permit,
    PermitComplete(usize),
    PermitDrop(usize),
    /// Completes the ticket of the `n`th last reservation: missing, completed, delivered or stale.
    Complete(usize),
    CompleteForeign,
    /// Completes a forged ticket, `n` positions after the tail plus the capacity.
    CompleteFuture(u64),
    /// Completes by an index, which is chosen as in `ReserveThrough`.
    CompleteIndex(u64),
    KeepCompleter,
    /// Completes by an index and by the `n`th completer.
    CompleteBy(usize, u64),
    Evict(usize),
    EvictForeign,
    EvictFuture(u64),
    EvictHead,
    EvictIndex(u64),
    TryNext,
    PollNext,
    DrainReady,
    Finish,
    DropProducer,
    DropConsumer,
    KeepCanceller,
    Cancel(usize),
    /// Converts the ticket of the `n`th last reservation into bits and back, and completes it.
    ThroughBits(usize),
    BadBits(u64),
    FutureBits(u64),
    Look,
    /// Stops a completer of the `n`th last reservation while it writes.
    Hold(usize),
    Publish(usize),
    PublishGap(usize),
    /// Completes or evicts by a ticket or bits of the predecessor. Its position is `n` after the
    /// fourth last reserved one. Only a ring that was resumed has a predecessor.
    OfPredecessor(usize, u64),
}

pub(super) fn start() -> impl Strategy<Value = Start> {
    prop_oneof![
        2 => Just(Start::At(0)),
        1 => (0..100_u64).prop_map(Start::At),
        1 => any::<u64>().prop_map(|first| Start::At(first >> 4)),
        2 => (0..24_u64).prop_map(Start::BeforeTheEnd),
    ]
}

/// Returns a strategy for operations. It maps a kind and a number to an operation, which is much
/// faster than a strategy for each kind.
pub(super) fn op() -> impl Strategy<Value = Op> {
    (0..114_u8, 0..64_usize).prop_map(|(kind, n)| decode(kind, n))
}

fn decode(kind: u8, n: usize) -> Op {
    // Most of these positions are in the window, and some in earlier batches.
    let ago = n * n * n / 4096;
    let few = n % 9;
    let index = if n == 63 { u64::MAX } else { few as u64 };
    match kind {
        0..=7 => Op::Open,
        8..=13 => Op::Split,
        14..=23 => Op::Reserve,
        24..=26 => Op::ReserveMany(n % 11),
        27..=32 => Op::Permit,
        33..=36 => Op::PermitComplete(n),
        37..=39 => Op::PermitDrop(n),
        40..=51 => Op::Complete(ago),
        52..=54 => Op::Evict(ago),
        55..=64 => Op::TryNext,
        65..=72 => Op::PollNext,
        73..=74 => Op::DrainReady,
        75..=76 => Op::EvictHead,
        77 if n == 0 => Op::EvictIndex(u64::MAX),
        77..=78 => Op::EvictIndex(few as u64),
        79..=80 => Op::Finish,
        81 => Op::DropProducer,
        82..=83 => Op::DropConsumer,
        84 => Op::KeepCanceller,
        85 => Op::Cancel(n),
        86..=87 => Op::ThroughBits(ago),
        88 => Op::BadBits(n as u64),
        89 if n < 4 => Op::FutureBits(u64::MAX - n as u64),
        89 => Op::FutureBits(few as u64),
        90 => Op::Look,
        91..=93 => Op::Hold(ago),
        94..=95 => Op::Publish(n),
        96 => Op::PublishGap(n),
        97 if n % 2 == 0 => Op::CompleteForeign,
        97 => Op::EvictForeign,
        98 => Op::CompleteFuture(few as u64),
        99 => Op::EvictFuture(few as u64),
        100..=102 => Op::ReserveThrough(index),
        103..=104 => Op::CompleteIndex(index),
        105..=106 => Op::KeepCompleter,
        107..=109 => Op::CompleteBy(n / 9, index),
        _ => Op::OfPredecessor(n / 9, few as u64),
    }
}
