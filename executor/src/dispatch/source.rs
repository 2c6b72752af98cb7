//! The sources of dispatchers: iterators, and async streams.
//!
//! A worker polls a stream as it pulls an iterator. While the stream has no item, the call keeps
//! the source. The waker of the stream sets a signal, and wakes the call. So no thread waits for
//! the stream.
//!
//! Any thread of the user may use that waker. So the waker keeps no job and no item alive.
//! Otherwise it could have the last reference, and `wake` would drop them on that thread.

use std::fmt;
use std::hash::Hash;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, Wake, Waker};

use futures_core::Stream;

use crate::dispatch::waker::CallWaker;
use crate::io::{KeyOfItem, Keyed, Weighed};
use crate::limits::Budget;
use crate::primitive::{AtomicBool, AtomicU8};

/// A source of a dispatcher. Its iterator returns `Pending` while there is no item.
pub(super) trait PollSource: Iterator<Item = Poll<Self::Pulled>> + Send {
    type Pulled;

    /// Prepares a source that may be pending. It sets the signal of `state`.
    fn connect(&mut self, _state: &Arc<SourceState>) {}

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

/// A source of any type.
pub(super) type AnySource<T> = Box<dyn PollSource<Pulled = T, Item = Poll<T>>>;

impl<S, F, K, U, E> PollSource for Keyed<S, F, K, U, E>
where
    S: PollSource,
    F: FnMut(&Poll<S::Pulled>) -> Option<K> + Send,
    K: Hash + Eq + Send,
    U: Send,
    E: Send,
{
    type Pulled = S::Pulled;

    fn connect(&mut self, state: &Arc<SourceState>) {
        self.source().connect(state);
    }

    fn take_key(&mut self) -> Option<KeyOfItem> {
        Keyed::take_key(self)
    }
}

impl<S, W> PollSource for Weighed<S, W>
where
    S: PollSource<Pulled: Send>,
    W: Fn(&Poll<S::Pulled>) -> Option<u64> + Send,
{
    type Pulled = S::Pulled;

    fn connect(&mut self, state: &Arc<SourceState>) {
        self.source().connect(state);
    }

    fn is_admitted(&mut self) -> bool {
        Weighed::is_admitted(self)
    }
}

const READY: u8 = 0;
const PENDING: u8 = 1;
const NO_ROOM: u8 = 2;

/// Tells whether it makes sense to pull the source of a call.
pub struct SourceState {
    waits_for: AtomicU8,
    /// `true` if a source that was pending may have an item.
    is_woken: AtomicBool,
    budget: Option<Arc<Budget>>,
    call: Arc<CallWaker>,
}

impl SourceState {
    pub(super) fn new(call: &Arc<CallWaker>, budget: Option<Arc<Budget>>) -> Arc<SourceState> {
        let (waits_for, is_woken) = (AtomicU8::new(READY), AtomicBool::new(false));
        Arc::new(SourceState { waits_for, is_woken, budget, call: Arc::clone(call) })
    }

    /// Returns `false` after [`Pull::Waiting`](crate::dispatch::Pull::Waiting), until the source
    /// may have an item, or there may be room for the weight of its next item.
    ///
    /// # Progress
    ///
    /// Blocking: with a budget of weights, it takes a lock that is held for a few instructions.
    pub fn may_pull(&self) -> bool {
        // ORDERING: source:state: Relaxed; the lock of the source orders it.
        match self.waits_for.load(Relaxed) {
            // ORDERING: source:look: Relaxed; as `source:wake`.
            PENDING => self.is_woken.load(Relaxed),
            NO_ROOM => self.budget.as_ref().is_none_or(|budget| budget.has_room()),
            _ => true,
        }
    }

    pub(super) fn note_ready(&self) {
        // ORDERING: source:ready: Relaxed; as `source:state`.
        self.waits_for.store(READY, Relaxed);
    }

    pub(super) fn note_pending(&self) {
        // ORDERING: source:pending: Relaxed; as `source:state`.
        self.waits_for.store(PENDING, Relaxed);
    }

    pub(super) fn note_no_room(&self) {
        // ORDERING: source:no_room: Relaxed; as `source:state`.
        self.waits_for.store(NO_ROOM, Relaxed);
    }

    /// Notes that the source is asked now. A waker that is used later sets the signal.
    fn reset(&self) {
        // ORDERING: source:reset: Relaxed; as `source:wake`.
        self.is_woken.store(false, Relaxed);
    }
}

impl Wake for SourceState {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // ORDERING: source:wake: Relaxed; `rest:end`, which comes next, orders it for a thread that
        // looks for work. The stream orders its own items.
        self.is_woken.store(true, Relaxed);
        self.call.wake_by_ref();
    }
}

impl fmt::Debug for SourceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceState").field("may_pull", &self.may_pull()).finish_non_exhaustive()
    }
}

/// An iterator as a source, which is never pending.
pub(super) struct Iter<I>(pub(super) I);

impl<I: Iterator> Iterator for Iter<I> {
    type Item = Poll<I::Item>;

    fn next(&mut self) -> Option<Poll<I::Item>> {
        self.0.next().map(Poll::Ready)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl<I: Iterator + Send> PollSource for Iter<I> {
    type Pulled = I::Item;
}

/// An async stream as a source.
pub(super) struct Polled<I> {
    stream: Pin<Box<I>>,
    /// Set before the first poll.
    connection: Option<(Arc<SourceState>, Waker)>,
}

impl<I> Polled<I> {
    pub(super) fn new(stream: I) -> Polled<I> {
        Polled { stream: Box::pin(stream), connection: None }
    }
}

impl<I: Stream> Iterator for Polled<I> {
    type Item = Poll<I::Item>;

    fn next(&mut self) -> Option<Poll<I::Item>> {
        let (state, waker) = self.connection.as_ref().expect("it was connected at its start");
        state.reset();
        match self.stream.as_mut().poll_next(&mut Context::from_waker(waker)) {
            Poll::Pending => Some(Poll::Pending),
            Poll::Ready(item) => item.map(Poll::Ready),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.stream.size_hint()
    }
}

impl<I: Stream + Send> PollSource for Polled<I> {
    type Pulled = I::Item;

    fn connect(&mut self, state: &Arc<SourceState>) {
        self.connection = Some((Arc::clone(state), Waker::from(Arc::clone(state))));
    }
}
