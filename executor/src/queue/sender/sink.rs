//! A sender as a `Sink` of the crate `futures-sink`.
//!
//! A sink that was reported as ready has to accept an item, whatever other senders do meanwhile. So
//! it holds room for that item. Only the end of the queue makes it refuse the item.

use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_sink::Sink;

use crate::limits::TaskTimer;
use crate::queue::core::NotSent;
use crate::queue::room::SinkWait;
use crate::queue::sender::{QueueSender, SendError};

/// The state of a sender as a sink.
#[derive(Default)]
pub(super) struct SinkState {
    /// `true` while this sender holds room for one item.
    has_room: bool,
    /// The wait of the task that polled last.
    wait: SinkWait,
    /// Wakes that task at the deadline of the queue.
    timer: TaskTimer,
    pub(super) is_closed: bool,
}

impl SinkState {
    /// Returns the state of a clone, which has no room and does not wait.
    pub(super) fn of_clone(&self) -> SinkState {
        SinkState { is_closed: self.is_closed, ..SinkState::default() }
    }
}

impl<T: Send, U: Send, E: Send> QueueSender<T, U, E> {
    /// Ends the wait of this sender, and gives up the room that it holds.
    pub(super) fn end_sink(&mut self) {
        self.end_sink_wait();
        if mem::take(&mut self.sink.has_room) {
            self.core.release();
        }
    }

    fn end_sink_wait(&mut self) {
        self.core.room.end_sink(mem::take(&mut self.sink.wait));
        self.sink.timer = TaskTimer::default();
    }

    /// Holds room, or returns `None` if there is none.
    fn hold(&mut self) -> Option<Result<(), SendError<Option<T>>>> {
        let held = match self.core.try_hold() {
            Err(NotSent::Full) => return None,
            Err(NotSent::Closed) => Err(SendError(None)),
            Ok(()) => {
                self.sink.has_room = true;
                Ok(())
            }
        };
        self.end_sink_wait();
        Some(held)
    }
}

/// Sends items, as [`send_async`](QueueSender::send_async) does.
///
/// A sink that is ready holds room for one item. It does so until it gets the item, is closed or is
/// dropped:
///
/// * It accepts the item, even if the window becomes smaller meanwhile.
/// * The other senders of the queue find less room, by one item. So a task with a ready sink must
///   not wait for room through another sender of the queue. With a window of 1, a
///   [`send`](QueueSender::send) of this task would wait for the task itself.
/// * The weight of the item is not known yet. So each ready sink may exceed the
///   [limit of the weight](crate::QueueBuilder::weight) by one item.
/// * If the function for weights panics in [`start_send`](Sink::start_send), the panic is passed
///   on, and the sink stays ready.
///
/// A task may stop polling a sink that is not ready. Its wait does not hold up other senders.
///
/// Flushing does nothing, because an item is in the queue when `start_send` returns. After
/// [`close`](Sink::poll_close), this sender counts as dropped.
///
/// An error of `start_send` has the item. An error of the other calls has none.
///
/// ```
/// use futures_util::{SinkExt, StreamExt, stream};
/// use reorder_executor::Executor;
///
/// let executor = Executor::builder().workers(2).build()?;
/// let (sender, lengths) = executor.queue(|word: &str| word.len()).window(2).build()?;
/// let words = stream::iter(["one", "three", "five"]).map(Ok);
/// let lengths = async {
///     // `forward` closes the sink at the end.
///     let (sent, lengths) =
///         futures_util::join!(words.forward(sender), lengths.into_stream().collect::<Vec<_>>());
///     sent.expect("the outcomes are wanted");
///     lengths
/// };
/// let lengths: Vec<usize> =
///     futures_executor::block_on(lengths).into_iter().collect::<Result<_, _>>()?;
/// assert_eq!(lengths, [3, 5, 4]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl<T: Send, U: Send, E: Send> Sink<T> for QueueSender<T, U, E> {
    type Error = SendError<Option<T>>;

    fn poll_ready(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), SendError<Option<T>>>> {
        let this = &mut *self;
        if this.sink.is_closed || this.core.is_over() {
            return Poll::Ready(Err(SendError(None)));
        }
        if this.sink.has_room {
            return Poll::Ready(Ok(()));
        }
        if let Some(held) = this.hold() {
            return Poll::Ready(held);
        }
        this.core.room.register_sink(&mut this.sink.wait, cx.waker());
        // Room that was made before the registration has woken no task.
        if let Some(held) = this.hold() {
            return Poll::Ready(held);
        }
        this.core.poll_deadline(&mut this.sink.timer, cx).map(|()| Err(SendError(None)))
    }

    fn start_send(mut self: Pin<&mut Self>, item: T) -> Result<(), SendError<Option<T>>> {
        if !self.sink.has_room {
            return self.try_send(item).map_err(|error| SendError(Some(error.into_inner())));
        }
        // The sink still holds its room if this panics.
        let (item, weight) = self.core.weigh(item);
        self.sink.has_room = false;
        self.core.send_held(item, weight).map_err(|(_, item)| SendError(Some(item)))
    }

    fn poll_flush(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Result<(), SendError<Option<T>>>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Result<(), SendError<Option<T>>>> {
        if !self.sink.is_closed {
            self.end_sink();
            self.sink.is_closed = true;
            self.core.sender_ended();
        }
        Poll::Ready(Ok(()))
    }
}
