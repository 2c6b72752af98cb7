//! Any one thread, stopped before each of its steps in turn.

use std::sync::mpsc;
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;

use reorder_ring::{RingPool, hook};

use crate::everybody::World;
use crate::ledger::Ledger;

/// So long is waited for what should take microseconds, before it is taken for standing still.
fn standstill() -> Duration {
    let told = std::env::var("REORDER_STANDSTILL").ok();
    Duration::from_secs(told.map_or(60, |seconds| seconds.parse().expect("a number of seconds")))
}

type Call = Box<dyn FnOnce() + Send>;

/// Runs `scenario` again and again, its first call stopped before step 0, 1, ... until that ends without
/// being stopped; meanwhile its second call has to end. `least` is how many steps there are to stop at.
fn freeze(least: usize, scenario: impl Fn(&Ledger) -> (Call, Call)) {
    for step in 0.. {
        let ledger = Ledger::default();
        let (victim, others) = scenario(&ledger);
        let (stops, stopped) = mpsc::channel();
        let (goes_on, may_go_on) = mpsc::channel::<()>();
        let victim = thread::spawn(move || {
            let mut left = Some(step);
            let stop = move || {
                if left == Some(0) {
                    stops.send(()).unwrap();
                    // Until the other end is dropped, by a panic too.
                    assert!(may_go_on.recv().is_err());
                }
                left = left.and_then(|left: usize| left.checked_sub(1));
            };
            hook::with(stop, victim);
        });
        // The victim has dropped its end if it is through without a stop.
        let is_stopped = stopped.recv().is_ok();
        let (end, ended) = mpsc::channel();
        let others = thread::spawn(move || {
            others();
            end.send(()).unwrap();
        });
        let went_on = ended.recv_timeout(standstill());
        drop(goes_on);
        let outcomes = (others.join(), victim.join());
        assert_ne!(
            went_on,
            Err(mpsc::RecvTimeoutError::Timeout),
            "before step {step} all stand still"
        );
        outcomes.0.and(outcomes.1).unwrap_or_else(|_| panic!("stopped before step {step}"));
        ledger.assert_each_dropped_once();
        if !is_stopped {
            assert!(step >= least, "it was stopped before {step} steps only");
            return;
        }
    }
}

/// A batch of `capacity` with `reserved` positions; `victim` takes what it needs of it.
fn freeze_in(
    least: usize,
    (capacity, reserved): (usize, usize),
    victim: impl Fn(&mut World) -> Call,
) {
    freeze(least, |ledger| {
        let mut world = World::new(capacity, reserved);
        world.ledger = ledger.clone();
        (victim(&mut world), Box::new(|| world.finish()))
    });
}

/// The same where the consumer waits for its head, if there is one.
fn freeze_waited(least: usize, victim: impl Fn(&mut World) -> Call) {
    freeze_in(least, (2, 2), |world| {
        world.wait();
        victim(world)
    });
}

fn completion(world: &mut World) -> Call {
    let (ring, ticket, value) = (world.ring.clone(), world.tickets[0], world.ledger.value());
    Box::new(move || _ = ring.complete(ticket, value))
}

fn eviction(world: &mut World) -> Call {
    let (ring, ticket) = (world.ring.clone(), world.tickets[0]);
    Box::new(move || _ = ring.evict(ticket))
}

fn permit(world: &mut World) -> reorder_ring::Permit<crate::everybody::Shared> {
    world.producer.as_mut().unwrap().permit().unwrap()
}

#[test]
fn complete() {
    freeze_in(2, (2, 2), completion);
    freeze_waited(3, completion);
    // Of a position that is settled.
    freeze_in(1, (2, 2), |world| {
        world.complete(0);
        completion(world)
    });
}

#[test]
fn evict() {
    freeze_in(1, (2, 2), eviction);
    freeze_waited(3, eviction);
}

#[test]
fn permits() {
    for capacity in [1, 2] {
        freeze_in(2, (capacity, 0), |world| {
            let (permit, value) = (permit(world), world.ledger.value());
            Box::new(move || _ = permit.complete(value))
        });
        freeze_in(1, (capacity, 0), |world| {
            let permit = permit(world);
            Box::new(move || drop(permit))
        });
    }
    freeze_in(3, (1, 0), |world| {
        let permit = permit(world);
        world.wait();
        Box::new(move || drop(permit))
    });
}

#[test]
fn reserve() {
    for reserved in 0..=2 {
        freeze_in(2, (2, reserved), |world| {
            let mut producer = world.producer.take().unwrap();
            Box::new(move || {
                _ = producer.reserve();
                _ = producer.reserve_many(2);
            })
        });
    }
}

#[test]
fn wait_for_room() {
    freeze_in(4, (2, 2), |world| {
        let mut producer = world.producer.take().unwrap();
        Box::new(move || _ = producer.poll_space(&mut Context::from_waker(Waker::noop())))
    });
}

/// Completed are the first so many of two.
#[test]
fn take() {
    for completed in 0..=2 {
        freeze_in(4, (2, 2), |world| {
            (0..completed).for_each(|index| world.complete(index));
            let mut consumer = world.consumer.take().unwrap();
            Box::new(move || while consumer.try_next().is_ok() {})
        });
        freeze_in(5, (2, 2), |world| {
            (0..completed).for_each(|index| world.complete(index));
            let mut consumer = world.consumer.take().unwrap();
            Box::new(move || {
                let mut context = Context::from_waker(Waker::noop());
                while consumer.poll_next(&mut context).is_ready() && consumer.delivered() < 2 {}
            })
        });
    }
}

#[test]
fn evict_from_the_consumer() {
    freeze_in(2, (2, 2), |world| {
        let mut consumer = world.consumer.take().unwrap();
        Box::new(move || {
            _ = consumer.evict_index(1);
            _ = consumer.evict_head();
        })
    });
}

#[test]
fn cancel() {
    freeze_waited(2, |world| {
        let canceller = world.canceller.clone();
        Box::new(move || _ = canceller.cancel())
    });
}

#[test]
fn leave() {
    // With values that nobody took, and a wish where the producer ends.
    for (completed, waits) in [(2, false), (0, true), (1, false)] {
        let make = |world: &mut World| {
            (0..completed).for_each(|index| world.complete(index));
            if waits {
                world.wait();
            }
        };
        freeze_in(4, (2, 2), |world| {
            make(world);
            let producer = world.producer.take().unwrap();
            Box::new(move || producer.finish())
        });
        freeze_in(4, (2, 2), |world| {
            make(world);
            let consumer = world.consumer.take().unwrap();
            Box::new(move || drop(consumer))
        });
        // As the last one, which closes.
        freeze_in(6, (2, 2), |world| {
            make(world);
            drop(world.producer.take());
            let consumer = world.consumer.take().unwrap();
            Box::new(move || drop(consumer))
        });
    }
    freeze_in(4, (2, 0), |world| {
        world.wait();
        let producer = world.producer.take().unwrap();
        Box::new(move || producer.finish())
    });
}

#[test]
fn open() {
    freeze_in(2, (2, 2), |world| {
        drop((world.producer.take(), world.consumer.take()));
        let ring = world.ring.clone();
        Box::new(move || drop(ring.open()))
    });
}

/// One who completes late, through the pool, while its ring goes back and is leased again.
#[test]
fn late_ticket_of_a_pool() {
    freeze(3, |ledger| {
        let pool = RingPool::with_idle_limit(0);
        let lease = pool.lease(2).unwrap();
        let mut batch = lease.open().unwrap();
        let ticket = batch.reserve().unwrap();
        drop(batch);
        drop(lease);
        let (late, value, ledger) = (pool.clone(), ledger.value(), ledger.clone());
        let others = move || {
            for capacity in [1, 2, 2, 4] {
                let lease = pool.lease(capacity).unwrap();
                let mut batch = lease.open().unwrap();
                let ticket = batch.reserve().unwrap();
                pool.complete(ticket, ledger.value()).unwrap();
                assert!(batch.try_next().unwrap().outcome.is_ok());
                pool.trim(0);
            }
        };
        (Box::new(move || _ = late.complete(ticket, value)), Box::new(others))
    });
}
