//! Places in the order of a queue that no job fills.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use crate::io::OutputTicket;
use crate::limits::{Current, LimitState, RunningItem};
use crate::outcome::{Failure, Outcome};
use crate::queue::core::QueueCore;

/// The queue of a place, without the type of its items.
trait Owner<U, E>: Send + Sync {
    fn complete(&self, slot: &Slot, result: Result<U, E>) -> Result<(), Result<U, E>>;
    fn abandon(&self, slot: &Slot);
    fn is_wanted(&self, slot: &Slot) -> bool;
}

struct Slot {
    ticket: OutputTicket,
    index: u64,
    started: Option<Instant>,
}

/// A place in the order of a queue, made by [`QueueSender::reserve`](crate::QueueSender::reserve).
///
/// Any thread may complete the place: a callback, a driver, another library. The result comes in
/// the order of the queue, and under its limits, as the result of a job does. If the place is
/// dropped instead, the outcome is [`Failure::PlaceDropped`](crate::Failure::PlaceDropped). A place
/// that is [forgotten](std::mem::forget) holds up the stream, unless the queue has a time limit for
/// items.
///
/// ```
/// use reorder_executor::Executor;
/// use std::thread;
///
/// let executor = Executor::builder().workers(1).build()?;
/// let (sender, results) = executor.queue(|n: u32| n * 10).build()?;
/// sender.send(1)?;
/// let place = sender.reserve()?;
/// sender.send(3)?;
/// drop(sender);
/// let driver = thread::spawn(move || place.complete(Ok(2)).is_ok());
/// let values: Vec<u32> = results.collect::<Result<_, _>>()?;
/// assert_eq!(values, [10, 2, 30]);
/// assert!(driver.join().unwrap());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "dropping a place makes its outcome a failure"]
pub struct Place<U, E> {
    /// `None` once it was completed.
    owner: Option<Arc<dyn Owner<U, E>>>,
    slot: Slot,
}

impl<U: Send + 'static, E: Send + 'static> Place<U, E> {
    pub(super) fn new<T: Send + 'static>(
        queue: Arc<QueueCore<T, U, E>>,
        ticket: OutputTicket,
        index: u64,
    ) -> Place<U, E> {
        let started = queue.limits.as_ref().and_then(|limits| limits.now());
        if let Some(limits) = &queue.limits {
            limits.start(index, started);
        }
        Place { owner: Some(queue), slot: Slot { ticket, index, started } }
    }
}

impl<U, E> Place<U, E> {
    /// Returns the index of the place's outcome among the outcomes of the queue.
    pub fn index(&self) -> u64 {
        self.slot.index
    }

    /// Returns `false` if no caller can receive a result of this place any more. This is so if the
    /// stream was dropped, a limit has ended the queue, or the consumer has skipped the place.
    ///
    /// # Progress
    ///
    /// Wait-free: a few loads, and a reading of the clock if there are deadlines.
    pub fn is_wanted(&self) -> bool {
        self.owner.as_ref().is_some_and(|owner| owner.is_wanted(&self.slot))
    }

    /// Completes the place with the result of a job of your own.
    ///
    /// # Errors
    ///
    /// Returns the result if no caller can receive it any more, or if its deadline has passed.
    ///
    /// # Progress
    ///
    /// Lock-free. Allocating the outcome and waking the consumer are not counted.
    pub fn complete(mut self, result: Result<U, E>) -> Result<(), Result<U, E>> {
        match self.owner.take() {
            Some(owner) => owner.complete(&self.slot, result),
            None => Err(result),
        }
    }
}

impl<U, E> Drop for Place<U, E> {
    fn drop(&mut self) {
        if let Some(owner) = self.owner.take() {
            owner.abandon(&self.slot);
        }
    }
}

impl<U, E> fmt::Debug for Place<U, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place").field("index", &self.slot.index).finish_non_exhaustive()
    }
}

impl<T: Send, U: Send, E: Send> QueueCore<T, U, E> {
    fn end_place(&self, slot: &Slot, outcome: Outcome<U, E>) -> Option<Outcome<U, E>> {
        if let Some(log) = self.limits.as_ref().and_then(|limits| limits.timing_log.as_ref()) {
            log.note(slot.index, slot.started, Some(crate::primitive::now()));
        }
        let refused = self.output.try_complete_one(slot.ticket, outcome);
        self.place_ended();
        refused
    }
}

impl<T: Send, U: Send, E: Send> Owner<U, E> for QueueCore<T, U, E> {
    fn complete(&self, slot: &Slot, result: Result<U, E>) -> Result<(), Result<U, E>> {
        let limits = self.limits.as_ref();
        let in_time = |limits: &Arc<LimitState>| limits.policy.finish(slot.started, limits.now());
        if let Err(stop) = limits.map_or(Ok(()), in_time) {
            self.end_place(slot, Err(Failure::stopped(stop, 1, None)));
            return Err(result);
        }
        let outcome = result.map_err(|error| {
            match limits.and_then(|limits| limits.policy.reaction(slot.index)) {
                Some(stop) => Failure::stopped(stop, 1, Some(error)),
                None => Failure::failed(error, 1),
            }
        });
        match self.end_place(slot, outcome) {
            None => Ok(()),
            Some(Ok(value)) => Err(Ok(value)),
            Some(Err(failure)) => failure.into_error().map_or(Ok(()), |error| Err(Err(error))),
        }
    }

    fn abandon(&self, slot: &Slot) {
        self.end_place(slot, Err(Failure::PlaceDropped));
    }

    fn is_wanted(&self, slot: &Slot) -> bool {
        let item = RunningItem {
            index: slot.index,
            started: slot.started,
            timeout: None,
            is_attempt: false,
        };
        let should_stop = |limits| Current { limits, item }.should_stop();
        self.output.is_wanted(slot.ticket) && !self.limits.as_ref().is_some_and(should_stop)
    }
}
