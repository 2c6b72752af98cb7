//! The parts that the tests of jobs share.

#![allow(dead_code, reason = "each test program uses some of it")]

use std::time::Duration;

use reorder_remote::{Gap, InProcess, Owner, OwnerBuilder, OwnerError, Task, Worker, WorkerStats};
use tokio::task::JoinHandle;

pub(crate) type Outcomes = Vec<Result<u64, Gap>>;

/// Returns the settings of an owner, with short times.
pub(crate) fn owner(link: &InProcess) -> OwnerBuilder<InProcess> {
    let lease = Duration::from_millis(500);
    Owner::builder(link.clone()).lease(lease).ask_again_after(Duration::from_secs(20))
}

/// Delivers the squares of the numbers below `items`, and commits each of them.
pub(crate) async fn squares(owner: Owner<InProcess>, items: u64) -> Result<Outcomes, OwnerError> {
    let first = owner.first();
    let mut results = owner.map(first..items, |n| n).results::<u64>();
    let mut outcomes = Vec::new();
    while let Some(delivery) = results.next().await? {
        assert_eq!(delivery.index, first + outcomes.len() as u64);
        delivery.commit().await?;
        outcomes.push(delivery.outcome);
    }
    Ok(outcomes)
}

pub(crate) fn expected(items: std::ops::Range<u64>) -> Outcomes {
    items.map(|n| Ok(n * n)).collect()
}

pub(crate) async fn square(task: Task<u64>) -> Result<u64, String> {
    // Neighbours end in another order.
    tokio::time::sleep(Duration::from_millis(1 + task.value * 37 % 20)).await;
    Ok(task.value * task.value)
}

/// Starts a worker that squares numbers, and never stops.
pub(crate) fn square_worker(link: &InProcess) -> JoinHandle<WorkerStats> {
    let worker = Worker::new(link.clone()).concurrency(4);
    tokio::spawn(worker.run(square))
}
