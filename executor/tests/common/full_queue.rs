//! A queue without room, whose deadline comes soon.

use std::time::{Duration, Instant};

use reorder_executor::{Executor, Job, Ordered, Place, QueueSender};

/// A sender of the queue, its outcomes, and the place that takes its room.
type FullQueue = (QueueSender<u32, u32, ()>, Ordered<'static, u32, ()>, Place<u32, ()>);

/// Returns a queue without room. Nothing but the deadline ends a wait for room.
pub(crate) fn full_queue(executor: &Executor) -> FullQueue {
    let until_full = |time: Duration| {
        let batch = executor.batch(()).deadline(Instant::now() + time);
        let job = |n: u32, _: &Job<'_>| Ok::<_, ()>(n);
        let (sender, outcomes) = batch.queue(job).window(1).build().unwrap();
        // The deadline may have passed already.
        sender.try_reserve().ok().map(|place| (sender, outcomes, place))
    };
    (4..).find_map(|n| until_full(Duration::from_millis(1 << n))).unwrap()
}
