//! The sides as tokio tasks.

use std::future::poll_fn;
use std::sync::Arc;

use reorder_ring::{Consumer, Producer, Ring};
use tokio::sync::mpsc::{self, UnboundedSender};

use crate::Sides;
use crate::plan::{Completer, Plan, Slow};
use crate::progress::Progress;
use crate::usage::Metered;
use crate::work::{self, Checker, Chunk, Load, Shuffler};

type SharedRing = Arc<Ring<u64>>;

pub(crate) fn run(plan: Plan, ring: SharedRing, progress: Arc<Progress>) -> Sides {
    // One thread per side, whatever the number of processors.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build();
    runtime.expect("start a runtime").block_on(async {
        let (producer, consumer) = ring.open_owned().expect("the ring is free").split();
        let (third, completing) = if plan.completer == Completer::Third {
            let (sender, mut chunks) = mpsc::unbounded_channel::<Chunk>();
            let progress = Arc::clone(&progress);
            let completing = tokio::spawn(async move {
                let mut shuffler = Shuffler::new();
                while let Some(chunk) = chunks.recv().await {
                    shuffler.complete(&ring, &chunk, &progress);
                }
            });
            (Some(sender), Some(completing))
        } else {
            (None, None)
        };
        let producing = Metered::new(produce(producer, plan, Arc::clone(&progress), third));
        let consuming = Metered::new(consume(consumer, plan, progress));
        let (producing, consuming) = (tokio::spawn(producing), tokio::spawn(consuming));
        let sides = Sides {
            producer: producing.await.expect("the producer does not panic"),
            consumer: consuming.await.expect("the consumer does not panic"),
        };
        if let Some(completing) = completing {
            completing.await.expect("the third task does not panic");
        }
        sides
    })
}

async fn produce(
    mut producer: Producer<SharedRing>,
    plan: Plan,
    progress: Arc<Progress>,
    third: Option<UnboundedSender<Chunk>>,
) {
    let mut load = Load::new(plan.slow == Slow::Producer);
    while producer.reserved() < plan.items {
        poll_fn(|cx| producer.poll_space(cx)).await.expect("the consumer stays to the end");
        let first = producer.reserved();
        let most = (producer.space() as u64).min(plan.items - first);
        let count = if third.is_some() { load.random_count(most) } else { 1 };
        (0..count).for_each(|_| load.work());
        let tickets = producer.reserve_many(count as usize).expect("the ring has free slots");
        progress.reserved.set(first + count);
        let chunk = Chunk { first, tickets };
        match &third {
            Some(third) => assert!(third.send(chunk).is_ok(), "the third task stays to the end"),
            None => work::complete(producer.ring(), chunk, &progress),
        }
    }
    producer.finish();
}

async fn consume(mut consumer: Consumer<SharedRing>, plan: Plan, progress: Arc<Progress>) {
    let mut load = Load::new(plan.slow == Slow::Consumer);
    let mut checker = Checker::new(&progress);
    let next = async |consumer: &mut Consumer<_>| {
        poll_fn(|cx| consumer.poll_next(cx)).await.expect("the producer finishes")
    };
    while let Some(delivery) = next(&mut consumer).await {
        checker.check(delivery);
        load.work();
    }
    checker.end(plan.items);
}
