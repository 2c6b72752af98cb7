//! A consumer as a `Stream`.

use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll, ready};

use futures_core::{FusedStream, Stream};

use crate::consumer::Consumer;
use crate::delivery::Delivery;
use crate::errors::NextError;
use crate::ring::ring_ref::RingRef;

/// The deliveries of a batch as a [`Stream`]. [`Consumer::into_stream`] returns it.
///
/// If the batch was truncated or cancelled, the last item is that error. Dropping the stream drops
/// the consumer, which cancels the batch.
#[must_use = "dropping the stream cancels the batch"]
pub struct ConsumerStream<R: RingRef> {
    /// `None` once the end was returned.
    consumer: Option<Consumer<R>>,
}

impl<R: RingRef> Consumer<R> {
    /// Returns the deliveries as a [`Stream`].
    ///
    /// ```
    /// use std::pin::pin;
    /// use std::task::{Context, Poll, Waker};
    /// use futures_core::Stream;
    ///
    /// # let ring = reorder_ring::Ring::with_capacity(2)?;
    /// let (mut producer, consumer) = ring.open()?.split();
    /// ring.complete(producer.reserve()?, 'a')?;
    /// producer.finish();
    ///
    /// let mut stream = pin!(consumer.into_stream());
    /// let mut cx = Context::from_waker(Waker::noop());
    /// let Poll::Ready(Some(Ok(first))) = stream.as_mut().poll_next(&mut cx) else { panic!() };
    /// assert_eq!(first.outcome, Ok('a'));
    /// assert_eq!(stream.as_mut().poll_next(&mut cx), Poll::Ready(None));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Progress
    ///
    /// Wait-free: no shared access. A poll of the stream is a call of
    /// [`poll_next`](Consumer::poll_next).
    pub fn into_stream(self) -> ConsumerStream<R> {
        ConsumerStream { consumer: Some(self) }
    }
}

// No field is pinned.
impl<R: RingRef> Unpin for ConsumerStream<R> {}

impl<R: RingRef> Stream for ConsumerStream<R> {
    type Item = Result<Delivery<R::Value>, NextError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(consumer) = &mut self.consumer else { return Poll::Ready(None) };
        let next = ready!(consumer.poll_next(cx)).transpose();
        if !matches!(next, Some(Ok(_))) {
            self.consumer = None;
        }
        Poll::Ready(next)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        // The producer may reserve more positions, unless the end was returned.
        (0, self.consumer.is_none().then_some(0))
    }
}

impl<R: RingRef> FusedStream for ConsumerStream<R> {
    fn is_terminated(&self) -> bool {
        self.consumer.is_none()
    }
}

impl<R: RingRef> fmt::Debug for ConsumerStream<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsumerStream").field("consumer", &self.consumer).finish()
    }
}
