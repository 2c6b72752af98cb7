//! Runs an operation of the ring or the pool many times, for `ci/instructions.sh` to count.
//! Instructions are counted within the functions `probe_*`. An operation calls one of them only.
//!
//! Without an argument, the program lists the operations. With the name of an operation, it runs
//! that operation and prints how often.

use std::array;

use reorder_ring::{
    Batch, Consumer, Delivery, Permit, Producer, Reason, Rejected, ReserveError, Ring, RingPool,
    Ticket, TryNextError,
};

const WINDOW: usize = 64;
const BATCH: usize = 16;
/// A multiple of the 128 pins after which an epoch collects.
const ROUNDS: usize = 1024;

type Sides<'a> = (Producer<&'a Ring<u64>>, Consumer<&'a Ring<u64>>);

/// Name, function that runs it [`ROUNDS`] times, and number of operations in a round.
const OPERATIONS: &[(&str, fn(), usize)] = &[
    ("reserve", reserve, WINDOW),
    ("reserve_many, a ticket of 64", reserve_many, WINDOW),
    ("complete", complete, WINDOW),
    ("complete, duplicate", refuse_duplicates, WINDOW),
    ("complete, stale", refuse_stale, WINDOW),
    ("complete, foreign", refuse_foreign, WINDOW),
    ("permit and its complete", permit_complete, WINDOW),
    ("evict", evict, WINDOW),
    ("try_next", try_next, WINDOW),
    ("drain_ready, an item of 64", drain_ready, WINDOW),
    ("unsplit batch: reserve, complete, try_next", unsplit, WINDOW),
    ("unsplit batch: drain_ready, an item of 64", unsplit_drain_ready, WINDOW),
    ("batch of 16, opened to closed", batch, 1),
    ("pool: lease, and its end", pool_lease, 1),
    ("pool: complete", pool_complete, BATCH),
    ("pool: complete, stale", pool_complete_stale, 1),
];

fn main() {
    let Some(wanted) = std::env::args().nth(1) else {
        return OPERATIONS.iter().for_each(|(name, ..)| println!("{name}"));
    };
    let known = OPERATIONS.iter().find(|(name, ..)| *name == wanted);
    let (_, run, operations) = known.expect("the name of an operation");
    run();
    println!("{}", operations * ROUNDS);
}

#[unsafe(no_mangle)]
#[inline(never)]
fn probe_reserve(producer: &mut Producer<&Ring<u64>>) -> Result<Ticket, ReserveError> {
    producer.reserve()
}

#[unsafe(no_mangle)]
#[inline(never)]
fn probe_reserve_many(producer: &mut Producer<&Ring<u64>>, tickets: &mut [Option<Ticket>]) {
    let reserved = producer.reserve_many(tickets.len()).unwrap();
    tickets.iter_mut().zip(reserved).for_each(|(place, ticket)| *place = Some(ticket));
}

#[unsafe(no_mangle)]
#[inline(never)]
fn probe_complete(ring: &Ring<u64>, ticket: Ticket, value: u64) -> Result<(), Rejected<u64>> {
    ring.complete(ticket, value)
}

#[unsafe(no_mangle)]
#[inline(never)]
fn probe_permit(producer: &mut Producer<&Ring<u64>>, value: u64) -> Result<(), Rejected<u64>> {
    let permit: Permit<_> = producer.permit().unwrap();
    permit.complete(value)
}

#[unsafe(no_mangle)]
#[inline(never)]
fn probe_evict(ring: &Ring<u64>, ticket: Ticket) -> Result<(), Reason> {
    ring.evict(ticket)
}

#[unsafe(no_mangle)]
#[inline(never)]
fn probe_try_next(consumer: &mut Consumer<&Ring<u64>>) -> Result<Delivery<u64>, TryNextError> {
    consumer.try_next()
}

#[unsafe(no_mangle)]
#[inline(never)]
fn probe_drain_ready(consumer: &mut Consumer<&Ring<u64>>) -> u64 {
    consumer.drain_ready().map(|delivery| delivery.outcome.unwrap()).sum()
}

#[unsafe(no_mangle)]
#[inline(never)]
fn probe_unsplit(batch: &mut Batch<&Ring<u64>>) -> u64 {
    let ticket = batch.reserve().unwrap();
    batch.ring().complete(ticket, 7).unwrap();
    batch.try_next().unwrap().outcome.unwrap()
}

#[unsafe(no_mangle)]
#[inline(never)]
fn probe_unsplit_drain_ready(batch: &mut Batch<&Ring<u64>>) -> u64 {
    batch.drain_ready().map(|delivery| delivery.outcome.unwrap()).sum()
}

#[unsafe(no_mangle)]
#[inline(never)]
fn probe_batch(ring: &Ring<u64>) -> u64 {
    let (mut producer, mut consumer) = ring.open().unwrap().split();
    for ticket in producer.reserve_many(BATCH).unwrap() {
        ring.complete(ticket, 7).unwrap();
    }
    producer.finish();
    let mut sum = 0;
    while let Some(delivery) = consumer.next().unwrap() {
        sum += delivery.outcome.unwrap();
    }
    sum
}

#[unsafe(no_mangle)]
#[inline(never)]
fn probe_lease(pool: &RingPool<u64>) {
    drop(pool.lease(BATCH).unwrap());
}

#[unsafe(no_mangle)]
#[inline(never)]
fn probe_pool_complete(pool: &RingPool<u64>, ticket: Ticket) -> Result<(), Rejected<u64>> {
    pool.complete(ticket, 7)
}

/// Runs `round` on one open batch, and takes what it has left there.
fn rounds(mut round: impl FnMut(&Ring<u64>, &mut Sides<'_>)) {
    let ring = Ring::with_capacity(WINDOW).unwrap();
    let mut sides = ring.open().unwrap().split();
    for _ in 0..ROUNDS {
        round(&ring, &mut sides);
        sides.1.drain_ready().for_each(drop);
    }
}

/// A full window.
fn reserved(producer: &mut Producer<&Ring<u64>>) -> [Ticket; WINDOW] {
    array::from_fn(|_| producer.reserve().unwrap())
}

fn complete_all(ring: &Ring<u64>, tickets: [Ticket; WINDOW]) {
    tickets.into_iter().for_each(|ticket| ring.complete(ticket, 7).unwrap());
}

fn refuse_all(ring: &Ring<u64>, tickets: [Ticket; WINDOW], reason: Reason) {
    for ticket in tickets {
        assert_eq!(probe_complete(ring, ticket, 8).unwrap_err().reason, reason);
    }
}

fn reserve() {
    rounds(|ring, (producer, _)| {
        complete_all(ring, array::from_fn(|_| probe_reserve(producer).unwrap()));
    });
}

fn reserve_many() {
    rounds(|ring, (producer, _)| {
        let mut tickets = [None; WINDOW];
        probe_reserve_many(producer, &mut tickets);
        complete_all(ring, tickets.map(Option::unwrap));
    });
}

fn complete() {
    rounds(|ring, (producer, _)| {
        for ticket in reserved(producer) {
            probe_complete(ring, ticket, 7).unwrap();
        }
    });
}

fn refuse_duplicates() {
    rounds(|ring, (producer, _)| {
        let tickets = reserved(producer);
        complete_all(ring, tickets);
        refuse_all(ring, tickets, Reason::Duplicate);
    });
}

fn refuse_stale() {
    let ring = Ring::with_capacity(WINDOW).unwrap();
    for _ in 0..ROUNDS {
        let stale = reserved(&mut ring.open().unwrap().split().0);
        let _later = ring.open().unwrap();
        refuse_all(&ring, stale, Reason::Stale);
    }
}

fn refuse_foreign() {
    let other = Ring::with_capacity(WINDOW).unwrap();
    let foreign = reserved(&mut other.open().unwrap().split().0);
    rounds(|ring, _| refuse_all(ring, foreign, Reason::Foreign));
}

fn permit_complete() {
    rounds(|_, (producer, _)| {
        (0..WINDOW).for_each(|_| probe_permit(producer, 7).unwrap());
    });
}

fn evict() {
    rounds(|ring, (producer, _)| {
        for ticket in reserved(producer) {
            probe_evict(ring, ticket).unwrap();
        }
    });
}

fn try_next() {
    rounds(|ring, (producer, consumer)| {
        complete_all(ring, reserved(producer));
        assert!((0..WINDOW).all(|_| probe_try_next(consumer).is_ok()));
    });
}

fn drain_ready() {
    rounds(|ring, (producer, consumer)| {
        complete_all(ring, reserved(producer));
        assert_eq!(probe_drain_ready(consumer), 7 * WINDOW as u64);
    });
}

fn unsplit() {
    let ring = Ring::with_capacity(WINDOW).unwrap();
    let mut batch = ring.open().unwrap();
    assert!((0..WINDOW * ROUNDS).all(|_| probe_unsplit(&mut batch) == 7));
}

fn unsplit_drain_ready() {
    let ring = Ring::with_capacity(WINDOW).unwrap();
    let mut batch = ring.open().unwrap();
    for _ in 0..ROUNDS {
        for ticket in batch.reserve_many(WINDOW).unwrap() {
            ring.complete(ticket, 7).unwrap();
        }
        assert_eq!(probe_unsplit_drain_ready(&mut batch), 7 * WINDOW as u64);
    }
}

fn batch() {
    let ring = Ring::with_capacity(BATCH).unwrap();
    for _ in 0..ROUNDS {
        assert_eq!(probe_batch(&ring), 7 * BATCH as u64);
    }
}

fn pool_lease() {
    let pool = RingPool::new();
    (0..ROUNDS).for_each(|_| probe_lease(&pool));
}

fn pool_complete() {
    let pool = RingPool::new();
    for _ in 0..ROUNDS {
        let lease = pool.lease(BATCH).unwrap();
        let mut batch = lease.open().unwrap();
        for ticket in batch.reserve_many(BATCH).unwrap() {
            probe_pool_complete(&pool, ticket).unwrap();
        }
    }
}

fn pool_complete_stale() {
    let pool = RingPool::new();
    let stale = pool.lease(BATCH).unwrap().open().unwrap().reserve().unwrap();
    for _ in 0..ROUNDS {
        assert_eq!(probe_pool_complete(&pool, stale).unwrap_err().reason, Reason::Stale);
    }
}
