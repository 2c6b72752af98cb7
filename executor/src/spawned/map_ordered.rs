//! The stream of outcomes.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::{FusedStream, Stream};
use reorder_ring::{Consumer, Ring};

use crate::executor::write_window_error;
use crate::outcome::{Failure, Outcome};
use crate::spawn::Spawn;
use crate::spawned::OutcomeRing;
use crate::spawned::puller::Puller;
use crate::spawned::running::Running;
use crate::unwind::{DiscardOnDrop, discard};

/// The outcomes of the futures of a stream, in the order of the source. Made by
/// [`StreamExt::map_ordered`](crate::StreamExt::map_ordered).
///
/// The futures run up to the window ahead of the consumer, also while it does not poll. Dropping
/// this stream aborts them: the runtime drops each of them, and the source, when it polls them
/// next.
///
/// The stream may be forgotten. Then the futures run to the end of the window and stay there.
///
/// | event | outcome |
/// |---|---|
/// | the future panics, or the job that makes it does | [`Failure::Panicked`] at its place |
/// | the runtime drops the future | [`Failure::FutureDropped`] at its place |
/// | the spawner panics and drops the future | [`Failure::SpawnerPanicked`] at its place |
/// | the source panics, also when it is dropped at its end | [`Failure::SourcePanicked`], the last outcome |
/// | the runtime drops the task that polls the source | [`Failure::FutureDropped`], the last outcome |
///
/// # Panics
///
/// Dropping the stream passes on the first panic in the `Drop` of an outcome that was not taken,
/// unless the thread unwinds already. Other such panics are caught.
#[must_use = "dropping the stream aborts its futures"]
pub struct MapOrdered<U> {
    /// `None` once the end was returned.
    consumer: Option<Consumer<OutcomeRing<U>>>,
    running: Arc<Running<U>>,
    /// The number of items that the source promised, less the outcomes that were returned.
    left: (usize, Option<usize>),
}

impl<U: Send + 'static> MapOrdered<U> {
    pub(crate) fn open<I, S, F, A>(source: I, spawner: S, window: usize, job: F) -> MapOrdered<U>
    where
        I: Stream + Send + 'static,
        S: Spawn + Send + Sync + 'static,
        F: FnMut(I::Item) -> A + Send + 'static,
        A: Future<Output = U> + Send + 'static,
    {
        let (spawner, job) = (DiscardOnDrop::new(spawner), DiscardOnDrop::new(job));
        let source = DiscardOnDrop::new(source);
        let ring = match Ring::with_capacity(window) {
            Ok(ring) => Arc::new(ring),
            Err(error) => panic!("{}", WindowError(error)),
        };
        let hint = catch_unwind(AssertUnwindSafe(|| source.size_hint()));
        // A source without an end promises nothing. If it panics here, its poll may panic as well.
        let (least, most) = hint.map_err(discard).unwrap_or_default();
        let left = if most.is_none() { (0, None) } else { (least, most) };
        let (producer, consumer) = ring.open_owned().expect("a new ring is free").split();
        let running = Running::new(ring.capacity());
        let outcomes = MapOrdered { consumer: Some(consumer), running, left };
        let (spawner, running) = (Arc::new(spawner), Arc::clone(&outcomes.running));
        let (source, job) = (Box::pin(source.into_inner()), job.into_inner());
        let puller = Puller::new(source, producer, window, job, Arc::clone(&spawner), running);
        spawner.spawn(Box::pin(puller));
        outcomes
    }
}

/// The reason why there is no ring for a window.
struct WindowError(reorder_ring::CapacityError);

impl fmt::Display for WindowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_window_error(f, &self.0)
    }
}

impl<U> MapOrdered<U> {
    fn close(&mut self) {
        if let Some(consumer) = self.consumer.take() {
            self.left = (0, Some(0));
            self.running.abort();
            // Last, since this drops outcomes, and their `Drop` may panic.
            drop(consumer);
        }
    }
}

// Nothing in it is ever pinned.
impl<U> Unpin for MapOrdered<U> {}

impl<U> Stream for MapOrdered<U> {
    type Item = Outcome<U>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Outcome<U>>> {
        let Some(consumer) = &mut self.consumer else { return Poll::Ready(None) };
        match ready!(consumer.poll_next(cx)) {
            Ok(Some(delivery)) => {
                let (least, most) = self.left;
                self.left = (least.saturating_sub(1), most.map(|most| most.saturating_sub(1)));
                let outcome = delivery.outcome.map(super::Parcel::open);
                // Only a job that was dropped leaves a gap.
                Poll::Ready(Some(outcome.unwrap_or_else(|_| Err(Failure::future_dropped()))))
            }
            Ok(None) => {
                self.close();
                Poll::Ready(None)
            }
            // The puller was dropped. Items must not be missing silently.
            Err(_) => {
                self.close();
                Poll::Ready(Some(Err(Failure::puller_dropped())))
            }
        }
    }

    /// Returns the number of outcomes that are left. It is exact if the source states its number of
    /// items, and does not panic.
    fn size_hint(&self) -> (usize, Option<usize>) {
        self.left
    }
}

impl<U> FusedStream for MapOrdered<U> {
    fn is_terminated(&self) -> bool {
        self.consumer.is_none()
    }
}

impl<U> Drop for MapOrdered<U> {
    fn drop(&mut self) {
        self.close();
    }
}

impl<U> fmt::Debug for MapOrdered<U> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MapOrdered").field("consumer", &self.consumer).finish_non_exhaustive()
    }
}
