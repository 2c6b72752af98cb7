//! Pulls the source of a batch of requests.

use std::task::Poll;

use crate::io::{OutputTicket, SourceEnd};
use crate::limits::Current;
use crate::outcome::{Failure, Stop};
use crate::primitive::{lock, now};
use crate::requests::driver::{Driver, SourceOf};
use crate::requests::in_flight::{ItemOf, Jobs, PendingItem};
use crate::unwind::discard;

impl<J: Jobs> Driver<J> {
    /// Pulls one item if the budget has room for it, and gives the source back to the dispatcher.
    pub(super) fn pull(&self, mut source: Box<SourceOf<J>>) {
        let pull = || source.next_fits().then(|| source.pull_one());
        let Some((item, end)) = Current::of_call(&self.limits).run(pull) else {
            let source = lock(&self.dispatcher).give_back_refused(source);
            return source.into_iter().for_each(|source| self.abandon(*source));
        };
        let item = match item {
            Some(Poll::Ready(item)) => Some(item),
            Some(Poll::Pending) => {
                let source = lock(&self.dispatcher).give_back_pending(source);
                return source.into_iter().for_each(|source| self.abandon(*source));
            }
            None => None,
        };
        let key = source.take_key();
        let is_wanted = item.is_none_or(|item| match key {
            Some(key) => self.admit(key, item),
            None => self.add(source.reserve(self.pulled()), item),
        });
        match end {
            _ if !is_wanted => self.abandon(*source),
            // A full window would keep the source from being asked, and its end from being seen.
            None if source.is_exhausted() => self.finish(*source),
            None => {
                let source = lock(&self.dispatcher).give_back(source);
                source.into_iter().for_each(|source| self.abandon(*source));
            }
            Some(SourceEnd::Exhausted) => self.finish(*source),
            Some(SourceEnd::Panicked(payload)) => {
                if let Some((ticket, failure)) = source.reserve_panic(self.pulled(), payload) {
                    self.deliver_source_panic(ticket, failure);
                }
                self.finish(*source);
            }
        }
    }

    /// Adds an item that was pulled. Returns `false` if no more items are wanted.
    pub(super) fn add(&self, ticket: Option<OutputTicket>, item: ItemOf<J>) -> bool {
        let Some(ticket) = ticket else {
            discard(item);
            return false;
        };
        let pending = PendingItem { ticket, item };
        let pulled = lock(&self.dispatcher).pulled(pending, now());
        pulled.map_err(|pending| self.refuse_pulled(pending)).is_ok()
    }

    /// Drops an item that came after the batch was closed. The consumer may wait for its outcome,
    /// because the item has its position.
    pub(super) fn refuse_pulled(&self, pending: PendingItem<ItemOf<J>>) {
        let stop = self.output.ended_by().unwrap_or(Stop::Cancelled { cause: None });
        self.output.complete_one(pending.ticket, Err(stop.into()));
        discard(pending.item);
    }

    /// Returns the number of items that were pulled: the index of the next one.
    pub(super) fn pulled(&self) -> u64 {
        lock(&self.dispatcher).counts().0
    }

    fn deliver_source_panic(&self, ticket: OutputTicket, failure: Failure<J::Error>) {
        lock(&self.dispatcher).pulled_finished();
        self.output.complete_one(ticket, Err(failure));
    }

    fn finish(&self, source: SourceOf<J>) {
        let index = self.pulled();
        source.finish(index, |ticket, failure| self.deliver_source_panic(ticket, failure));
        lock(&self.dispatcher).source_ended();
    }

    /// Drops the source of a batch that wants no more items.
    pub(super) fn abandon(&self, source: SourceOf<J>) {
        source.abandon();
        lock(&self.dispatcher).source_ended();
    }
}
