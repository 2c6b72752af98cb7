//! Waiting for space in the window.

use core::task::{Context, Poll, Waker};
#[cfg(feature = "std")]
use std::time::Instant;

use alloc::sync::Arc;

use crate::errors::SpaceError;
#[cfg(feature = "std")]
use crate::errors::SpaceTimeoutError;
use crate::primitive::shared_waker::SharedWaker;
#[cfg(feature = "std")]
use crate::primitive::{park, spin};
use crate::producer::Producer;
use crate::ring::ring_ref::RingRef;

impl<R: RingRef> Producer<R> {
    /// Polls for space: ready when at least one position can be reserved.
    ///
    /// The consumer notifies the producer once per half window, and when it finds nothing to take.
    /// Only the waker of the last call is kept. It may also be called without a reason.
    ///
    /// ```
    /// use std::task::{Context, Poll, Waker};
    /// # use reorder_ring::Ring;
    /// # let ring = Ring::with_capacity(1)?;
    /// # let (mut producer, mut consumer) = ring.open()?.split();
    /// let mut context = Context::from_waker(Waker::noop());
    /// ring.complete(producer.reserve()?, 'a')?;
    /// assert_eq!(producer.poll_space(&mut context), Poll::Pending);
    ///
    /// consumer.try_next()?; // This calls the waker.
    /// assert_eq!(producer.poll_space(&mut context), Poll::Ready(Ok(())));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`SpaceError`] if there will never be space: the batch is cancelled, or the ring has no
    /// positions left.
    ///
    /// # Progress
    ///
    /// Wait-free: at most 4 loads. Registering the waker is not counted. A waker that differs from
    /// the one of the last call is cloned, and wrapped in an allocation.
    pub fn poll_space(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SpaceError>> {
        if let Some(found) = self.space_or_end() {
            return Poll::Ready(found);
        }
        self.register_for_space(SharedWaker::wrap(cx.waker(), self.waker.as_ref()));
        self.space_or_end().map_or(Poll::Pending, Poll::Ready)
    }

    /// Returns `Ok` if there is space, an error if there will never be, and `None` otherwise.
    pub(crate) fn space_or_end(&mut self) -> Option<Result<(), SpaceError>> {
        if self.ring.batch_state.is_cancelled() {
            return Some(Err(SpaceError::Cancelled));
        }
        if self.space() > 0 {
            return Some(Ok(()));
        }
        self.is_exhausted().then_some(Err(SpaceError::Exhausted))
    }

    /// Registers a waker for the consumer and for cancellers.
    ///
    /// The caller registers before every sleep, and checks the space between the two.
    pub(crate) fn register_for_space(&mut self, waker: Arc<SharedWaker>) {
        self.ring.producer_waker.register(&Waker::from(Arc::clone(&waker)));
        self.waker = Some(waker);
    }
}

#[cfg(feature = "std")]
impl<R: RingRef> Producer<R> {
    /// Blocks until at least one position can be reserved, or until `deadline`.
    ///
    /// ```
    /// use std::time::Instant;
    /// use reorder_ring::{Ring, SpaceTimeoutError};
    ///
    /// let ring = Ring::with_capacity(2)?;
    /// let (mut producer, mut consumer) = ring.open()?.split();
    /// let consumed = std::thread::scope(|scope| {
    ///     let consuming = scope.spawn(move || {
    ///         let mut sum = 0;
    ///         while let Some(delivery) = consumer.next().expect("it is finished") {
    ///             sum += delivery.outcome.expect("nothing is evicted");
    ///         }
    ///         sum
    ///     });
    ///     for n in 0..100 {
    ///         producer.wait_for_space(None)?;
    ///         ring.complete(producer.reserve().expect("there is space"), n).expect("once");
    ///     }
    ///     producer.finish();
    ///     Ok::<_, SpaceTimeoutError>(consuming.join().expect("no panic"))
    /// })?;
    /// assert_eq!(consumed, 4950);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`SpaceTimeoutError`] if the batch is cancelled, the ring has no positions left, or the
    /// deadline has passed. After a time-out the batch can be used as before.
    ///
    /// # Progress
    ///
    /// Blocking: it waits for the consumer, which waits for the head of line. The thread sleeps.
    /// The consumer notifies it once per half window, and when it finds nothing to take.
    pub fn wait_for_space(&mut self, deadline: Option<Instant>) -> Result<(), SpaceTimeoutError> {
        if let Some(found) = spin(|| self.space_or_end()) {
            return Ok(found?);
        }
        park::with_current(|waker, sleep| {
            loop {
                self.register_for_space(Arc::clone(waker));
                if let Some(found) = self.space_or_end() {
                    return Ok(found?);
                }
                sleep(deadline);
                if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                    return Ok(self.space_or_end().ok_or(SpaceTimeoutError::Timeout)??);
                }
            }
        })
    }
}

#[cfg(feature = "std")]
impl From<SpaceError> for SpaceTimeoutError {
    fn from(error: SpaceError) -> Self {
        match error {
            SpaceError::Cancelled => SpaceTimeoutError::Cancelled,
            SpaceError::Exhausted => SpaceTimeoutError::Exhausted,
        }
    }
}
