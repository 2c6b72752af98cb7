//! The consumer's handle of a stream.

use std::fmt;
use std::sync::Arc;

use reorder_ring::{Consumer, Delivery, TryNextError};

use crate::failure::{Failure, Outcome};
use crate::hub::{Hub, Turn};
use crate::park;
use crate::stream::{OutcomeRing, Stream};
use crate::work::Work;
use crate::worker;

/// The outcomes of a stream's items, in the order of its source.
///
/// While the next outcome is missing, the consumer's own thread runs items if that was measured to
/// be cheap, if it is a worker of the executor, or if the executor was dropped; see
/// [`Builder::consumer_helps`](crate::Builder::consumer_helps).
///
/// Dropping it stops the stream: the source is pulled no further and dropped, results that are
/// still on their way are refused by the ring and dropped where they were made. It does not wait
/// for them, and may be forgotten: the stream then runs to the end of its window and stays there.
///
/// ```
/// use reorder_executor::Executor;
///
/// let executor = Executor::builder().workers(2).build()?;
/// let lines = ["3", "1", "four", "1"];
/// // Parsed in parallel, summed up to the first that is wrong, in order.
/// let mut sum = 0;
/// for number in executor.stream(lines, str::parse::<u32>) {
///     let Ok(number) = number? else { break };
///     sum += number;
/// }
/// assert_eq!(sum, 4);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Progress
///
/// `next` blocks until the outcome of the next item is there, however many are behind it. If this
/// thread does not run items itself, it needs a worker that is not kept by other jobs.
///
/// # Panics
///
/// Dropping it passes on a panic in the `Drop` of a result that nobody took. Jobs, the
/// source and what they captured are caught.
#[must_use = "dropping a stream stops it"]
pub struct Ordered<'a, U: Send> {
    /// `None` once the stream has ended.
    consumer: Option<Consumer<OutcomeRing<U>>>,
    stream: Arc<dyn Stream + 'a>,
    hub: Arc<Hub>,
    /// What the workers know of it, to be withdrawn; a scope withdraws its own.
    published: Option<Arc<dyn Work>>,
    /// Takes until the producer side should look for room again.
    until_room: usize,
}

impl<'a, U: Send> Ordered<'a, U> {
    pub(crate) fn new(
        consumer: Consumer<OutcomeRing<U>>,
        stream: Arc<dyn Stream + 'a>,
        hub: Arc<Hub>,
        published: Option<Arc<dyn Work>>,
    ) -> Self {
        Ordered {
            until_room: half_window(&consumer),
            consumer: Some(consumer),
            stream,
            hub,
            published,
        }
    }

    fn may_help(&self) -> bool {
        self.hub.is_stopping()
            || worker::is_worker_of(&self.hub)
            || self.hub.consumer_helps && self.stream.is_cheap()
    }

    /// Blocks until there is a delivery, or the end.
    fn wait(&mut self) -> Option<Delivery<Outcome<U>>> {
        loop {
            match self.consumer.as_mut()?.try_next() {
                Ok(delivery) => return Some(delivery),
                Err(TryNextError::Pending) => {}
                Err(_) => return None,
            }
            self.stream.made_room(&self.hub);
            if self.may_help() && self.stream.help(&Turn::new(&self.hub, 0, false)) {
                continue;
            }
            let helps = self.may_help();
            let (stream, hub) = (&self.stream, &self.hub);
            let has_work = || {
                // Asked again after the waker is in place: what changes later uses it.
                (helps || hub.is_stopping()) && stream.claimable()
            };
            match park::until_settled(self.consumer.as_mut()?, stream.consumer(), has_work) {
                Some(Ok(Some(delivery))) => return Some(delivery),
                Some(_) => return None,
                None => {}
            }
        }
    }

    /// The producer side is told of room once per half window, not at every take.
    fn took_one(&mut self) {
        self.until_room -= 1;
        if self.until_room == 0 {
            self.until_room = self.consumer.as_ref().map_or(1, half_window);
            self.stream.made_room(&self.hub);
        }
    }

    fn stop(&mut self) {
        if let Some(published) = self.published.take() {
            self.hub.withdraw(&published);
        }
        self.stream.cancel();
        // Last, since this drops undelivered values, and their `Drop` may panic.
        drop(self.consumer.take());
    }
}

fn half_window<U>(consumer: &Consumer<OutcomeRing<U>>) -> usize {
    (consumer.ring().capacity() / 2).max(1)
}

impl<U: Send> Iterator for Ordered<'_, U> {
    type Item = Outcome<U>;

    fn next(&mut self) -> Option<Outcome<U>> {
        let Some(delivery) = self.wait() else {
            self.stop();
            return None;
        };
        self.took_one();
        Some(delivery.outcome.unwrap_or_else(|gap| Err(Failure::Gap(gap))))
    }
}

impl<U: Send> std::iter::FusedIterator for Ordered<'_, U> {}

impl<U: Send> Drop for Ordered<'_, U> {
    fn drop(&mut self) {
        self.stop();
    }
}

impl<U: Send> fmt::Debug for Ordered<'_, U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ordered").field("consumer", &self.consumer).finish_non_exhaustive()
    }
}
