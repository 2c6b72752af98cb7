//! A stream whose consumer is a task.

use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker, ready};

use reorder_ring::Delivery;

use crate::chunk::Chunk;
use crate::failure::{Discarded, Outcome, contain};
use crate::ordered::{Missing, Ordered};

/// A task's waker, whose panics stay here: those who use it have counts to keep, cells to leave whole, or, as the
/// thread of all timers, much else to do.
pub(super) struct TaskWaker(Discarded<Waker>);

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        contain(|| self.0.wake_by_ref());
    }
}

impl<U: Send, E: Send> Ordered<'_, U, E> {
    /// As `wait`, but leaves a waker instead of blocking.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Delivery<Chunk<U, E>>>> {
        let waker = self.guarded(cx.waker());
        let cx = &mut Context::from_waker(&waker);
        loop {
            // Before the look at what uses it.
            self.stream.consumer().register(cx.waker());
            let Some(consumer) = &mut self.consumer else { return Poll::Ready(None) };
            if let Poll::Ready(next) = consumer.poll_next(cx) {
                return Poll::Ready(next.map_or(None, |next| next.or_else(|| self.ended())));
            }
            self.stream.made_room(&self.hub);
            match self.missing_before_help() {
                Some(Missing::Look) => continue,
                Some(Missing::End) => return Poll::Ready(None),
                Some(Missing::Wait(_)) | None => {}
            }
            if self.help(true) {
                continue;
            }
            match self.missing() {
                Missing::Wait(None) => return Poll::Pending,
                Missing::Wait(Some(until)) => ready!(self.alarm.poll(until, cx)),
                Missing::Look => {}
                Missing::End => return Poll::Ready(None),
            }
        }
    }

    fn guarded(&mut self, waker: &Waker) -> Waker {
        let known = self.waker.take().filter(|known| known.0.will_wake(waker));
        let guarded = known.unwrap_or_else(|| Arc::new(TaskWaker(Discarded::new(waker.clone()))));
        Waker::from(Arc::clone(self.waker.insert(guarded)))
    }

    /// The next outcome for a task, or `None` at the end; else the task is woken when it is worth another look.
    ///
    /// Only the task that polled last is woken. It runs no items, unless nobody else would, as above.
    ///
    /// ```
    /// use std::future::poll_fn;
    /// use std::pin::pin;
    /// use std::task::{Context, Poll, Waker};
    /// # use reorder_executor::Executor;
    /// # let executor = Executor::builder().workers(1).build()?;
    /// let mut lengths = executor.stream(["a", "bc"], str::len);
    /// let sum = async {
    ///     let mut sum = 0;
    ///     while let Some(length) = poll_fn(|cx| lengths.poll_next(cx)).await {
    ///         sum += length?;
    ///     }
    ///     Ok::<_, reorder_executor::Failure>(sum)
    /// };
    /// # let mut sum = pin!(sum);
    /// # let sum = loop {
    /// #     match sum.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
    /// #         Poll::Ready(sum) => break sum,
    /// #         Poll::Pending => std::thread::yield_now(),
    /// #     }
    /// # };
    /// assert_eq!(sum?, 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Progress
    ///
    /// It waits for nobody.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Outcome<U, E>>> {
        loop {
            if let Some(outcome) = self.chunk.pop() {
                return Poll::Ready(Some(outcome));
            }
            self.prepare_refill();
            let delivery = ready!(self.poll(cx));
            if !self.take_in(delivery) {
                self.stop();
                return Poll::Ready(None);
            }
            self.chunk.reverse();
        }
    }

    /// The same as a `Stream` of `futures-core`. (Not the trait itself: with both traits in scope, nobody could say
    /// which `next` is meant.)
    ///
    /// ```
    /// use futures_util::StreamExt;
    /// # let executor = reorder_executor::Executor::builder().workers(1).build()?;
    /// let lengths = executor.stream(["a", "bc"], str::len).into_stream();
    /// let lengths = futures_executor::block_on(lengths.map(Result::unwrap).collect::<Vec<_>>());
    /// assert_eq!(lengths, [1, 2]);
    /// # Ok::<(), reorder_executor::BuildError>(())
    /// ```
    pub fn into_stream(mut self) -> impl futures_util::Stream<Item = Outcome<U, E>> + Send + Unpin {
        futures_util::stream::poll_fn(move |cx| self.poll_next(cx))
    }
}
