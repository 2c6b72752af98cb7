//! The handle that sends items to a queue.

use std::convert::Infallible;
use std::fmt;
use std::future::poll_fn;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::task::Poll;

use crate::limits::TaskTimer;
use crate::queue::core::{NotSent, QueueCore};
use crate::queue::place::Place;
use crate::queue::room::{Wait, Wanted};
use crate::scheduler::{Published, TimeSlice, park, worker};
use crate::stream::Helper;
use crate::unwind::DiscardOnDrop;

#[cfg(feature = "sink")]
mod sink;

/// A closure that is an item of a [task queue](crate::Executor::task_queue).
pub type Task<U> = Box<dyn FnOnce() -> U + Send>;

/// Sends items to a queue, made by [`QueueBuilder::build`](crate::QueueBuilder::build).
///
/// Clones send to the same queue. The outcomes come in the order in which the items were sent.
/// After the last sender was dropped, the stream of outcomes ends behind the last item.
///
/// The *window* is the maximum number of items that were sent and whose outcomes were not taken.
/// The *budget* of a queue with [weights](crate::QueueBuilder::weight) bounds their total weight as
/// well. A queue has room for an item that fits into both.
///
/// If the stream of outcomes is dropped, or a limit ends the queue, the queue accepts no more
/// items. Each call then returns an error, with the item.
/// [`take_unstarted`](QueueSender::take_unstarted) returns the items that were sent and not
/// started. If a worker finishes an item in the moment in which the stream is dropped, its outcome
/// may live as long as the last sender.
pub struct QueueSender<T: Send, U: Send, E: Send = Infallible> {
    core: Arc<QueueCore<T, U, E>>,
    /// The state of this sender as a `Sink`.
    #[cfg(feature = "sink")]
    sink: sink::SinkState,
}

// Jobs run on other threads, which catch their panics. The function that weighs an item runs before
// the queue knows the item. So a panic that leaves a call has changed nothing.
impl<T: Send, U: Send, E: Send> UnwindSafe for QueueSender<T, U, E> {}
impl<T: Send, U: Send, E: Send> RefUnwindSafe for QueueSender<T, U, E> {}

/// The error of a [`QueueSender`] whose queue accepts no more items.
/// [`into_inner`](SendError::into_inner) returns the item.
///
/// The stream of outcomes was dropped, or a limit has ended the queue.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SendError<T>(T);

/// The error of [`QueueSender::try_send`]. [`into_inner`](TrySendError::into_inner) returns the
/// item.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrySendError<T> {
    /// The queue has no room for the item: its window is full, or the item does not fit into its
    /// [budget](crate::QueueBuilder::weight).
    Full(T),
    /// The stream of outcomes was dropped, or a limit has ended the queue.
    Closed(T),
}

impl<T: Send, U: Send, E: Send> QueueSender<T, U, E> {
    pub(crate) fn new(core: Arc<QueueCore<T, U, E>>) -> Self {
        QueueSender {
            core,
            #[cfg(feature = "sink")]
            sink: sink::SinkState::default(),
        }
    }

    /// Weighs an item, unless this sender was closed. Gives back an item that cannot be sent.
    fn weigh(&self, item: T) -> Result<(T, Option<u64>), SendError<T>> {
        if self.is_closed() { Err(SendError(item)) } else { Ok(self.core.weigh(item)) }
    }

    /// Returns `true` if this sender was closed as a sink.
    fn is_closed(&self) -> bool {
        #[cfg(feature = "sink")]
        return self.sink.is_closed;
        #[cfg(not(feature = "sink"))]
        false
    }

    /// Sends an item. If the queue has no room for it, the thread waits until the consumer has
    /// taken outcomes.
    ///
    /// A thread that also takes the outcomes should use [`try_send`](QueueSender::try_send). If it
    /// waited here, it would take no outcomes, and the queue would stay full.
    ///
    /// # Errors
    ///
    /// If the stream of outcomes was dropped, or a limit has ended the queue.
    ///
    /// # Panics
    ///
    /// With the feature `tokio`, if it has to wait in a task of a tokio runtime.
    ///
    /// # Progress
    ///
    /// Blocking. If the caller is a worker of an executor, it runs items of the queue. When there
    /// are none, another worker takes its place while it waits. No order among waiting senders is
    /// promised.
    pub fn send(&self, item: T) -> Result<(), SendError<T>> {
        let (mut item, weight) = self.weigh(item)?;
        loop {
            match self.core.try_send(item, weight) {
                Ok(()) => return Ok(()),
                Err((NotSent::Closed, back)) => return Err(SendError(back)),
                Err((NotSent::Full, back)) => {
                    // The wait may panic.
                    let back = DiscardOnDrop::new(back);
                    self.wait_for_room(weight);
                    item = back.into_inner();
                }
            }
        }
    }

    /// Sends an item, unless the queue has no room for it.
    ///
    /// # Errors
    ///
    /// As [`TrySendError`] lists.
    ///
    /// # Progress
    ///
    /// Blocking: it takes a lock that is held for a few instructions, and while the list of items
    /// grows.
    pub fn try_send(&self, item: T) -> Result<(), TrySendError<T>> {
        let (item, weight) =
            self.weigh(item).map_err(|SendError(item)| TrySendError::Closed(item))?;
        self.core.try_send(item, weight).map_err(|(reason, item)| match reason {
            NotSent::Full => TrySendError::Full(item),
            NotSent::Closed => TrySendError::Closed(item),
        })
    }

    /// Sends an item. If the queue has no room for it, the task waits until the consumer has taken
    /// outcomes.
    ///
    /// If the future is dropped before it is ready, the item is dropped and was not sent.
    ///
    /// Poll the future until it is ready, or drop it. The consumer wakes as many waiting futures as
    /// there is room for. If a woken future is neither polled nor dropped, another sender may wait
    /// beside free room.
    ///
    /// # Errors
    ///
    /// As [`send`](QueueSender::send).
    pub async fn send_async(&self, item: T) -> Result<(), SendError<T>> {
        let (mut item, weight) = self.weigh(item)?;
        loop {
            match self.core.try_send(item, weight) {
                Ok(()) => return Ok(()),
                Err((NotSent::Closed, back)) => return Err(SendError(back)),
                Err((NotSent::Full, back)) => {
                    self.room(weight).await;
                    item = back;
                }
            }
        }
    }

    /// Returns the items that were sent and that no thread has started, in their order.
    ///
    /// While the queue is open, it returns none. The queue ends when the stream of outcomes is
    /// dropped, or by a limit. Each item is returned once. Items that no caller takes are dropped
    /// with the last sender.
    pub fn take_unstarted(&self) -> Vec<T> {
        self.core.take_unstarted()
    }

    /// Runs the next items on this thread. Returns `false` if none wait for a worker.
    pub(crate) fn run_next(&self) -> bool {
        let core = &self.core;
        let helper = if worker::is_worker() { Helper::Worker } else { Helper::Volunteer };
        let slice = TimeSlice::own(&core.scheduler, core.fair_share().gate());
        let has_run = slice.enter() && core.help_in_span(&slice, helper);
        drop(slice);
        core.scheduler.after_run();
        has_run
    }

    /// Waits until there may be room for an item of this weight, or the queue is over.
    fn wait_for_room(&self, weight: Option<u64>) {
        park::assert_may_block();
        let core = &self.core;
        let slice = TimeSlice::own(&core.scheduler, core.fair_share().gate());
        let is_worker = worker::is_worker();
        if is_worker {
            // This sender may have been woken for room that is too small now. Another sender may
            // use the room while this worker runs an item.
            core.notify_room();
        }
        if is_worker && slice.enter() && core.help_in_span(&slice, Helper::Worker) {
            core.scheduler.after_run();
            return;
        }
        slice.leave();
        // Counts this worker as blocked inside a source, so that another one takes its place.
        let _inside = is_worker.then(|| slice.enter_source());
        core.room.wait(core.deadline(), core.patient_room(weight), |wanted| core.may_send(wanted));
    }

    /// Waits until there may be room for an item of this weight, or the queue is over. The future
    /// does not block.
    async fn room(&self, weight: Option<u64>) {
        let (core, wanted) = (&self.core, Wanted { items: 1, weight });
        let mut waiting = Waiting { sender: self, wait: Wait::default() };
        let mut timer = TaskTimer::default();
        poll_fn(|cx| {
            core.room.register(&mut waiting.wait, cx.waker(), wanted);
            if core.may_send(wanted) { Poll::Ready(()) } else { core.poll_deadline(&mut timer, cx) }
        })
        .await;
    }
}

impl<T: Send + 'static, U: Send + 'static, E: Send + 'static> QueueSender<T, U, E> {
    /// Reserves the next place in the order of outcomes, for a result that you complete yourself.
    /// If the window is full, the thread waits, as [`send`](QueueSender::send) does.
    ///
    /// # Errors
    ///
    /// As [`send`](QueueSender::send).
    ///
    /// # Panics
    ///
    /// As [`send`](QueueSender::send).
    ///
    /// # Progress
    ///
    /// As [`send`](QueueSender::send).
    pub fn reserve(&self) -> Result<Place<U, E>, SendError<()>> {
        loop {
            match self.try_reserve() {
                Err(TrySendError::Full(())) => self.wait_for_room(None),
                Err(TrySendError::Closed(())) => return Err(SendError(())),
                Ok(place) => return Ok(place),
            }
        }
    }

    /// Reserves the next place in the order of outcomes, unless the window is full.
    /// [`reserve`](QueueSender::reserve) says more.
    ///
    /// # Errors
    ///
    /// As [`TrySendError`] lists.
    ///
    /// # Progress
    ///
    /// As [`try_send`](QueueSender::try_send).
    pub fn try_reserve(&self) -> Result<Place<U, E>, TrySendError<()>> {
        if self.is_closed() {
            return Err(TrySendError::Closed(()));
        }
        match self.core.try_reserve() {
            Ok((ticket, index)) => Ok(Place::new(Arc::clone(&self.core), ticket, index)),
            Err(NotSent::Full) => Err(TrySendError::Full(())),
            Err(NotSent::Closed) => Err(TrySendError::Closed(())),
        }
    }

    /// Reserves the next place in the order of outcomes. If the window is full, the task waits.
    ///
    /// Poll the future until it is ready, or drop it. [`send_async`](QueueSender::send_async) gives
    /// the reason.
    ///
    /// # Errors
    ///
    /// As [`send`](QueueSender::send).
    pub async fn reserve_async(&self) -> Result<Place<U, E>, SendError<()>> {
        loop {
            match self.try_reserve() {
                Err(TrySendError::Full(())) => self.room(None).await,
                Err(TrySendError::Closed(())) => return Err(SendError(())),
                Ok(place) => return Ok(place),
            }
        }
    }
}

impl<U: Send + 'static, E: Send> QueueSender<Task<U>, U, E> {
    /// Sends a closure. If the queue has no room for it, the thread waits, as
    /// [`send`](QueueSender::send) does.
    ///
    /// # Errors
    ///
    /// As [`send`](QueueSender::send).
    ///
    /// # Panics
    ///
    /// As [`send`](QueueSender::send).
    ///
    /// # Progress
    ///
    /// As [`send`](QueueSender::send). It also allocates the closure.
    pub fn push(
        &self,
        task: impl FnOnce() -> U + Send + 'static,
    ) -> Result<(), SendError<Task<U>>> {
        self.send(Box::new(task))
    }
}

impl<T: Send, U: Send, E: Send> Clone for QueueSender<T, U, E> {
    fn clone(&self) -> Self {
        if !self.is_closed() {
            self.core.sender_added();
        }
        QueueSender {
            core: Arc::clone(&self.core),
            #[cfg(feature = "sink")]
            sink: self.sink.of_clone(),
        }
    }
}

impl<T: Send, U: Send, E: Send> Drop for QueueSender<T, U, E> {
    fn drop(&mut self) {
        #[cfg(feature = "sink")]
        self.end_sink();
        if !self.is_closed() {
            self.core.sender_ended();
        }
    }
}

impl<T: Send, U: Send, E: Send> fmt::Debug for QueueSender<T, U, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueueSender").finish_non_exhaustive()
    }
}

/// The wait of a future. If it is dropped, another sender may use the room.
struct Waiting<'a, T: Send, U: Send, E: Send> {
    sender: &'a QueueSender<T, U, E>,
    wait: Wait,
}

impl<T: Send, U: Send, E: Send> Drop for Waiting<'_, T, U, E> {
    fn drop(&mut self) {
        let core = &self.sender.core;
        if core.room.end(std::mem::take(&mut self.wait)) {
            core.notify_room();
        }
    }
}

impl<T> SendError<T> {
    /// Returns the item.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> TrySendError<T> {
    /// Returns the item.
    pub fn into_inner(self) -> T {
        match self {
            TrySendError::Full(item) | TrySendError::Closed(item) => item,
        }
    }
}

const CLOSED: &str = "the queue takes no more items: its stream of outcomes was dropped, or a \
    limit has ended it";

impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendError").finish_non_exhaustive()
    }
}

impl<T> fmt::Display for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(CLOSED)
    }
}

impl<T> std::error::Error for SendError<T> {}

impl<T> fmt::Debug for TrySendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TrySendError::Full(_) => "Full(..)",
            TrySendError::Closed(_) => "Closed(..)",
        })
    }
}

impl<T> fmt::Display for TrySendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TrySendError::Full(_) => {
                "the queue is full: the window or the budget of its outstanding items has no room"
            }
            TrySendError::Closed(_) => CLOSED,
        })
    }
}

impl<T> std::error::Error for TrySendError<T> {}
