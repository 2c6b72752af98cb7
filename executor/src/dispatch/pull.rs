//! Pulls the source of a dispatcher.

use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;

use crate::dispatch::call::Call;
use crate::dispatch::dispatcher::{Dispatch, ItemTicket, Pull, Turn};
use crate::dispatch::source::AnySource;
use crate::io::{LazySource, OrderedSource, OutputProducer, OutputTicket, SourceEnd};
use crate::limits::Current;
use crate::outcome::{Failure, Stop};
use crate::primitive::{AtomicU64, Mutex, lock};
use crate::unwind::{DiscardOnDrop, discard};

type SourceOf<D> =
    OrderedSource<AnySource<<D as Dispatch>::Item>, <D as Dispatch>::Value, <D as Dispatch>::Error>;

enum State<S> {
    /// Boxed, because it is moved in and out.
    Here(Box<S>),
    /// A thread pulls it.
    Out,
    /// A thread pulls it, and drops it afterwards.
    Unwanted,
    Gone,
}

/// The source of a call, while no thread pulls it.
pub(super) struct SourceSlot<D: Dispatch> {
    state: DiscardOnDrop<Mutex<State<SourceOf<D>>>>,
    /// The number of items that were pulled. Only the puller changes it.
    pulled: AtomicU64,
}

impl<D: Dispatch> SourceSlot<D> {
    pub(super) fn new(
        source: AnySource<D::Item>,
        producer: OutputProducer<D::Value, D::Error>,
    ) -> Self {
        let source = LazySource::within_budget(source, |source| source.is_admitted())
            .with_keys(|source| source.take_key());
        let source = OrderedSource::new(source, producer);
        let state = DiscardOnDrop::new(Mutex::new(State::Here(Box::new(source))));
        SourceSlot { state, pulled: AtomicU64::new(0) }
    }

    fn take(&self) -> Result<Box<SourceOf<D>>, Pull> {
        let mut state = lock(&self.state);
        match std::mem::replace(&mut *state, State::Out) {
            State::Here(source) => Ok(source),
            other => {
                let is_gone = matches!(other, State::Gone);
                *state = other;
                Err(if is_gone { Pull::Ended } else { Pull::Busy })
            }
        }
    }

    /// Puts the source back. Returns it if the call wants no more items.
    fn put_back(&self, source: Box<SourceOf<D>>) -> Option<Box<SourceOf<D>>> {
        let mut state = lock(&self.state);
        if let State::Unwanted = *state {
            *state = State::Gone;
            return Some(source);
        }
        *state = State::Here(source);
        None
    }

    fn end(&self) {
        *lock(&self.state) = State::Gone;
    }

    /// Drops the source of a call that wants no more items. If a thread pulls it, that thread drops
    /// it.
    pub(super) fn abandon(&self) {
        let mut state = lock(&self.state);
        let left = match &*state {
            State::Out | State::Unwanted => State::Unwanted,
            State::Here(_) | State::Gone => State::Gone,
        };
        let source = std::mem::replace(&mut *state, left);
        drop(state);
        if let State::Here(source) = source {
            source.abandon();
        }
    }
}

impl<D: Dispatch> Call<D> {
    /// Pulls one item, and [adds](Dispatch::add) it. The item has the next index.
    ///
    /// The source is not asked while the window has no space.
    ///
    /// # Panics
    ///
    /// Never. A panic of the source is the last outcome of the call.
    ///
    /// # Progress
    ///
    /// It runs the source, which may block for as long as it likes. Then another thread takes the
    /// place of this worker. Call it in [`perform`](Dispatch::perform), without a lock of your own.
    pub fn pull(&self, turn: &Turn<'_>) -> Pull {
        if !self.has_space() {
            return Pull::Full;
        }
        let source = match self.source.take() {
            Ok(source) => source,
            Err(other) => return other,
        };
        turn.has_pulled.set(true);
        let inside = turn.slice.enter_source();
        let pulled = self.pull_from(source);
        drop(inside);
        pulled
    }

    fn pull_from(&self, mut source: Box<SourceOf<D>>) -> Pull {
        let state = &self.source_state;
        let pull = || source.next_fits().then(|| source.pull_one());
        let Some((item, end)) = Current::of_call(&self.limits).run(pull) else {
            state.note_no_room();
            return self.put_back(source, Pull::Waiting);
        };
        let item = match item {
            Some(Poll::Ready(item)) => Some(item),
            Some(Poll::Pending) => {
                state.note_pending();
                return self.put_back(source, Pull::Waiting);
            }
            None => None,
        };
        state.note_ready();
        let key = source.take_key();
        let is_wanted = item.is_none_or(|item| match key {
            Some(key) => self.admit(key, item),
            None => self.add(source.reserve(self.pulled()), item),
        });
        match end {
            _ if !is_wanted => self.abandon(*source),
            // A full window would keep the source from being asked, and its end from being seen.
            None if source.is_exhausted() => self.finish(*source),
            None => return self.put_back(source, Pull::More),
            Some(SourceEnd::Exhausted) => self.finish(*source),
            Some(SourceEnd::Panicked(payload)) => {
                if let Some((ticket, failure)) = source.reserve_panic(self.pulled(), payload) {
                    self.deliver_source_panic(ticket, failure);
                }
                self.finish(*source);
            }
        }
        Pull::Ended
    }

    fn put_back(&self, source: Box<SourceOf<D>>, pull: Pull) -> Pull {
        match self.source.put_back(source) {
            None => pull,
            Some(source) => {
                source.abandon();
                Pull::Ended
            }
        }
    }

    /// Adds an item that was pulled. Returns `false` if no more items are wanted.
    pub(super) fn add(&self, ticket: Option<OutputTicket>, item: D::Item) -> bool {
        let Some(ticket) = ticket else {
            discard(item);
            return false;
        };
        self.count_pulled();
        match self.ask(|dispatch| dispatch.add(ItemTicket(ticket), item, true)) {
            Some(Ok(())) => true,
            Some(Err(item)) => {
                self.refuse_pulled(ticket, item);
                false
            }
            None => false,
        }
    }

    /// Drops an item that came after the call was closed. The consumer may wait for its outcome,
    /// because the item has its position.
    pub(super) fn refuse_pulled(&self, ticket: OutputTicket, item: D::Item) {
        let stop = self.stop().unwrap_or(Stop::Cancelled { cause: None });
        self.output.complete_one(ticket, Err(stop.into()));
        discard(item);
    }

    /// Returns the number of items that were pulled: the index of the next one.
    pub(super) fn pulled(&self) -> u64 {
        // ORDERING: dispatch:pulled: Relaxed; the lock of the source orders it for pullers.
        self.source.pulled.load(Relaxed)
    }

    pub(super) fn count_pulled(&self) {
        // ORDERING: dispatch:count_pulled: Relaxed; as `dispatch:pulled`.
        self.source.pulled.store(self.pulled() + 1, Relaxed);
    }

    /// Counts an item that was pulled and gets its outcome without the dispatcher.
    pub(super) fn count_finished(&self) {
        self.count_pulled();
        self.ask(D::add_finished);
    }

    fn deliver_source_panic(&self, ticket: OutputTicket, failure: Failure<D::Error>) {
        self.count_finished();
        self.output.complete_one(ticket, Err(failure));
    }

    fn finish(&self, source: SourceOf<D>) {
        let index = self.pulled();
        source.finish(index, |ticket, failure| self.deliver_source_panic(ticket, failure));
        self.source.end();
    }

    fn abandon(&self, source: SourceOf<D>) {
        source.abandon();
        self.source.end();
    }
}
