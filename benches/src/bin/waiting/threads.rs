//! The sides as threads that block.

use std::sync::mpsc::{self, Sender};
use std::thread;

use reorder_ring::{Consumer, Producer, Ring, TryNextError};

use crate::Sides;
use crate::plan::{Completer, Plan, Slow};
use crate::progress::Progress;
use crate::usage::{ThreadMeter, Usage};
use crate::work::{self, Checker, Chunk, Load, Shuffler};

pub(crate) fn run(plan: &Plan, ring: &Ring<u64>, progress: &Progress) -> Sides {
    let (producer, consumer) = ring.open().expect("the ring is free").split();
    thread::scope(|scope| {
        let third = (plan.completer == Completer::Third).then(|| {
            let (sender, chunks) = mpsc::channel::<Chunk>();
            scope.spawn(move || {
                let mut shuffler = Shuffler::new();
                chunks.iter().for_each(|chunk| shuffler.complete(ring, &chunk, progress));
            });
            sender
        });
        let producing = scope.spawn(move || produce(producer, plan, progress, third));
        let consuming = scope.spawn(move || consume(consumer, plan, progress));
        Sides {
            producer: producing.join().expect("the producer does not panic"),
            consumer: consuming.join().expect("the consumer does not panic"),
        }
    })
}

fn produce(
    mut producer: Producer<&Ring<u64>>,
    plan: &Plan,
    progress: &Progress,
    third: Option<Sender<Chunk>>,
) -> Usage {
    let mut meter = ThreadMeter::start();
    let mut load = Load::new(plan.slow == Slow::Producer);
    while producer.reserved() < plan.items {
        if producer.space() == 0 {
            meter.count_wait();
            producer.wait_for_space(None).expect("the consumer stays to the end");
        }
        let first = producer.reserved();
        let most = (producer.space() as u64).min(plan.items - first);
        let count = if third.is_some() { load.random_count(most) } else { 1 };
        (0..count).for_each(|_| load.work());
        let tickets = producer.reserve_many(count as usize).expect("the ring has free slots");
        progress.reserved.set(first + count);
        let chunk = Chunk { first, tickets };
        match &third {
            Some(third) => third.send(chunk).expect("the third thread stays to the end"),
            None => work::complete(producer.ring(), chunk, progress),
        }
    }
    producer.finish();
    meter.end()
}

fn consume(mut consumer: Consumer<&Ring<u64>>, plan: &Plan, progress: &Progress) -> Usage {
    let mut meter = ThreadMeter::start();
    let mut load = Load::new(plan.slow == Slow::Consumer);
    let mut checker = Checker::new(progress);
    loop {
        let next = match consumer.try_next() {
            Err(TryNextError::Pending) => {
                meter.count_wait();
                consumer.next().expect("the producer finishes")
            }
            Err(TryNextError::Ended) => None,
            delivery => Some(delivery.expect("the producer finishes")),
        };
        let Some(delivery) = next else { break };
        checker.check(delivery);
        load.work();
    }
    checker.end(plan.items);
    meter.end()
}
