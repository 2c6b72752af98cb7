//! The task that polls the source and spawns the jobs.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;
use reorder_ring::Producer;

use crate::outcome::{Failure, Panic};
use crate::spawn::Spawn;
use crate::spawned::OutcomeRing;
use crate::spawned::job::Job;
use crate::spawned::running::{Running, complete};
use crate::unwind::{DiscardOnDrop, catch_panic, discard};

/// The maximum number of items of one poll. Other tasks of the runtime run in between.
const PER_POLL: u32 = 32;

/// Polls the source while the window has space, and spawns a job for each item.
pub(super) struct Puller<I: Stream, S, F, U> {
    /// Dropped before the producer: a consumer that sees the end sees what this `Drop` does.
    source: Option<Pin<Box<I>>>,
    /// `None` once the stream has ended.
    producer: Option<Producer<OutcomeRing<U>>>,
    /// The number of slots that must be free before the next item. The ring may have more slots
    /// than the window.
    needed: usize,
    job: DiscardOnDrop<F>,
    spawner: Arc<DiscardOnDrop<S>>,
    running: Arc<Running<U>>,
}

// Nothing in it is ever pinned, except by its own box.
impl<I: Stream, S, F, U> Unpin for Puller<I, S, F, U> {}

impl<I, S, F, A> Puller<I, S, F, A::Output>
where
    I: Stream,
    S: Spawn,
    F: FnMut(I::Item) -> A,
    A: Future<Output: Send> + Send + 'static,
{
    pub(super) fn new(
        source: Pin<Box<I>>,
        producer: Producer<OutcomeRing<A::Output>>,
        window: usize,
        job: F,
        spawner: Arc<DiscardOnDrop<S>>,
        running: Arc<Running<A::Output>>,
    ) -> Self {
        let needed = producer.ring().capacity() - window + 1;
        let job = DiscardOnDrop::new(job);
        Puller { source: Some(source), producer: Some(producer), needed, job, spawner, running }
    }

    /// Takes one step. Returns `Pending` if it has to wait, and `Ready` at the end.
    fn step(&mut self, cx: &mut Context<'_>) -> Option<Poll<()>> {
        let (Some(producer), Some(source)) = (&mut self.producer, &mut self.source) else {
            return Some(Poll::Ready(()));
        };
        match producer.poll_space_many(cx, self.needed) {
            Poll::Pending => return Some(Poll::Pending),
            Poll::Ready(Ok(())) => {}
            // The consumer has gone. If positions are used up, it learns of a truncated stream.
            Poll::Ready(Err(_)) => return Some(self.abandon()),
        }
        match catch_unwind(AssertUnwindSafe(|| source.as_mut().poll_next(cx))) {
            Ok(Poll::Ready(Some(item))) => {
                self.start(item);
                None
            }
            Ok(Poll::Ready(None)) => Some(self.finish(None)),
            // The source keeps one waker, and the ring another one for the end of the consumer.
            Ok(Poll::Pending) => match producer.poll_cancelled(cx) {
                Poll::Pending => Some(Poll::Pending),
                Poll::Ready(()) => Some(self.abandon()),
            },
            Err(payload) => Some(self.finish(Some(payload))),
        }
    }

    /// Starts the job of an item.
    fn start(&mut self, item: I::Item) {
        let permit = match self.producer.as_mut().map(Producer::permit) {
            Some(Ok(permit)) => permit,
            // The consumer has gone meanwhile. The next step finds out.
            _ => return discard(item),
        };
        let index = permit.index();
        let future = match catch_unwind(AssertUnwindSafe(|| (*self.job)(item))) {
            Ok(future) => future,
            Err(payload) => return complete(permit, Err(Failure::panicked(payload))),
        };
        self.running.add(permit);
        let job = Box::pin(Job::new(future, index, Arc::clone(&self.running)));
        let spawned = catch_unwind(AssertUnwindSafe(|| self.spawner.spawn(job)));
        match (self.running.spawned(index), spawned) {
            (Some(permit), Err(payload)) => {
                complete(permit, Err(Failure::SpawnerPanicked(Panic::new(payload))));
            }
            // The runtime has dropped the job.
            (Some(permit), Ok(())) => discard(permit),
            // The job is not lost, so its own end counts.
            (None, spawned) => discard(spawned),
        }
    }

    /// Ends a stream whose consumer has gone.
    fn abandon(&mut self) -> Poll<()> {
        discard(self.source.take());
        discard(self.producer.take());
        Poll::Ready(())
    }

    /// Ends the stream in good order. A panic of the source is its last outcome.
    fn finish(&mut self, panic: Option<Box<dyn Any + Send>>) -> Poll<()> {
        let source = self.source.take();
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(source))).err();
        let payload = match panic {
            Some(payload) => {
                discard(dropped);
                Some(payload)
            }
            None => dropped,
        };
        let Some(mut producer) = self.producer.take() else { return Poll::Ready(()) };
        // There is space, because the source was asked for an item.
        if let Some((payload, Ok(permit))) = payload.map(|payload| (payload, producer.permit())) {
            complete(permit, Err(Failure::SourcePanicked(Panic::new(payload))));
        }
        // The waker of the consumer may panic.
        catch_panic(|| producer.finish());
        Poll::Ready(())
    }
}

impl<I, S, F, A> Future for Puller<I, S, F, A::Output>
where
    I: Stream,
    S: Spawn,
    F: FnMut(I::Item) -> A,
    A: Future<Output: Send> + Send + 'static,
{
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let running = Arc::clone(&self.running);
        let _span = running.span.enter();
        for _ in 0..PER_POLL {
            if let Some(poll) = self.step(cx) {
                return poll;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<I: Stream, S, F, U> Drop for Puller<I, S, F, U> {
    fn drop(&mut self) {
        // The runtime drops it. None of its threads could handle a panic.
        discard(self.source.take());
        discard(self.producer.take());
    }
}
