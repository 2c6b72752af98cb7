//! The sides as tasks that are polled.

use std::future::poll_fn;
use std::sync::Arc;

use reorder_ring::{Consumer, Producer, Ring};
use tokio::sync::mpsc::{self, UnboundedSender};

use crate::Sides;
use crate::plan::{Completer, Plan, Slow};
use crate::progress::Progress;
use crate::usage::Metered;
use crate::work::{self, Checker, Pace, Run, Shuffler};

type SharedRing = Arc<Ring<u64>>;

pub(crate) fn run(plan: Plan, ring: SharedRing, progress: Arc<Progress>) -> Sides {
    // As many as sides, also on a machine with fewer processors.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build();
    runtime.expect("threads for tokio").block_on(async {
        let (producer, consumer) = ring.open_owned().expect("the ring is free").split();
        let (third, completing) = if plan.completer == Completer::Third {
            let (sender, mut runs) = mpsc::unbounded_channel::<Run>();
            let progress = Arc::clone(&progress);
            let completing = tokio::spawn(async move {
                let mut shuffler = Shuffler::new();
                while let Some(run) = runs.recv().await {
                    shuffler.complete(&ring, &run, &progress);
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
            completing.await.expect("the third does not panic");
        }
        sides
    })
}

async fn produce(
    mut producer: Producer<SharedRing>,
    plan: Plan,
    progress: Arc<Progress>,
    third: Option<UnboundedSender<Run>>,
) {
    let mut pace = Pace::new(plan.slow == Slow::Producer);
    while producer.reserved() < plan.items {
        poll_fn(|cx| producer.poll_space(cx)).await.expect("nobody cancels");
        let first = producer.reserved();
        let most = (producer.space() as u64).min(plan.items - first);
        let count = if third.is_some() { pace.count(most) } else { 1 };
        (0..count).for_each(|_| pace.work());
        let tickets = producer.reserve_many(count as usize).expect("there is room");
        progress.reserved.set(first + count);
        let run = Run { first, tickets };
        match &third {
            Some(third) => assert!(third.send(run).is_ok(), "the third stays to the end"),
            None => work::complete(producer.ring(), run, &progress),
        }
    }
    producer.finish();
}

async fn consume(mut consumer: Consumer<SharedRing>, plan: Plan, progress: Arc<Progress>) {
    let mut pace = Pace::new(plan.slow == Slow::Consumer);
    let mut checker = Checker::new(&progress);
    let next = async |consumer: &mut Consumer<_>| {
        poll_fn(|cx| consumer.poll_next(cx)).await.expect("the producer finishes")
    };
    while let Some(delivery) = next(&mut consumer).await {
        checker.check(delivery);
        pace.work();
    }
    checker.end(plan.items);
}
