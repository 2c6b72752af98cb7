//! Waits that block the thread until the head of line is ready.
//!
//! A thread first tries for a short time, then registers and sleeps. While a completer writes the
//! head, it sleeps for a limited time, since the completer will not wake it.

use core::time::Duration;
use std::time::Instant;

use alloc::sync::Arc;

use crate::consumer::Consumer;
use crate::consumer::poll::PreparedWait;
use crate::delivery::Delivery;
use crate::errors::{NextError, NextTimeoutError, TryNextError};
use crate::primitive::shared_waker::SharedWaker;
use crate::primitive::{park, relax, spin};
use crate::ring::ring_ref::RingRef;

/// The first and the longest sleep while a completer writes the head. Each sleep is twice as long
/// as the last one, so it delays the delivery at most by the time that the wait has already taken.
const SLEEPS: (Duration, Duration) = (Duration::from_micros(50), Duration::from_millis(50));

impl<R: RingRef> Consumer<R> {
    /// Takes the head of line, and blocks until it is ready. `None` is the normal end of the batch.
    ///
    /// ```
    /// # let ring = reorder_ring::Ring::with_capacity(2)?;
    /// # let (mut producer, mut consumer) = ring.open()?.split();
    /// # let ring = &ring;
    /// std::thread::scope(|scope| {
    ///     for (ticket, value) in producer.reserve_many(2)?.zip(["first", "second"]) {
    ///         scope.spawn(move || ring.complete(ticket, value));
    ///     }
    ///     producer.finish();
    ///     let mut values = Vec::new();
    ///     while let Some(delivery) = consumer.next()? {
    ///         values.push(delivery.outcome?);
    ///     }
    ///     assert_eq!(values, ["first", "second"]);
    ///     Ok::<_, Box<dyn std::error::Error>>(())
    /// })
    /// # ?; Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`NextError`] if the batch was truncated or cancelled.
    ///
    /// # Progress
    ///
    /// Blocking: in-order delivery waits for the head, whatever is complete behind it. The thread
    /// sleeps, and the completer of the head wakes it. While a completer writes the head, the
    /// thread sleeps for 50 µs to 50 ms at a time.
    #[expect(clippy::should_implement_trait, reason = "it blocks, and returns the end as an error")]
    pub fn next(&mut self) -> Result<Option<Delivery<R::Value>>, NextError> {
        self.next_until(None).map_err(|error| match error {
            NextTimeoutError::Truncated => NextError::Truncated,
            NextTimeoutError::Cancelled => NextError::Cancelled,
            NextTimeoutError::Timeout => unreachable!("there is no deadline"),
        })
    }

    /// Takes the head of line as [`next`](Consumer::next) does, and blocks for at most `timeout`.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use reorder_ring::{Gap, NextTimeoutError};
    /// # let ring = reorder_ring::Ring::<u8>::with_capacity(1)?;
    /// # let (mut producer, mut consumer) = ring.open()?.split();
    /// let _lost = producer.reserve()?;
    /// let late = consumer.next_timeout(Duration::from_millis(1));
    /// assert_eq!(late, Err(NextTimeoutError::Timeout));
    ///
    /// // The missing position is known now, and the batch can go on without it.
    /// consumer.evict_head()?;
    /// let delivery = consumer.next()?.expect("a gap is a delivery");
    /// assert_eq!(delivery.outcome, Err(Gap::Evicted));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`NextTimeoutError`] if the batch was truncated or cancelled, or the time has passed. After
    /// a time-out the batch can be used as before.
    ///
    /// # Progress
    ///
    /// As [`next`](Consumer::next).
    pub fn next_timeout(
        &mut self,
        timeout: Duration,
    ) -> Result<Option<Delivery<R::Value>>, NextTimeoutError> {
        // If the clock cannot express the deadline, there is none.
        self.next_until(Instant::now().checked_add(timeout))
    }

    /// Takes the head of line as [`next`](Consumer::next) does, and blocks until `deadline`.
    ///
    /// So one deadline can limit the wait for many deliveries.
    ///
    /// ```
    /// # use std::time::{Duration, Instant};
    /// # use reorder_ring::NextTimeoutError;
    /// # let ring = reorder_ring::Ring::with_capacity(2)?;
    /// # let (mut producer, mut consumer) = ring.open()?.split();
    /// ring.complete(producer.reserve()?, 'a')?;
    /// let deadline = Instant::now() + Duration::from_millis(1);
    /// assert!(consumer.next_deadline(deadline)?.is_some());
    /// assert_eq!(consumer.next_deadline(deadline), Err(NextTimeoutError::Timeout));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`next_timeout`](Consumer::next_timeout).
    ///
    /// # Progress
    ///
    /// As [`next`](Consumer::next).
    pub fn next_deadline(
        &mut self,
        deadline: Instant,
    ) -> Result<Option<Delivery<R::Value>>, NextTimeoutError> {
        self.next_until(Some(deadline))
    }

    /// Takes the head of line, and blocks until `deadline` if there is one.
    fn next_until(
        &mut self,
        deadline: Option<Instant>,
    ) -> Result<Option<Delivery<R::Value>>, NextTimeoutError> {
        match self.take_value() {
            Some(delivery) => Ok(Some(delivery)),
            None => self.wait_until(deadline),
        }
    }

    /// Waits for the head of line: first by trying, then asleep.
    #[cold]
    #[inline(never)]
    fn wait_until(
        &mut self,
        deadline: Option<Instant>,
    ) -> Result<Option<Delivery<R::Value>>, NextTimeoutError> {
        if let Some(result) = spin(|| self.wait_result()) {
            return result;
        }
        park::with_current(|waker, sleep| self.sleep_until(deadline, waker, sleep))
    }

    /// Registers and sleeps until the wait has a result.
    fn sleep_until(
        &mut self,
        deadline: Option<Instant>,
        waker: &Arc<SharedWaker>,
        sleep: &dyn Fn(Option<Instant>),
    ) -> Result<Option<Delivery<R::Value>>, NextTimeoutError> {
        let (mut pause, longest) = SLEEPS;
        loop {
            if let Some(result) = self.wait_result() {
                return result;
            }
            match self.prepare_wait(Arc::clone(waker)) {
                PreparedWait::Retry => continue,
                PreparedWait::Registered => sleep(deadline),
                PreparedWait::Writing => {
                    let awake = Instant::now() + pause;
                    sleep(Some(deadline.map_or(awake, |deadline| deadline.min(awake))));
                    pause = (pause * 2).min(longest);
                    relax();
                }
            }
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return self.wait_result().unwrap_or(Err(NextTimeoutError::Timeout));
            }
        }
    }

    /// Returns the result of a wait, unless the head is pending. It does not try the hot path.
    fn wait_result(&mut self) -> Option<WaitResult<R::Value>> {
        Some(match self.try_next_cold() {
            Ok(delivery) => Ok(Some(delivery)),
            Err(TryNextError::Ended) => Ok(None),
            Err(TryNextError::Truncated) => Err(NextTimeoutError::Truncated),
            Err(TryNextError::Cancelled) => Err(NextTimeoutError::Cancelled),
            Err(TryNextError::Pending) => return None,
        })
    }
}

/// The result of a wait: a delivery, the normal end, or an error.
type WaitResult<T> = Result<Option<Delivery<T>>, NextTimeoutError>;
