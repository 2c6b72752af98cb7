//! The consumer's side: deliveries in order, and their commits.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::gap::Gap;
use crate::link::Link;
use crate::machine::Step;
use crate::owner::Owner;
use crate::owner::drive::Shared;
use crate::owner::error::OwnerError;
use crate::stats::{AnswerStats, OwnerStats};
use crate::task;

/// The results of a job, in the order of its items.
///
/// If it is dropped, the owner ends as if its process had died. The next owner goes on.
pub struct Results<L: Link, I, R> {
    pub(super) owner: Owner<L>,
    pub(super) tasks: I,
    pub(super) is_finished: bool,
    /// The source or a conversion runs, or has panicked.
    pub(super) panicked: bool,
    pub(super) values: PhantomData<fn() -> R>,
}

impl<L: Link, I, R> fmt::Debug for Results<L, I, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Results").field("owner", &self.owner).finish_non_exhaustive()
    }
}

impl<L, I, R> Results<L, I, R>
where
    L: Link,
    I: Iterator<Item = Result<Bytes, Gap>>,
    R: DeserializeOwned,
{
    /// Waits for the next item: its value, or the reason why it has none.
    ///
    /// It takes items from the source while the window has room. The future may be dropped at any
    /// time, and nothing is lost.
    ///
    /// Returns `None` after the last item. If all items are committed by then, it first waits until
    /// the lease is given back.
    ///
    /// # Errors
    ///
    /// * [`OwnerError::Fenced`] if a newer owner has the lease.
    /// * [`OwnerError::Record`] if the record of the job cannot be read any more.
    /// * [`OwnerError::Closed`] if an earlier call panicked, or the owner's runtime was shut down.
    ///
    /// # Panics
    ///
    /// Panics if the source, its function, or the conversion of a value panics. An item may be lost
    /// then, and the next item would get its index. So later calls fail.
    ///
    /// # Progress
    ///
    /// It waits for the result of the first missing item. If no worker runs, or the engine does not
    /// answer, it waits until that changes. It delivers nothing while the lease is not confirmed.
    /// If all items of the window were delivered and none was committed, it waits for a commit.
    pub async fn next(&mut self) -> Result<Option<Delivery<R>>, OwnerError> {
        if self.panicked {
            return Err(OwnerError::Closed);
        }
        loop {
            while self.offer() {}
            let is_finished = self.is_finished;
            let look = self.owner.shared.wait(|owner, now| match owner.next(now) {
                Step::Delivery { index, outcome } => Some(Look::Delivery(index, outcome)),
                Step::Ended if owner.is_closed() || !owner.is_committed() => Some(Look::Ended),
                Step::Ended | Step::Fenced { .. } | Step::Unreadable(_) => None,
                Step::Pending => (owner.free() > 0 && !is_finished).then_some(Look::Free),
            });
            match look.await? {
                Look::Delivery(index, outcome) => {
                    let decode =
                        |value: Bytes| task::decode(&value).map_err(|error| Gap::Payload { error });
                    let owner: Arc<dyn Commit> = Arc::clone(&self.owner.shared) as _;
                    self.panicked = true;
                    let outcome = outcome.and_then(decode);
                    self.panicked = false;
                    return Ok(Some(Delivery { index, outcome, owner }));
                }
                Look::Ended => return Ok(None),
                Look::Free => {}
            }
        }
    }

    /// Takes the tasks of a message from the source. Returns `false` if the window has no room, or
    /// the source has ended.
    fn offer(&mut self) -> bool {
        let shared = &self.owner.shared;
        let free = shared.lock().owner.free();
        if self.is_finished || free == 0 {
            return false;
        }
        for _ in 0..free.min(self.owner.items_per_message) {
            // The source is user code, so the machine is not locked meanwhile.
            self.panicked = true;
            let task = self.tasks.next();
            self.panicked = false;
            match task {
                Some(task) => shared.lock().owner.offer(task),
                None => {
                    shared.lock().owner.finish();
                    self.is_finished = true;
                    break;
                }
            }
        }
        shared.notify_driver();
        true
    }

    /// Returns the numbers of this owner.
    pub fn stats(&self) -> OwnerStats {
        self.owner.shared.lock().owner.stats()
    }

    /// Returns the numbers of each worker, by [`Worker::number`](crate::Worker::number). The first
    /// 1,024 workers are counted.
    ///
    /// ```
    /// use reorder_remote::{InProcess, Owner, Task, Worker};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let link = InProcess::new();
    /// let worker = Worker::new(link.clone()).number(7);
    /// tokio::spawn(worker.run(|task: Task<u8>| async move { Ok::<_, String>(task.value) }));
    /// let mut results = Owner::builder(link).open().await?.map([1, 2, 3], |n| n).results::<u8>();
    /// while let Some(delivery) = results.next().await? {
    ///     delivery.commit().await?;
    /// }
    /// assert_eq!(results.answers()[&7].accepted, 3);
    /// # Ok(())
    /// # }
    /// ```
    pub fn answers(&self) -> BTreeMap<u64, AnswerStats> {
        self.owner.shared.lock().owner.answers().clone()
    }

    /// Returns the index of the first item that is not committed.
    pub fn committed(&self) -> u64 {
        self.owner.shared.lock().owner.committed()
    }
}

/// The result of a look at the machine.
enum Look {
    Delivery(u64, Result<Bytes, Gap>),
    /// The window has room.
    Free,
    Ended,
}

/// One delivered item.
///
/// The engine keeps the result until the delivery is [committed](Delivery::commit).
#[must_use = "the window does not move before the delivery is committed"]
pub struct Delivery<R> {
    /// The index of the item.
    pub index: u64,
    /// The value, or the reason why there is none.
    pub outcome: Result<R, Gap>,
    owner: Arc<dyn Commit>,
}

impl<R> Delivery<R> {
    /// Commits this item and all items before it. The sink has stored them.
    ///
    /// A program may commit once for several deliveries, but at least once per window.
    ///
    /// * Without [`resume_from`](crate::OwnerBuilder::resume_from), it waits until the engine has
    ///   stored the number of committed items.
    /// * After the last item, it waits until the lease is given back.
    ///
    /// # Errors
    ///
    /// * [`OwnerError::Fenced`] if a newer owner has the lease. It delivers this item again, if its
    ///   watermark is below it.
    /// * [`OwnerError::Closed`] if the [`Results`] were dropped, or the owner's runtime was shut
    ///   down, before the item was committed. With
    ///   [`resume_from`](crate::OwnerBuilder::resume_from), this concerns the last item only.
    ///
    /// # Progress
    ///
    /// With [`resume_from`](crate::OwnerBuilder::resume_from), it returns at once, but for the last
    /// item. Otherwise, and after the last item, it waits for the engine: if the engine does not
    /// answer, until it does. The future may be dropped at any time. If it was polled, the commit
    /// happens nevertheless, while the owner lives.
    pub async fn commit(&self) -> Result<(), OwnerError> {
        self.owner.commit(self.index).await
    }
}

impl<R: fmt::Debug> fmt::Debug for Delivery<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut delivery = f.debug_struct("Delivery");
        delivery.field("index", &self.index).field("outcome", &self.outcome);
        delivery.finish_non_exhaustive()
    }
}

/// Hides the type of the link from a delivery.
trait Commit: Send + Sync {
    fn commit(
        &self,
        index: u64,
    ) -> Pin<Box<dyn Future<Output = Result<(), OwnerError>> + Send + '_>>;
}

impl<R: Clone + Send + Sync + 'static> Commit for Shared<R> {
    fn commit(
        &self,
        index: u64,
    ) -> Pin<Box<dyn Future<Output = Result<(), OwnerError>> + Send + '_>> {
        Box::pin(self.wait(move |owner, _| {
            if owner.broken_by().is_some() {
                return None;
            }
            owner.commit(index + 1);
            let is_committed = owner.committed() > index;
            (is_committed && (!owner.is_committed() || owner.is_closed())).then_some(())
        }))
    }
}
