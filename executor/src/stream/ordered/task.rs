//! A stream whose consumer is a task.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker, ready};

use futures_core::Stream;
use reorder_ring::Delivery;

use crate::io::Chunk;
use crate::outcome::Outcome;
use crate::stream::head_limits::HeadAction;
use crate::stream::ordered::Ordered;
use crate::unwind::{DiscardOnDrop, catch_panic};

/// The waker of a task. Its panics are caught, because they would leave the counters and cells of
/// the calling thread in an invalid state. The thread of the timers calls it, too.
pub(super) struct TaskWaker(DiscardOnDrop<Waker>);

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        catch_panic(|| self.0.wake_by_ref());
    }
}

impl<U: Send, E: Send> Ordered<'_, U, E> {
    /// Does the same as `wait`, but leaves a waker instead of blocking.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Delivery<Chunk<U, E>>>> {
        let waker = self.guarded(cx.waker());
        let cx = &mut Context::from_waker(&waker);
        loop {
            // Before the look at what uses it.
            self.stream.consumer().register(cx.waker());
            if let Some(gate) = self.stream.fair_share().gate() {
                gate.waiter.register(cx.waker());
            }
            let Some(consumer) = &mut self.consumer else { return Poll::Ready(None) };
            if let Poll::Ready(next) = consumer.poll_next(cx) {
                return Poll::Ready(next.map_or(None, |next| next.or_else(|| self.source_ended())));
            }
            match self.work_for_head(true) {
                HeadAction::Wait(None) => return Poll::Pending,
                HeadAction::Wait(Some(until)) => ready!(self.timer.poll(until, cx)),
                HeadAction::LookAgain => {}
                HeadAction::End => return Poll::Ready(None),
            }
        }
    }

    fn guarded(&mut self, waker: &Waker) -> Waker {
        let known = self.waker.take().filter(|known| known.0.will_wake(waker));
        let guarded =
            known.unwrap_or_else(|| Arc::new(TaskWaker(DiscardOnDrop::new(waker.clone()))));
        Waker::from(Arc::clone(self.waker.insert(guarded)))
    }

    /// Waits for the next outcome in async code. `None` is the end.
    ///
    /// The future calls [`poll_next`](Ordered::poll_next) and does nothing else. It can be dropped
    /// at any time, as by `select!` or a time-out. It has taken nothing before it is ready, so a
    /// later call gets the same outcome.
    ///
    /// ```
    /// use reorder_executor::{Failure, Ordered};
    ///
    /// async fn sum(mut lengths: Ordered<'_, usize>) -> Result<usize, Failure> {
    ///     let mut sum = 0;
    ///     while let Some(length) = lengths.next_async().await {
    ///         sum += length?;
    ///     }
    ///     Ok(sum)
    /// }
    /// # let executor = reorder_executor::Executor::builder().workers(1).build()?;
    /// let lengths = executor.stream(["a", "bc"], str::len);
    /// assert_eq!(futures_executor::block_on(sum(lengths))?, 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Progress
    ///
    /// It does not block. A poll of the future is a call of [`poll_next`](Ordered::poll_next).
    pub fn next_async(&mut self) -> impl Future<Output = Option<Outcome<U, E>>> + Send + Unpin {
        poll_fn(|cx| self.poll_next(cx))
    }

    /// Polls for the next outcome. `None` is the end. If the outcome is missing, the task is woken
    /// when it may be there.
    ///
    /// Only the task that polled last is woken. A poll runs items only if no other thread would run
    /// them. [`next_async`](Ordered::next_async) is the same as a future.
    ///
    /// ```
    /// use std::task::{Context, Poll, Waker};
    /// # let executor = reorder_executor::Executor::builder().workers(1).build()?;
    /// let mut lengths = executor.stream(["a"], str::len);
    /// let mut context = Context::from_waker(Waker::noop());
    /// let length = loop {
    ///     match lengths.poll_next(&mut context) {
    ///         Poll::Ready(length) => break length,
    ///         Poll::Pending => std::thread::yield_now(),
    ///     }
    /// };
    /// assert_eq!(length.transpose()?, Some(1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Progress
    ///
    /// It does not block.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Outcome<U, E>>> {
        loop {
            if let Some(outcome) = self.chunk.pop() {
                if self.chunk.is_empty() {
                    self.release_chunk();
                }
                return Poll::Ready(Some(outcome));
            }
            let delivery = ready!(self.poll(cx));
            if !self.accept(delivery) {
                self.stop();
                return Poll::Ready(None);
            }
            self.chunk.reverse();
        }
    }

    /// Turns this into a `Stream` of the crate `futures-core`.
    ///
    /// `Ordered` does not implement the trait itself: with both traits in scope, a call of `next`
    /// would be ambiguous.
    ///
    /// ```
    /// use futures_util::StreamExt;
    /// # let executor = reorder_executor::Executor::builder().workers(1).build()?;
    /// let lengths = executor.stream(["a", "bc"], str::len).into_stream();
    /// let lengths = futures_executor::block_on(lengths.map(Result::unwrap).collect::<Vec<_>>());
    /// assert_eq!(lengths, [1, 2]);
    /// # Ok::<(), reorder_executor::BuildError>(())
    /// ```
    pub fn into_stream(self) -> impl Stream<Item = Outcome<U, E>> + Send + Unpin {
        OutcomeStream(self)
    }
}

struct OutcomeStream<'a, U: Send, E: Send>(Ordered<'a, U, E>);

// Nothing in it is ever pinned.
impl<U: Send, E: Send> Unpin for OutcomeStream<'_, U, E> {}

impl<U: Send, E: Send> Stream for OutcomeStream<'_, U, E> {
    type Item = Outcome<U, E>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Outcome<U, E>>> {
        self.0.poll_next(cx)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}
