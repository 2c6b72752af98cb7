//! Where requests come from, and its end.

use std::any::Any;

use arrayvec::ArrayVec;

use crate::failure::{Failure, Panic, contain, discard};
use crate::feed::{Feed, Filled, Stop};
use crate::primitive::now;
use crate::requests::core::{Core, Source, lock};
use crate::requests::flight::Place;
use crate::requests::jobs::Jobs;

impl<I, J, U, E> Core<I, J, U, E>
where
    I: Iterator + Send + 'static,
    I::Item: Send,
    J: Jobs<I::Item, U, E> + 'static,
    U: Send + 'static,
    E: Send + 'static,
{
    pub(super) fn pull(&self, mut feed: Source<I, U, E>) {
        let mut items = ArrayVec::<_, 1>::new();
        let Filled { stop, .. } = feed.fill(&mut items, 1, true);
        let mut has_place = true;
        if let Some(item) = items.pop() {
            let item = self.jobs.keep(item);
            has_place = match feed.reserve(1) {
                Ok(ticket) => {
                    let pulled = lock(&self.desk).pulled(Place { ticket, item: Some(item) }, now());
                    pulled.map_err(|place| discard(place.item)).is_ok()
                }
                Err(_) => {
                    discard(item);
                    false
                }
            };
        }
        match stop {
            _ if !has_place => self.abandon(feed),
            // A full window would keep it from being asked, and the end from being seen.
            None if feed.is_at_its_end() => self.finish(feed),
            None => {
                let feed = lock(&self.desk).give_back(feed);
                feed.into_iter().for_each(|feed| self.abandon(feed));
            }
            Some(Stop::Ended) => self.finish(feed),
            Some(Stop::Panicked(payload)) => {
                self.deliver_source_panic(&mut feed, payload);
                self.finish(feed);
            }
        }
    }

    /// The last item says that the source panicked, if there is room for it to.
    fn deliver_source_panic(&self, feed: &mut Feed<I, U, E>, payload: Box<dyn Any + Send>) {
        match feed.reserve(1) {
            Ok(ticket) => {
                lock(&self.desk).pulled_settled();
                let failure = Failure::SourcePanicked(Panic::new(payload));
                self.complete(ticket, Err(failure));
            }
            Err(_) => discard(payload),
        }
    }

    /// The source is at its end. It is dropped before the consumer sees that.
    fn finish(&self, mut feed: Source<I, U, E>) {
        if let Some(payload) = feed.drop_source() {
            self.deliver_source_panic(&mut feed, payload);
        }
        // Closing the ring may drop undelivered values.
        contain(|| feed.finish());
        lock(&self.desk).source_ended();
    }

    /// Nobody wants more of the source.
    pub(super) fn abandon(&self, mut feed: Source<I, U, E>) {
        feed.drop_source().into_iter().for_each(discard);
        contain(|| drop(feed));
        lock(&self.desk).source_ended();
    }
}
