//! All other threads finish while any one thread is stopped before any of its steps.

use std::sync::mpsc;
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;

use reorder_ring::{RingPool, hook};

use crate::drop_counter::DropCounter;
use crate::world::World;

/// Returns the time after which the other threads count as blocked. They should take microseconds.
fn time_limit() -> Duration {
    let seconds = std::env::var("REORDER_STANDSTILL").ok();
    Duration::from_secs(seconds.map_or(60, |text| text.parse().expect("a number of seconds")))
}

type Call = Box<dyn FnOnce() + Send>;

/// Runs `scenario` repeatedly. Its first call is stopped before step 0, then before step 1, and so
/// on, until that call ends without a stop. Each time, the second call has to end meanwhile.
///
/// The first call must have at least `least` steps.
fn stop_at_each_step(least: usize, scenario: impl Fn(&DropCounter) -> (Call, Call)) {
    for step in 0.. {
        let counter = DropCounter::default();
        let (stopped_call, others) = scenario(&counter);
        let (stops, stopped) = mpsc::channel();
        let (resume, resumed) = mpsc::channel::<()>();
        let stopped_call = thread::spawn(move || {
            let mut left = Some(step);
            let stop = move || {
                if left == Some(0) {
                    stops.send(()).unwrap();
                    // Returns when `resume` is dropped, also by a panic.
                    assert!(resumed.recv().is_err());
                }
                left = left.and_then(|left: usize| left.checked_sub(1));
            };
            hook::with(stop, stopped_call);
        });
        // The thread drops `stops` if it ends without a stop.
        let is_stopped = stopped.recv().is_ok();
        let (end, ended) = mpsc::channel();
        let others = thread::spawn(move || {
            others();
            end.send(()).unwrap();
        });
        let finished = ended.recv_timeout(time_limit());
        drop(resume);
        let outcomes = (others.join(), stopped_call.join());
        assert_ne!(
            finished,
            Err(mpsc::RecvTimeoutError::Timeout),
            "the other threads block while a thread is stopped before step {step}"
        );
        outcomes.0.and(outcomes.1).unwrap_or_else(|_| panic!("a panic with a stop before {step}"));
        counter.assert_each_dropped_once();
        if !is_stopped {
            assert!(step >= least, "the call has {step} steps only");
            return;
        }
    }
}

/// Stops the call that `make_call` returns, on a batch of `capacity` with `reserved` positions.
/// `make_call` takes the handles that it needs from the batch.
fn stop_in_batch(
    least: usize,
    (capacity, reserved): (usize, usize),
    make_call: impl Fn(&mut World) -> Call,
) {
    stop_at_each_step(least, |counter| {
        let mut world = World::new(capacity, reserved);
        world.counter = counter.clone();
        (make_call(&mut world), Box::new(|| world.finish()))
    });
}

/// As `stop_in_batch`, while the consumer waits for its head.
fn stop_while_consumer_waits(least: usize, make_call: impl Fn(&mut World) -> Call) {
    stop_in_batch(least, (2, 2), |world| {
        world.wait();
        make_call(world)
    });
}

fn completion(world: &mut World) -> Call {
    let (ring, ticket, value) = (world.ring.clone(), world.tickets[0], world.counter.value());
    Box::new(move || _ = ring.complete(ticket, value))
}

fn eviction(world: &mut World) -> Call {
    let (ring, ticket) = (world.ring.clone(), world.tickets[0]);
    Box::new(move || _ = ring.evict(ticket))
}

fn permit(world: &mut World) -> reorder_ring::Permit<crate::world::Shared> {
    world.producer.as_mut().unwrap().permit().unwrap()
}

#[test]
fn complete() {
    stop_in_batch(2, (2, 2), completion);
    stop_while_consumer_waits(3, completion);
    // Completes a position that is complete already.
    stop_in_batch(1, (2, 2), |world| {
        world.complete(0);
        completion(world)
    });
}

#[test]
fn complete_by_index() {
    let completion = |world: &mut World| -> Call {
        let completer = world.producer.as_ref().unwrap().completer();
        let value = world.counter.value();
        Box::new(move || _ = completer.complete_index(0, value))
    };
    stop_in_batch(4, (2, 2), completion);
    stop_while_consumer_waits(5, completion);
    stop_in_batch(2, (2, 0), completion);
}

#[test]
fn evict() {
    stop_in_batch(1, (2, 2), eviction);
    stop_while_consumer_waits(3, eviction);
}

#[test]
fn permits() {
    for capacity in [1, 2] {
        stop_in_batch(2, (capacity, 0), |world| {
            let (permit, value) = (permit(world), world.counter.value());
            Box::new(move || _ = permit.complete(value))
        });
        stop_in_batch(1, (capacity, 0), |world| {
            let permit = permit(world);
            Box::new(move || drop(permit))
        });
    }
    stop_in_batch(3, (1, 0), |world| {
        let permit = permit(world);
        world.wait();
        Box::new(move || drop(permit))
    });
}

#[test]
fn reserve() {
    for reserved in 0..=2 {
        stop_in_batch(2, (2, reserved), |world| {
            let mut producer = world.producer.take().unwrap();
            Box::new(move || {
                _ = producer.reserve();
                _ = producer.reserve_many(2);
                _ = producer.reserve_through(3);
            })
        });
    }
}

#[test]
fn wait_for_space() {
    stop_in_batch(4, (2, 2), |world| {
        let mut producer = world.producer.take().unwrap();
        Box::new(move || _ = producer.poll_space(&mut Context::from_waker(Waker::noop())))
    });
}

/// The first `completed` of two positions are complete.
#[test]
fn take() {
    for completed in 0..=2 {
        stop_in_batch(4, (2, 2), |world| {
            (0..completed).for_each(|index| world.complete(index));
            let mut consumer = world.consumer.take().unwrap();
            Box::new(move || while consumer.try_next().is_ok() {})
        });
        stop_in_batch(5, (2, 2), |world| {
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
    stop_in_batch(2, (2, 2), |world| {
        let mut consumer = world.consumer.take().unwrap();
        Box::new(move || {
            _ = consumer.evict_index(1);
            _ = consumer.evict_head();
        })
    });
}

#[test]
fn cancel() {
    stop_while_consumer_waits(2, |world| {
        let canceller = world.canceller.clone();
        Box::new(move || _ = canceller.cancel())
    });
}

#[test]
fn leave() {
    // The batch has values that were not taken, or its consumer waits for the first position.
    for (completed, waits) in [(2, false), (0, true), (1, false)] {
        let prepare = |world: &mut World| {
            (0..completed).for_each(|index| world.complete(index));
            if waits {
                world.wait();
            }
        };
        stop_in_batch(4, (2, 2), |world| {
            prepare(world);
            let producer = world.producer.take().unwrap();
            Box::new(move || producer.finish())
        });
        stop_in_batch(4, (2, 2), |world| {
            prepare(world);
            let consumer = world.consumer.take().unwrap();
            Box::new(move || drop(consumer))
        });
        // The consumer leaves last, and closes the batch.
        stop_in_batch(6, (2, 2), |world| {
            prepare(world);
            drop(world.producer.take());
            let consumer = world.consumer.take().unwrap();
            Box::new(move || drop(consumer))
        });
    }
    stop_in_batch(4, (2, 0), |world| {
        world.wait();
        let producer = world.producer.take().unwrap();
        Box::new(move || producer.finish())
    });
}

#[test]
fn open() {
    stop_in_batch(2, (2, 2), |world| {
        drop((world.producer.take(), world.consumer.take()));
        let ring = world.ring.clone();
        Box::new(move || drop(ring.open()))
    });
}

/// A completer with a late ticket is stopped in a call to the pool. Meanwhile rings are returned
/// and leased again.
#[test]
fn late_ticket_of_a_pool() {
    stop_at_each_step(3, |counter| {
        let pool = RingPool::with_idle_limit(0);
        let lease = pool.lease(2).unwrap();
        let mut batch = lease.open().unwrap();
        let ticket = batch.reserve().unwrap();
        drop(batch);
        drop(lease);
        let (late, value, counter) = (pool.clone(), counter.value(), counter.clone());
        let others = move || {
            for capacity in [1, 2, 2, 4] {
                let lease = pool.lease(capacity).unwrap();
                let mut batch = lease.open().unwrap();
                let ticket = batch.reserve().unwrap();
                pool.complete(ticket, counter.value()).unwrap();
                assert!(batch.try_next().unwrap().outcome.is_ok());
                pool.trim(0);
            }
        };
        (Box::new(move || _ = late.complete(ticket, value)), Box::new(others))
    });
}
