//! Tickets that find their rings by identity, while other threads lease, return or free these
//! rings.
//!
//! These models include the epochs of `crossbeam-epoch`. A thread registers, pins, collects and
//! unregisters, which takes many steps, so that most bounds are small.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use loom::thread::{self, JoinHandle};
use loom_tests::{Token, Tokens, explore};
use reorder_ring::{Reason, Refusals, Ticket, TicketError};

use super::{Pool, assert_delivers};

/// A thread knows the ring only by a ticket, which came through a channel that orders nothing.
#[test]
fn ring_found_by_its_identity() {
    explore("ring_found_by_its_identity", None, 5, || {
        let (pool, tokens) = (Pool::new(), Tokens::default());
        // The table entries exist before: std's primitives make them, and loom does not see these.
        let other = pool.lease(1).unwrap();
        let channel = Arc::new(Mutex::new(None::<Ticket>));
        let (late, sent, value) = (pool.clone(), Arc::clone(&channel), tokens.make("value"));
        let completer = thread::spawn(move || {
            let ticket = *sent.lock().unwrap();
            if let Some(Err(rejected)) = ticket.map(|ticket| late.complete(ticket, value)) {
                assert_eq!(rejected.reason, Reason::Foreign);
            }
        });
        let lease = pool.lease(1).unwrap();
        let mut batch = lease.open_owned().unwrap();
        *channel.lock().unwrap() = Some(batch.reserve().unwrap());
        completer.join().unwrap();
        if let Ok(delivery) = batch.try_next() {
            assert_eq!(delivery.outcome.unwrap().name, "value");
        }
        drop((batch, lease, other, pool));
        tokens.assert_all_gone();
    });
}

/// As above, for an operation that visits every ring.
#[test]
fn ring_found_among_all() {
    explore("ring_found_among_all", None, 9, || {
        let pool = Pool::new();
        let other = pool.lease(1).unwrap();
        let counting = {
            let pool = pool.clone();
            thread::spawn(move || assert_eq!(pool.refusals(), Refusals::default()))
        };
        let lease = pool.lease(1).unwrap();
        counting.join().unwrap();
        drop((lease, other, pool));
    });
}

/// Retires a ring while `late` looks it up with a ticket of a closed batch. In some executions the
/// ring must be freed when the retirement returns, and in others not.
///
/// Loom runs the main thread first, and explores the other interleavings from there.
/// `late_goes_first` decides which of the two runs on the main thread.
fn retired_meanwhile(
    name: &str,
    bound: usize,
    floor: usize,
    late_goes_first: bool,
    late: impl Fn(&Pool, Ticket, Token) + Copy + Send + Sync + 'static,
) {
    let freed = Arc::new([const { AtomicUsize::new(0) }; 2]);
    let seen = Arc::clone(&freed);
    explore(name, Some(bound), floor, move || {
        let (pool, tokens) = (Pool::new(), Tokens::default());
        let ticket = pool.lease(1).unwrap().open().unwrap().reserve().unwrap();
        // The first pin of a thread collects garbage, and is an epoch behind. The main thread makes
        // its first pin here.
        assert_eq!(pool.ticket_from_bits(ticket.to_bits()), Ok(ticket));
        let (other, counts, value) = (pool.clone(), Arc::clone(&freed), tokens.make("late"));
        let retire = move |pool: &Pool| {
            pool.trim(0);
            let usage = pool.usage();
            assert_eq!(usage.rings, 0);
            counts[usize::from(usage.deferred_bytes == 0)].fetch_add(1, Relaxed);
        };
        if late_goes_first {
            let retiring = thread::spawn(move || retire(&other));
            late(&pool, ticket, value);
            retiring.join().unwrap();
        } else {
            let looking = thread::spawn(move || late(&other, ticket, value));
            retire(&pool);
            looking.join().unwrap();
        }
        drop(pool);
        tokens.assert_all_gone();
    });
    assert!(
        seen.iter().all(|times| times.load(Relaxed) > 0),
        "executions without and with a freed ring: {seen:?}"
    );
}

fn is_refused(pool: &Pool, ticket: Ticket, value: Token) {
    let refused = pool.complete(ticket, value).unwrap_err().reason;
    assert!(matches!(refused, Reason::Stale | Reason::Foreign), "{refused}");
}

#[test]
fn completion_in_a_retired_ring() {
    retired_meanwhile("completion_in_a_retired_ring", 3, 80000, false, is_refused);
}

#[test]
fn completion_before_a_retirement() {
    retired_meanwhile("completion_before_a_retirement", 4, 2400, true, is_refused);
}

#[test]
fn eviction_in_a_retired_ring() {
    retired_meanwhile("eviction_in_a_retired_ring", 2, 5000, false, |pool, ticket, _| {
        let refused = pool.evict(ticket).unwrap_err();
        assert!(matches!(refused, Reason::Stale | Reason::Foreign), "{refused}");
    });
}

#[test]
fn ticket_of_a_retired_ring() {
    retired_meanwhile("ticket_of_a_retired_ring", 2, 5000, false, |pool, ticket, _| {
        let rebuilt = pool.ticket_from_bits(ticket.to_bits());
        let freed = matches!(rebuilt, Err(TicketError::NotInPool { .. }));
        assert!(freed || rebuilt == Ok(ticket));
    });
}

#[test]
fn count_of_a_retired_ring() {
    retired_meanwhile("count_of_a_retired_ring", 2, 5000, false, |pool, _, _| {
        assert_eq!(pool.refusals(), Refusals::default());
    });
}

/// A ring is retired, and a new ring gets its table entry before the ticket is used. The new ring
/// has another identity.
#[test]
fn entry_of_a_retired_ring() {
    explore("entry_of_a_retired_ring", Some(2), 5000, || {
        let (pool, tokens) = (Pool::new(), Tokens::default());
        let ticket = pool.lease(1).unwrap().open().unwrap().reserve().unwrap();
        // The main thread makes its first pin here, as in `retired_meanwhile`.
        assert_eq!(pool.ticket_from_bits(ticket.to_bits()), Ok(ticket));
        let late = complete(&pool, ticket, tokens.make("late"));
        pool.trim(0);
        let lease = pool.lease(1).unwrap();
        assert_delivers(lease.open().unwrap(), &lease, &tokens);
        let refused = late.join().unwrap().expect_err("the batch is closed");
        assert!(matches!(refused, Reason::Stale | Reason::Foreign), "{refused}");
        drop((lease, pool));
        tokens.assert_all_gone();
    });
}

/// A ring is retired while another thread makes a ring, maybe for the same table entry. A ticket
/// finds the new ring.
#[test]
fn entry_handed_on() {
    explore("entry_handed_on", Some(2), 20000, || {
        let (pool, tokens) = (Pool::new(), Tokens::default());
        drop(pool.lease(1).unwrap());
        let (making, value) = (pool.clone(), tokens.make("value"));
        let making = thread::spawn(move || {
            let lease = making.lease(2).unwrap();
            let mut batch = lease.open().unwrap();
            let ticket = batch.reserve().unwrap();
            making.complete(ticket, value).expect("the ticket finds its ring");
            assert_eq!(batch.try_next().unwrap().outcome.unwrap().name, "value");
        });
        pool.trim(0);
        making.join().unwrap();
        drop(pool);
        tokens.assert_all_gone();
    });
}

/// Starts a thread that completes a position through the pool.
fn complete(pool: &Pool, ticket: Ticket, value: Token) -> JoinHandle<Result<(), Reason>> {
    let pool = pool.clone();
    thread::spawn(move || pool.complete(ticket, value).map_err(|rejected| rejected.reason))
}

/// Two completers, each with a lease of one ring and the ticket of the other ring.
#[test]
fn crossed_tickets() {
    explore("crossed_tickets", Some(2), 7000, || {
        let (pool, tokens) = (Pool::new(), Tokens::default());
        let leases = [pool.lease(1).unwrap(), pool.lease(1).unwrap()];
        let mut batches = leases.each_ref().map(|lease| lease.open_owned().unwrap());
        let [first, second] = batches.each_mut().map(|batch| batch.reserve().unwrap());
        let mut leases = leases.into_iter();
        let completers = [("second", second), ("first", first)].map(|(name, ticket)| {
            let (own, pool, value) = (leases.next().unwrap(), pool.clone(), tokens.make(name));
            thread::spawn(move || {
                let refused = own.complete(ticket, value).unwrap_err();
                assert_eq!(refused.reason, Reason::Foreign);
                pool.complete(ticket, refused.value).unwrap();
            })
        });
        for completer in completers {
            completer.join().unwrap();
        }
        for (batch, name) in batches.iter_mut().zip(["first", "second"]) {
            assert_eq!(batch.try_next().unwrap().outcome.unwrap().name, name);
        }
        drop((batches, pool));
        tokens.assert_all_gone();
    });
}

/// The consumer sleeps, and a completion or an eviction through the pool wakes it.
fn wakes_through_the_pool(evict: bool) {
    let (pool, tokens) = (Pool::new(), Tokens::default());
    let (mut producer, mut consumer) = pool.lease(1).unwrap().open_owned().unwrap().split();
    let ticket = producer.reserve().unwrap();
    let (late, value) = (pool.clone(), tokens.make("value"));
    let late = thread::spawn(move || match evict {
        true => late.evict(ticket).unwrap(),
        false => late.complete(ticket, value).unwrap(),
    });
    assert_eq!(consumer.next().unwrap().unwrap().outcome.is_err(), evict);
    late.join().unwrap();
    drop((producer, consumer, pool));
    tokens.assert_all_gone();
}

#[test]
fn completion_wakes_a_blocked_consumer() {
    explore("completion_wakes_a_blocked_consumer", None, 450, || wakes_through_the_pool(false));
}

#[test]
fn eviction_wakes_a_blocked_consumer() {
    explore("eviction_wakes_a_blocked_consumer", None, 120, || wakes_through_the_pool(true));
}

/// A batch and its lease end while a completer may be writing, and other leases follow. Each lease
/// has a ring of its own. The orphan is polled, and its ring is leased again.
#[test]
fn lease_ends_around_a_writer() {
    explore("lease_ends_around_a_writer", None, 1800, || {
        let (pool, tokens) = (Pool::new(), Tokens::default());
        let lease = pool.lease(1).unwrap();
        let mut batch = lease.open_owned().unwrap();
        let ticket = batch.reserve().unwrap();
        let late = complete(&pool, ticket, tokens.make("late"));
        drop((batch, lease));
        let lease = pool.lease(1).unwrap();
        assert_delivers(lease.open().expect("the first batch of a lease"), &lease, &tokens);
        drop(lease);
        let refused = late.join().unwrap().err();
        assert!(matches!(refused, None | Some(Reason::Stale)), "{refused:?}");
        let leases = [pool.lease(1).unwrap(), pool.lease(1).unwrap()];
        assert!(pool.usage().rings <= 2, "the orphaned ring is never leased again");
        drop((leases, pool));
        tokens.assert_all_gone();
    });
}

/// The same in a pool that keeps no idle ring: the orphaned ring is freed in the end.
#[test]
fn ring_retired_around_a_writer() {
    explore("ring_retired_around_a_writer", Some(2), 15000, || {
        let (pool, tokens) = (Pool::with_idle_limit(0), Tokens::default());
        let mut batch = pool.lease(1).unwrap().open_owned().unwrap();
        let ticket = batch.reserve().unwrap();
        let late = complete(&pool, ticket, tokens.make("late"));
        drop(batch);
        let refused = late.join().unwrap().err();
        assert!(matches!(refused, None | Some(Reason::Stale | Reason::Foreign)), "{refused:?}");
        pool.trim(0);
        assert_eq!(pool.usage().rings, 0, "the ring is kept though no thread is writing");
        drop(pool);
        tokens.assert_all_gone();
    });
}
