//! The consumer's handle of a stream.

use std::fmt;
use std::mem;
use std::sync::Arc;

use reorder_ring::{Consumer, Delivery, TryNextError};

use crate::chunk::{Chunk, Spares};
use crate::failure::{Failure, Outcome};
use crate::hub::{Hub, Turn};
use crate::park;
use crate::primitive::Backoff;
use crate::stream::{ChunkRing, Stream};
use crate::work::Work;
use crate::worker;

/// Where chunks come out of a stream, and where they go when they are empty.
pub(crate) type Outlet<U> = (Consumer<ChunkRing<U>>, Arc<Spares<U>>);

/// The outcomes of a stream's items, in the order of its source.
///
/// While the next outcome is missing, the consumer's own thread runs items if these were measured to
/// be cheap and the source promises more by its `size_hint`; also if it is a worker of the executor,
/// or the executor was dropped. See [`Builder::consumer_helps`](crate::Builder::consumer_helps).
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
    consumer: Option<Consumer<ChunkRing<U>>>,
    /// What was taken from the ring last and not returned yet, back to front.
    chunk: Chunk<U>,
    spares: Arc<Spares<U>>,
    stream: Arc<dyn Stream + 'a>,
    hub: Arc<Hub>,
    /// What the workers know of it, to be withdrawn; a scope withdraws its own.
    published: Option<Arc<dyn Work>>,
    /// How many outcomes were taken from the ring, those of `chunk` included.
    taken: u64,
    /// When the producer side should look for room again.
    next_room: u64,
}

impl<'a, U: Send> Ordered<'a, U> {
    pub(crate) fn new(
        (consumer, spares): Outlet<U>,
        stream: Arc<dyn Stream + 'a>,
        hub: Arc<Hub>,
        published: Option<Arc<dyn Work>>,
    ) -> Self {
        Ordered {
            next_room: half_window(&consumer),
            consumer: Some(consumer),
            chunk: Chunk::new(),
            spares,
            taken: 0,
            stream,
            hub,
            published,
        }
    }

    /// Whether nobody else may be there to run the items: the executor is gone, or its workers wait
    /// for each other.
    fn has_duty(&self) -> bool {
        self.hub.is_stopping() || worker::is_worker_of(&self.hub)
    }

    fn may_help(&self) -> bool {
        self.has_duty() || self.hub.consumer_helps && self.stream.is_quick()
    }

    /// Blocks until there is a delivery, or the end.
    fn wait(&mut self) -> Option<Delivery<Chunk<U>>> {
        let backoff = Backoff::new();
        loop {
            match self.consumer.as_mut()?.try_next() {
                Ok(delivery) => return Some(delivery),
                Err(TryNextError::Pending) => {}
                Err(_) => return None,
            }
            self.stream.made_room(&self.hub);
            if self.may_help() && self.stream.help(&Turn::new(&self.hub, 0, false), self.has_duty())
            {
                continue;
            }
            if !backoff.is_completed() {
                // To be woken costs its waker as much as a small item, so it looks a few times first.
                backoff.snooze();
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

    /// Takes the next chunk, after what was taken before was returned. `false` at the end.
    #[cold]
    fn refill(&mut self) -> bool {
        // Before there is room again: as many chunks as fit the window are enough.
        self.spares.put(mem::take(&mut self.chunk));
        self.stream.delivered().set(self.taken);
        // The producer side is told of room once per half window, not at every chunk.
        if self.taken >= self.next_room {
            self.next_room = self.taken + self.consumer.as_ref().map_or(1, half_window);
            self.stream.made_room(&self.hub);
        }
        let Some(delivery) = self.wait() else { return false };
        self.chunk = delivery.outcome.unwrap_or_else(|gap| Chunk::from([Err(Failure::Gap(gap))]));
        self.chunk.reverse();
        self.taken += self.chunk.len() as u64;
        true
    }

    fn stop(&mut self) {
        if let Some(published) = self.published.take() {
            self.hub.withdraw(&published);
        }
        self.stream.cancel();
        // Last, since this drops undelivered values, and their `Drop` may panic.
        drop((mem::take(&mut self.chunk), self.consumer.take()));
    }
}

fn half_window<U>(consumer: &Consumer<ChunkRing<U>>) -> u64 {
    (consumer.ring().capacity() as u64 / 2).max(1)
}

impl<U: Send> Iterator for Ordered<'_, U> {
    type Item = Outcome<U>;

    #[inline]
    fn next(&mut self) -> Option<Outcome<U>> {
        loop {
            if let Some(outcome) = self.chunk.pop() {
                return Some(outcome);
            }
            if !self.refill() {
                self.stop();
                return None;
            }
        }
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
