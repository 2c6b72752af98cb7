//! The sources of requests: iterators, and async streams.
//!
//! A worker polls a stream as it pulls an iterator. While the stream has no item, its source rests
//! in the dispatcher. The waker of the stream notes that there may be an item, and notifies the
//! workers. So no thread waits for the stream.

use std::pin::Pin;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};

use futures_core::Stream;

use crate::primitive::AtomicBool;

/// A source of requests. Its iterator returns `Pending` while there is no item.
pub(crate) trait RequestSource:
    Iterator<Item = Poll<Self::Request>> + Send + 'static
{
    type Request: Send + 'static;

    /// Prepares a source that may be pending: makes its signal, and its waker from the signal.
    fn connect(
        &mut self,
        _waker: impl FnOnce(Arc<SourceSignal>) -> Waker,
    ) -> Option<Arc<SourceSignal>> {
        None
    }
}

/// Says whether a source that was pending may have an item.
#[derive(Default)]
pub(crate) struct SourceSignal(AtomicBool);

impl SourceSignal {
    /// Notes that the source is asked now. A waker that is used later sets the signal.
    fn reset(&self) {
        // ORDERING: source:reset: Relaxed; as `source:wake`.
        self.0.store(false, Relaxed);
    }

    pub(crate) fn set(&self) {
        // ORDERING: source:wake: Relaxed; the lock of the dispatcher, which both sides take next,
        // orders it. The stream orders its own items.
        self.0.store(true, Relaxed);
    }

    pub(crate) fn is_set(&self) -> bool {
        // ORDERING: source:look: Relaxed; as `source:wake`.
        self.0.load(Relaxed)
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

    fn connect(
        &mut self,
        waker: impl FnOnce(Arc<SourceSignal>) -> Waker,
    ) -> Option<Arc<SourceSignal>> {
        let signal = Arc::new(SourceSignal::default());
        self.connection = Some((Arc::clone(&signal), waker(Arc::clone(&signal))));
        Some(signal)
    }
}

/// The driver of requests, which acts on a source that was woken.
pub(crate) trait WokenBySource: Send + Sync + 'static {
    fn source_woken(&self);
}

/// The waker of a source that is a stream.
pub(crate) struct SourceWaker<D> {
    pub(crate) signal: Arc<SourceSignal>,
    pub(crate) driver: Weak<D>,
}

impl<D: WokenBySource> Wake for SourceWaker<D> {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.signal.set();
        if let Some(driver) = self.driver.upgrade() {
            driver.source_woken();
        }
    }
}
