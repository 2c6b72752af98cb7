//! The sources of requests: iterators, and async streams.
//!
//! A worker polls a stream as it pulls an iterator. While the stream has no item, the dispatcher
//! keeps the source. The waker of the stream sets a signal, and wakes the batch. So no thread waits
//! for the stream.
//!
//! Any thread of the user may use that waker. So the waker keeps no job and no item alive.
//! Otherwise it could have the last reference, and `wake` would drop them on that thread.

use std::hash::Hash;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, Wake, Waker};

use futures_core::Stream;

use crate::io::{KeyOfItem, Keyed, Weighed};
use crate::primitive::AtomicBool;
use crate::requests::batch_waker::BatchWaker;

/// A source of requests. Its iterator returns `Pending` while there is no item.
pub(crate) trait RequestSource:
    Iterator<Item = Poll<Self::Request>> + Send + 'static
{
    type Request: Send + 'static;

    /// Prepares a source that may be pending. Returns its signal, which also wakes `batch`.
    fn connect(&mut self, _batch: &Arc<BatchWaker>) -> Option<Arc<SourceSignal>> {
        None
    }

    /// Returns `false` if the next item has to wait for room in a budget. After `true`, the caller
    /// calls `next` before it calls this method again.
    fn is_admitted(&mut self) -> bool {
        true
    }

    /// Returns the key of the item that `next` returned last, if items have keys.
    fn take_key(&mut self) -> Option<KeyOfItem> {
        None
    }
}

impl<S, F, K, U, E> RequestSource for Keyed<S, F, K, U, E>
where
    S: RequestSource,
    F: FnMut(&Poll<S::Request>) -> Option<K> + Send + 'static,
    K: Hash + Eq + Send + 'static,
    U: Send + 'static,
    E: Send + 'static,
{
    type Request = S::Request;

    fn connect(&mut self, batch: &Arc<BatchWaker>) -> Option<Arc<SourceSignal>> {
        self.source().connect(batch)
    }

    fn take_key(&mut self) -> Option<KeyOfItem> {
        Keyed::take_key(self)
    }
}

impl<S, W> RequestSource for Weighed<S, W>
where
    S: RequestSource,
    W: Fn(&Poll<S::Request>) -> Option<u64> + Send + 'static,
{
    type Request = S::Request;

    fn connect(&mut self, batch: &Arc<BatchWaker>) -> Option<Arc<SourceSignal>> {
        self.source().connect(batch)
    }

    fn is_admitted(&mut self) -> bool {
        Weighed::is_admitted(self)
    }
}

/// Says whether a source that was pending may have an item. It is the waker of the source.
pub(crate) struct SourceSignal {
    is_set: AtomicBool,
    batch: Arc<BatchWaker>,
}

impl SourceSignal {
    /// Notes that the source is asked now. A waker that is used later sets the signal.
    fn reset(&self) {
        // ORDERING: source:reset: Relaxed; as `source:wake`.
        self.is_set.store(false, Relaxed);
    }

    pub(crate) fn is_set(&self) -> bool {
        // ORDERING: source:look: Relaxed; as `source:wake`.
        self.is_set.load(Relaxed)
    }
}

impl Wake for SourceSignal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // ORDERING: source:wake: Relaxed; `rest:end`, which comes next, orders it for a thread that
        // looks for work. The stream orders its own items.
        self.is_set.store(true, Relaxed);
        self.batch.wake();
    }
}

/// An iterator as a source, which is never pending.
pub(crate) struct Items<I>(pub(crate) I);

impl<I: Iterator> Iterator for Items<I> {
    type Item = Poll<I::Item>;

    fn next(&mut self) -> Option<Poll<I::Item>> {
        self.0.next().map(Poll::Ready)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl<I: Iterator<Item: Send + 'static> + Send + 'static> RequestSource for Items<I> {
    type Request = I::Item;
}

/// An async stream as a source, with a conversion of its items.
pub(crate) struct Polled<I, F> {
    stream: Pin<Box<I>>,
    convert: F,
    /// Set before the first poll.
    connection: Option<(Arc<SourceSignal>, Waker)>,
}

impl<I, F> Polled<I, F> {
    pub(crate) fn new(stream: I, convert: F) -> Polled<I, F> {
        Polled { stream: Box::pin(stream), convert, connection: None }
    }
}

impl<I: Stream, R, F: Fn(I::Item) -> R> Iterator for Polled<I, F> {
    type Item = Poll<R>;

    fn next(&mut self) -> Option<Poll<R>> {
        let (signal, waker) = self.connection.as_ref().expect("it was connected at its start");
        signal.reset();
        match self.stream.as_mut().poll_next(&mut Context::from_waker(waker)) {
            Poll::Pending => Some(Poll::Pending),
            Poll::Ready(item) => item.map(&self.convert).map(Poll::Ready),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.stream.size_hint()
    }
}

impl<I, R, F> RequestSource for Polled<I, F>
where
    I: Stream + Send + 'static,
    R: Send + 'static,
    F: Fn(I::Item) -> R + Send + 'static,
{
    type Request = R;

    fn connect(&mut self, batch: &Arc<BatchWaker>) -> Option<Arc<SourceSignal>> {
        let (is_set, batch) = (AtomicBool::new(false), Arc::clone(batch));
        let signal = Arc::new(SourceSignal { is_set, batch });
        self.connection = Some((Arc::clone(&signal), Waker::from(Arc::clone(&signal))));
        Some(signal)
    }
}
