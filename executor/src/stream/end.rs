//! How a stream ends when its source does.

use std::any::Any;

use crate::chunk::Chunk;
use crate::failure::{Failure, Outcome, Panic, contain, discard};
use crate::feed::Feed;
use crate::stream::Core;

impl<I, U, E, F> Core<I, U, E, F>
where
    I: Iterator + Send,
    I::Item: Send,
    U: Send,
    E: Send,
    F: Fn(I::Item) -> Outcome<U, E> + Send + Sync,
{
    /// The last item of the stream says that the source panicked. There is room for it: the source
    /// was asked for an item because there was.
    pub(super) fn deliver_source_panic(
        &self,
        feed: &mut Feed<I, U, E>,
        payload: Box<dyn Any + Send>,
    ) {
        match feed.reserve(1) {
            Ok(ticket) => {
                self.extent.pull(1);
                let failure = Failure::SourcePanicked(Panic::new(payload));
                self.complete(ticket, Chunk::from([Err(failure)]));
            }
            Err(_) => discard(payload),
        }
    }

    /// Drops the source before the end is declared, so that a consumer which sees the end sees
    /// whatever the source's `Drop` does, also its panic if there is room to tell.
    pub(super) fn end(&self, mut feed: Feed<I, U, E>) {
        if let Some(payload) = feed.drop_source() {
            self.deliver_source_panic(&mut feed, payload);
        }
        // Closing the ring may drop undelivered values.
        contain(|| feed.finish());
        self.extent.end();
    }
}
