//! The parts that the tests of jobs share.

#![allow(dead_code, reason = "each test program uses some of it")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use reorder_remote::{
    Acknowledgement, Channel, Entry, Gap, InProcess, Link, LinkError, Message, MessageId, Owner,
    OwnerBuilder, OwnerError, Receipt, Task, Worker, WorkerStats,
};
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

/// A link that counts acknowledgements. After too many of them, it panics. Its engine is read-only
/// on demand.
#[derive(Clone)]
pub(crate) struct TestLink {
    pub(crate) link: InProcess,
    pub(crate) acknowledgements: Arc<AtomicU64>,
    pub(crate) is_read_only: bool,
}

impl TestLink {
    pub(crate) fn new(link: &InProcess) -> TestLink {
        let link = link.clone();
        TestLink { link, acknowledgements: Arc::default(), is_read_only: false }
    }
}

impl Link for TestLink {
    type Receipt = Receipt;

    fn max_message(&self) -> usize {
        Link::max_message(&self.link)
    }

    async fn publish(&self, channel: Channel, id: MessageId, body: Bytes) -> Result<(), LinkError> {
        self.link.publish(channel, id, body).await
    }

    async fn receive(
        &self,
        channel: Channel,
        most: usize,
    ) -> Result<Vec<Message<Receipt>>, LinkError> {
        self.link.receive(channel, most).await
    }

    async fn acknowledge(&self, receipt: &Receipt, with: Acknowledgement) -> Result<(), LinkError> {
        let count = self.acknowledgements.fetch_add(1, Ordering::Relaxed);
        assert!(count < 1000, "too many acknowledgements");
        self.link.acknowledge(receipt, with).await
    }

    async fn load(&self) -> Result<Option<Entry>, LinkError> {
        self.link.load().await
    }

    async fn store(&self, value: Bytes, expected: Option<u64>) -> Result<Option<u64>, LinkError> {
        if self.is_read_only {
            return Err(LinkError::Unavailable("the entry is read-only".into()));
        }
        self.link.store(value, expected).await
    }
}
