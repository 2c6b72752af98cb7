//! Waiting for space in the window.
//!
//! `ring::space_request` has the steps of both sides.

use core::future::poll_fn;
use core::hint::spin_loop;
use core::task::{Context, Poll, Waker};
#[cfg(feature = "std")]
use core::time::Duration;
#[cfg(feature = "std")]
use std::time::Instant;

use alloc::sync::Arc;

use crate::errors::SpaceError;
#[cfg(feature = "std")]
use crate::errors::SpaceTimeoutError;
use crate::primitive::shared_waker::SharedWaker;
#[cfg(feature = "std")]
use crate::primitive::{park, relax, spin};
use crate::producer::Producer;
use crate::ring::ring_ref::RingRef;

/// The pause before the last check, in rounds of a spin loop: up to 2 µs. A store reaches the other
/// processors within a small part of it.
const ROUNDS: u32 = 32;

/// The first sleep. Each sleep is twice as long as the last one, so it delays the producer at most
/// by the time that the wait has already taken.
#[cfg(feature = "std")]
const FIRST_SLEEP: Duration = Duration::from_millis(1);

impl<R: RingRef> Producer<R> {
    /// Polls for space: ready when at least one position can be reserved.
    ///
    /// This is [`poll_space_many`](Producer::poll_space_many) for one position.
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
    /// As [`poll_space_many`](Producer::poll_space_many).
    pub fn poll_space(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SpaceError>> {
        self.poll_space_many(cx, 1)
    }

    /// Polls for space for `count` positions: ready when
    /// [`reserve_many(count)`](Producer::reserve_many) succeeds.
    ///
    /// The take that makes the request fit calls the waker, and no earlier take does. So a producer
    /// that asks for many positions is woken less often. Only the waker of the last call is kept.
    /// It may also be called without a reason.
    ///
    /// ```
    /// use std::task::{Context, Poll, Waker};
    /// # use reorder_ring::{Ring, SpaceError};
    /// # let ring = Ring::with_capacity(4)?;
    /// # let (mut producer, mut consumer) = ring.open()?.split();
    /// let mut context = Context::from_waker(Waker::noop());
    /// for ticket in producer.reserve_many(4)? {
    ///     ring.complete(ticket, 'a')?;
    /// }
    /// assert_eq!(producer.poll_space_many(&mut context, 2), Poll::Pending);
    ///
    /// consumer.try_next()?;
    /// assert_eq!(producer.poll_space_many(&mut context, 2), Poll::Pending);
    /// consumer.try_next()?; // This calls the waker.
    /// assert_eq!(producer.poll_space_many(&mut context, 2), Poll::Ready(Ok(())));
    /// assert!(producer.reserve_many(2).is_ok());
    ///
    /// let never = SpaceError::TooMany { requested: 5, capacity: 4 };
    /// assert_eq!(producer.poll_space_many(&mut context, 5), Poll::Ready(Err(never)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`SpaceError`] if the request will never fit: the batch is cancelled, `count` is above the
    /// capacity, or the ring has too few positions left.
    ///
    /// # Progress
    ///
    /// Wait-free: at most 9 steps, and a pause of up to 2 µs. Registering the waker is not counted.
    /// A waker that differs from the one of the last call is cloned, and wrapped in an allocation.
    pub fn poll_space_many(
        &mut self,
        cx: &mut Context<'_>,
        count: usize,
    ) -> Poll<Result<(), SpaceError>> {
        if let Some(found) = self.space_or_end(count) {
            return Poll::Ready(found);
        }
        let waker = SharedWaker::wrap(cx.waker(), self.waker.as_ref());
        self.request_space(count, waker).map_or(Poll::Pending, Poll::Ready)
    }

    /// Polls for the cancellation: ready when the batch is cancelled, or its consumer was dropped.
    ///
    /// So a producer that waits for its source can stop when no consumer is left. Only one waker is
    /// kept: the waker of the last call of this method, [`poll_space`](Producer::poll_space) or
    /// [`poll_space_many`](Producer::poll_space_many). It may also be called without a reason.
    ///
    /// ```
    /// use std::task::{Context, Poll, Waker};
    /// # let ring = reorder_ring::Ring::<u8>::with_capacity(1)?;
    /// let (mut producer, consumer) = ring.open()?.split();
    /// let mut context = Context::from_waker(Waker::noop());
    /// assert_eq!(producer.poll_cancelled(&mut context), Poll::Pending);
    /// drop(consumer); // This calls the waker.
    /// assert_eq!(producer.poll_cancelled(&mut context), Poll::Ready(()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Progress
    ///
    /// Wait-free: at most 2 loads. Registering the waker is not counted. A waker that differs from
    /// the one of the last call is cloned, and wrapped in an allocation.
    pub fn poll_cancelled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_cancelled() {
            return Poll::Ready(());
        }
        let waker = SharedWaker::wrap(cx.waker(), self.waker.as_ref());
        self.ring.space_request.register(&Waker::from(Arc::clone(&waker)));
        self.waker = Some(waker);
        if self.is_cancelled() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Waits in async code until at least one position can be reserved.
    ///
    /// This is [`wait_for_space_many_async`](Producer::wait_for_space_many_async) for one position.
    ///
    /// ```
    /// # use std::{pin::pin, task::{Context, Poll, Waker}};
    /// use reorder_ring::{Producer, Ring, RingRef, SpaceError};
    ///
    /// async fn produce<R>(mut producer: Producer<R>) -> Result<(), SpaceError>
    /// where
    ///     R: RingRef<Value = u32>,
    /// {
    ///     for number in 0..3 {
    ///         producer.wait_for_space_async().await?;
    ///         let permit = producer.permit().expect("there is space");
    ///         // A task would complete it later.
    ///         permit.complete(number).expect("it is not evicted");
    ///     }
    ///     producer.finish();
    ///     Ok(())
    /// }
    /// # let ring = Ring::with_capacity(1)?;
    /// # let (producer, mut consumer) = ring.open()?.split();
    /// # let mut context = Context::from_waker(Waker::noop());
    /// # let mut producing = pin!(produce(producer));
    /// # for number in 0..2 {
    /// #     assert!(producing.as_mut().poll(&mut context).is_pending());
    /// #     assert_eq!(consumer.try_next()?.outcome, Ok(number));
    /// # }
    /// # assert_eq!(producing.as_mut().poll(&mut context), Poll::Ready(Ok(())));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`poll_space`](Producer::poll_space).
    ///
    /// # Progress
    ///
    /// As [`wait_for_space_many_async`](Producer::wait_for_space_many_async).
    pub fn wait_for_space_async(&mut self) -> impl Future<Output = Result<(), SpaceError>> + Unpin {
        self.wait_for_space_many_async(1)
    }

    /// Waits in async code until `count` positions can be reserved at once.
    ///
    /// The future calls [`poll_space_many`](Producer::poll_space_many) and does nothing else. It
    /// can be dropped at any time, as by `select!` or a time-out. It reserves nothing, so nothing
    /// is lost.
    ///
    /// ```
    /// # use std::{pin::pin, task::{Context, Poll, Waker}};
    /// use reorder_ring::{Producer, Ring, RingRef, SpaceError, Tickets};
    ///
    /// async fn reserve<R: RingRef>(producer: &mut Producer<R>) -> Result<Tickets, SpaceError> {
    ///     producer.wait_for_space_many_async(2).await?;
    ///     Ok(producer.reserve_many(2).expect("there is space"))
    /// }
    /// # let ring = Ring::<u8>::with_capacity(2)?;
    /// # let (mut producer, mut consumer) = ring.open()?.split();
    /// # let mut context = Context::from_waker(Waker::noop());
    /// # _ = producer.reserve()?;
    /// # {
    /// # let mut reserving = pin!(reserve(&mut producer));
    /// # assert!(reserving.as_mut().poll(&mut context).is_pending());
    /// # consumer.evict_head()?;
    /// # consumer.try_next()?;
    /// # let Poll::Ready(tickets) = reserving.as_mut().poll(&mut context) else { panic!() };
    /// # assert_eq!(tickets?.len(), 2);
    /// # }
    /// # let never = producer.wait_for_space_many_async(3);
    /// # let expected = SpaceError::TooMany { requested: 3, capacity: 2 };
    /// # assert_eq!(pin!(never).poll(&mut context), Poll::Ready(Err(expected)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`poll_space_many`](Producer::poll_space_many).
    ///
    /// # Progress
    ///
    /// Wait-free: no shared access. A poll of the future is a call of
    /// [`poll_space_many`](Producer::poll_space_many).
    pub fn wait_for_space_many_async(
        &mut self,
        count: usize,
    ) -> impl Future<Output = Result<(), SpaceError>> + Unpin {
        poll_fn(move |cx| self.poll_space_many(cx, count))
    }

    /// Waits in async code until the batch is cancelled, or its consumer is dropped.
    ///
    /// A producer that waits for its source can use `select!` to wait for the cancellation as well.
    /// The future calls [`poll_cancelled`](Producer::poll_cancelled) and does nothing else. It can
    /// be dropped at any time.
    ///
    /// ```
    /// # use std::task::{Context, Poll, Waker};
    /// # use std::pin::Pin;
    /// # let ring = reorder_ring::Ring::<u8>::with_capacity(1)?;
    /// let (mut producer, consumer) = ring.open()?.split();
    /// let mut context = Context::from_waker(Waker::noop());
    /// let mut cancelled = producer.cancelled();
    /// assert_eq!(Pin::new(&mut cancelled).poll(&mut context), Poll::Pending);
    /// drop(consumer);
    /// assert_eq!(Pin::new(&mut cancelled).poll(&mut context), Poll::Ready(()));
    /// # drop(cancelled);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Progress
    ///
    /// Wait-free: no shared access. A poll of the future is a call of
    /// [`poll_cancelled`](Producer::poll_cancelled).
    pub fn cancelled(&mut self) -> impl Future<Output = ()> + Unpin {
        poll_fn(|cx| self.poll_cancelled(cx))
    }

    /// Returns `Ok` if `count` positions fit, an error if they never will, and `None` otherwise.
    fn space_or_end(&mut self, count: usize) -> Option<Result<(), SpaceError>> {
        if self.is_cancelled() {
            return Some(Err(SpaceError::Cancelled));
        }
        let capacity = self.ring.capacity();
        if count > capacity {
            return Some(Err(SpaceError::TooMany { requested: count, capacity }));
        }
        if self.space() >= count {
            return Some(Ok(()));
        }
        self.is_exhausted(count as u64).then_some(Err(SpaceError::Exhausted))
    }

    /// Requests space for `count` positions, which did not fit, before every sleep.
    ///
    /// Returns what `space_or_end` finds afterwards.
    fn request_space(
        &mut self,
        count: usize,
        waker: Arc<SharedWaker>,
    ) -> Option<Result<(), SpaceError>> {
        let wanted = self.tail + count as u64 - self.ring.capacity() as u64;
        self.ring.space_request.announce(&Waker::from(Arc::clone(&waker)), wanted);
        self.waker = Some(waker);
        let found = self.space_or_end(count).or_else(|| {
            // The consumer may have looked for a request just before, and its take may have become
            // visible just after.
            (0..ROUNDS).for_each(|_| spin_loop());
            self.space_or_end(count)
        });
        if found.is_some() {
            self.ring.space_request.withdraw();
        }
        found
    }
}

#[cfg(feature = "std")]
impl<R: RingRef> Producer<R> {
    /// Blocks until at least one position can be reserved, or until `deadline`.
    ///
    /// This is [`wait_for_space_many`](Producer::wait_for_space_many) for one position.
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
    /// As [`wait_for_space_many`](Producer::wait_for_space_many).
    pub fn wait_for_space(&mut self, deadline: Option<Instant>) -> Result<(), SpaceTimeoutError> {
        self.wait_for_space_many(1, deadline)
    }

    /// Blocks until `count` positions can be reserved at once, or until `deadline`.
    ///
    /// ```
    /// use reorder_ring::{Ring, SpaceTimeoutError};
    ///
    /// let ring = Ring::with_capacity(4)?;
    /// let (mut producer, mut consumer) = ring.open()?.split();
    /// let consuming = || while let Ok(Some(_)) = consumer.next() {};
    /// std::thread::scope(|scope| {
    ///     scope.spawn(consuming);
    ///     for _ in 0..100 {
    ///         producer.wait_for_space_many(3, None)?;
    ///         for ticket in producer.reserve_many(3).expect("there is space") {
    ///             ring.complete(ticket, 'a').expect("once");
    ///         }
    ///     }
    ///     let never = SpaceTimeoutError::TooMany { requested: 5, capacity: 4 };
    ///     assert_eq!(producer.wait_for_space_many(5, None), Err(never));
    ///     producer.finish();
    ///     Ok::<_, SpaceTimeoutError>(())
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`SpaceTimeoutError`] if the batch is cancelled, `count` is above the capacity, the ring has
    /// too few positions left, or the deadline has passed. After a time-out the batch can be used
    /// as before.
    ///
    /// # Progress
    ///
    /// Blocking: it waits for the consumer, which waits for the head of line. The thread sleeps
    /// until the take that makes the request fit wakes it. The thread also wakes by itself, after 1
    /// ms and then after pauses that double.
    pub fn wait_for_space_many(
        &mut self,
        count: usize,
        deadline: Option<Instant>,
    ) -> Result<(), SpaceTimeoutError> {
        if let Some(found) = spin(|| self.space_or_end(count)) {
            return Ok(found?);
        }
        park::with_current(|waker, sleep| {
            let mut pause = FIRST_SLEEP;
            loop {
                if let Some(found) = self.request_space(count, Arc::clone(waker)) {
                    return Ok(found?);
                }
                // If the clock cannot express an instant, it does not come.
                let awake = Instant::now().checked_add(pause);
                sleep(awake.into_iter().chain(deadline).min());
                pause = pause.saturating_mul(2);
                relax();
                if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                    self.ring.space_request.withdraw();
                    return Ok(self.space_or_end(count).ok_or(SpaceTimeoutError::Timeout)??);
                }
            }
        })
    }
}

#[cfg(feature = "std")]
impl From<SpaceError> for SpaceTimeoutError {
    fn from(error: SpaceError) -> Self {
        match error {
            SpaceError::TooMany { requested, capacity } => {
                SpaceTimeoutError::TooMany { requested, capacity }
            }
            SpaceError::Cancelled => SpaceTimeoutError::Cancelled,
            SpaceError::Exhausted => SpaceTimeoutError::Exhausted,
        }
    }
}
