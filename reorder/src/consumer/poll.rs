//! Polling for the head of line, and the registration before every sleep.
//!
//! ```text
//!   load the tag ──► register the waker ──► mark the slot ──► fence ──► check the end ──► sleep
//!        │                                    │                           │
//!        └─ not missing: try again            └─ not missing: try again   └─ ended: try again
//! ```

use core::future::poll_fn;
use core::task::{Context, Poll, Waker};

use alloc::sync::Arc;

use crate::consumer::Consumer;
use crate::delivery::Delivery;
use crate::errors::{NextError, TryNextError};
use crate::primitive::Ordering::SeqCst;
use crate::primitive::fence;
use crate::primitive::shared_waker::SharedWaker;
use crate::ring::ring_ref::RingRef;
use crate::ring::tag::State;

/// The result of `prepare_wait`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PreparedWait {
    /// The head changed or the batch ended meanwhile. The caller tries again.
    Retry,
    /// A completer is writing the value. It will not wake the consumer, but ends soon.
    Writing,
    /// The next completion or eviction of the head, the end or a cancellation calls the waker.
    Registered,
}

impl<R: RingRef> Consumer<R> {
    /// Polls for the next delivery. `None` is the normal end of the batch.
    ///
    /// Only the waker of the last call is kept. It may also be called without a reason.
    ///
    /// ```
    /// use std::task::{Context, Poll, Waker};
    /// # use reorder_ring::Ring;
    /// # let ring = Ring::with_capacity(1)?;
    /// # let (mut producer, mut consumer) = ring.open()?.split();
    /// let ticket = producer.reserve()?;
    /// let mut context = Context::from_waker(Waker::noop());
    /// assert!(consumer.poll_next(&mut context).is_pending());
    ///
    /// ring.complete(ticket, 'a')?; // This calls the waker.
    /// producer.finish();
    /// let Poll::Ready(Ok(Some(delivery))) = consumer.poll_next(&mut context) else { panic!() };
    /// assert_eq!(delivery.outcome, Ok('a'));
    /// assert_eq!(consumer.poll_next(&mut context), Poll::Ready(Ok(None)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`NextError`] if the batch was truncated or cancelled.
    ///
    /// # Progress
    ///
    /// Wait-free: at most 25 steps. Registering the waker is not counted. A waker that differs from
    /// the one of the last call is cloned, and wrapped in an allocation. While a completer writes
    /// the head of line, the call wakes its own task, which polls again.
    pub fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Delivery<R::Value>>, NextError>> {
        loop {
            match self.try_next() {
                Ok(delivery) => return Poll::Ready(Ok(Some(delivery))),
                Err(TryNextError::Ended) => return Poll::Ready(Ok(None)),
                Err(TryNextError::Truncated) => return Poll::Ready(Err(NextError::Truncated)),
                Err(TryNextError::Cancelled) => return Poll::Ready(Err(NextError::Cancelled)),
                Err(TryNextError::Pending) => {}
            }
            match self.prepare_wait(SharedWaker::wrap(cx.waker(), self.waker.as_ref())) {
                // The head is no longer missing, or the batch ended. The next round returns.
                PreparedWait::Retry => {}
                PreparedWait::Writing => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                PreparedWait::Registered => return Poll::Pending,
            }
        }
    }

    /// Waits for the next delivery in async code. `None` is the normal end of the batch.
    ///
    /// The future calls [`poll_next`](Consumer::poll_next) and does nothing else. It can be dropped
    /// at any time, as by `select!` or a time-out. It has taken nothing before it is ready, so a
    /// later call gets the same delivery.
    ///
    /// ```
    /// # use std::{pin::pin, task::{Context, Poll, Waker}};
    /// use reorder_ring::{Consumer, NextError, Ring, RingRef};
    ///
    /// async fn sum<R: RingRef<Value = u32>>(mut consumer: Consumer<R>) -> Result<u32, NextError> {
    ///     let mut sum = 0;
    ///     while let Some(delivery) = consumer.next_async().await? {
    ///         sum += delivery.outcome.unwrap_or(0);
    ///     }
    ///     Ok(sum)
    /// }
    /// # let ring = Ring::with_capacity(2)?;
    /// # let (mut producer, consumer) = ring.open()?.split();
    /// # let (first, second) = (producer.reserve()?, producer.reserve()?);
    /// # producer.finish();
    /// # let mut context = Context::from_waker(Waker::noop());
    /// # let mut sum = pin!(sum(consumer));
    /// # assert!(sum.as_mut().poll(&mut context).is_pending());
    /// # ring.complete(first, 1)?;
    /// # assert!(sum.as_mut().poll(&mut context).is_pending());
    /// # ring.complete(second, 2)?;
    /// # assert_eq!(sum.as_mut().poll(&mut context), Poll::Ready(Ok(3)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`poll_next`](Consumer::poll_next).
    ///
    /// # Progress
    ///
    /// Wait-free: no shared access. A poll of the future is a call of
    /// [`poll_next`](Consumer::poll_next).
    pub fn next_async(
        &mut self,
    ) -> impl Future<Output = Result<Option<Delivery<R::Value>>, NextError>> + Unpin {
        poll_fn(|cx| self.poll_next(cx))
    }

    /// Registers the waker and marks the head of line as waited for, before every sleep.
    pub(crate) fn prepare_wait(&mut self, waker: Arc<SharedWaker>) -> PreparedWait {
        let (slot, generation) = self.ring.slot(self.head());
        let tag = slot.peek();
        match tag.state() {
            State::Vacant | State::Waited if tag.generation() == generation => {}
            state if state.is_claimed() => return PreparedWait::Writing,
            _ => return PreparedWait::Retry,
        }
        self.ring.consumer_waker.register(&Waker::from(Arc::clone(&waker)));
        self.waker = Some(waker);
        if !slot.mark_waited(generation) {
            return PreparedWait::Retry;
        }
        // ORDERING: wait:fence: SeqCst pairs with `finish:fence`: either the producer sees that the
        // slot is `Waited` when it ends the batch, or this side sees the end.
        fence(SeqCst);
        match self.end_or_pending() {
            TryNextError::Pending => PreparedWait::Registered,
            _ => PreparedWait::Retry,
        }
    }
}
