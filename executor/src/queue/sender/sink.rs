//! A sender as a `Sink` of the crate `futures-sink`.
//!
//! A sink that says that it is ready has to accept an item, whatever other senders do meanwhile. So
//! it holds room for that item.

use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_sink::Sink;

use crate::queue::core::NotSent;
use crate::queue::room::Wait;
use crate::queue::sender::{QueueSender, SendError};

/// The state of a sender as a sink.
#[derive(Default)]
pub(super) struct SinkState {
    /// `true` while there is room for an item of this sender alone.
    has_room: bool,
    /// The wait of the task that polled last.
    wait: Wait,
    pub(super) is_closed: bool,
}

impl SinkState {
    /// Returns the state of a clone, which has no room and does not wait.
    pub(super) fn of_clone(&self) -> SinkState {
        SinkState { is_closed: self.is_closed, ..SinkState::default() }
    }
}

impl<T: Send, U: Send, E: Send> QueueSender<T, U, E> {
    /// Gives up the room that this sender holds or waits for.
    pub(super) fn end_sink(&mut self) {
        self.end_sink_wait();
        if mem::take(&mut self.sink.has_room) {
            self.core.release();
        }
    }

    fn end_sink_wait(&mut self) {
        if self.core.room.end(mem::take(&mut self.sink.wait)) {
            // This sender was woken. If there is more room than it uses, another one may use it.
            self.core.room.notify(|| self.core.free());
        }
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
/// A sink that is ready holds room for one item until it gets the item, is closed or is dropped.
/// The other senders of the queue find that much less room. Flushing does nothing, because an item
/// is in the queue when [`start_send`](Sink::start_send) returns. After
/// [`close`](Sink::poll_close), this sender counts as dropped.
///
/// The error gives back the item, where there is one.
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
        this.core.room.register(&mut this.sink.wait, cx.waker(), 1);
        // A change before the registration has woken no task.
        this.hold().map_or(Poll::Pending, Poll::Ready)
    }

    fn start_send(mut self: Pin<&mut Self>, item: T) -> Result<(), SendError<Option<T>>> {
        let sent = match mem::take(&mut self.sink.has_room) {
            true => self.core.send_held(item),
            false => self.try_send_inner(item),
        };
        sent.map_err(|(_, item)| SendError(Some(item)))
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
