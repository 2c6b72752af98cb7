//! The source of a stream and the places of what comes from it: what only the puller touches.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering::{Acquire, Release};

use arrayvec::ArrayVec;
use crossbeam_utils::CachePadded;
use reorder_ring::{Producer, ReserveError, Ticket};

use crate::failure::discard;
use crate::primitive::AtomicU64;
use crate::stream::ChunkRing;

pub(crate) struct Feed<I, U, E> {
    /// `None` once it has been dropped.
    source: Option<I>,
    producer: Producer<ChunkRing<U, E>>,
    pulled: u64,
    /// As far as `pulled` may go, by the last look at what was delivered.
    limit: u64,
}

/// Why a pull brought less than was asked for.
pub(crate) enum Stop {
    Ended,
    Panicked(Box<dyn Any + Send>),
}

/// What a pull brought besides items.
pub(crate) struct Filled {
    /// How many more items the source says it has, at least.
    pub(crate) promised: usize,
    pub(crate) stop: Option<Stop>,
}

/// How many items the consumer has let go of.
#[derive(Default)]
pub(crate) struct Delivered(CachePadded<AtomicU64>);

impl Delivered {
    pub(crate) fn set(&self, items: u64) {
        // ORDERING: stream:deliver: Release pairs with `stream:delivered`: who sees the room finds it in the ring, too.
        // That a puller which finds the window full does not miss it is the business of the fences `stream:full`
        // and `stream:room`.
        self.0.store(items, Release);
    }

    pub(crate) fn get(&self) -> u64 {
        // ORDERING: stream:delivered: Acquire pairs with `stream:deliver`.
        self.0.load(Acquire)
    }
}

impl<I: Iterator, U, E> Feed<I, U, E> {
    pub(crate) fn new(source: I, producer: Producer<ChunkRing<U, E>>) -> Feed<I, U, E> {
        Feed { source: Some(source), producer, pulled: 0, limit: 0 }
    }

    /// How many more items may be outstanding, up to `wanted`.
    pub(crate) fn room(&mut self, wanted: u32, delivered: &Delivered) -> usize {
        let wanted = u64::from(wanted);
        if self.limit - self.pulled < wanted {
            self.limit = delivered.get() + self.producer.ring().capacity() as u64;
        }
        (self.limit - self.pulled).min(wanted) as usize
    }

    /// Pulls up to so many items, but no more than the source says it has: what was pulled must not
    /// wait for a source that waits. If it says nothing, one, or none unless `even_unpromised`.
    pub(crate) fn fill<const MOST: usize>(
        &mut self,
        items: &mut ArrayVec<I::Item, MOST>,
        most: usize,
        even_unpromised: bool,
    ) -> Filled {
        let Some(source) = &mut self.source else {
            return Filled { promised: 0, stop: Some(Stop::Ended) };
        };
        let filled = catch_unwind(AssertUnwindSafe(|| {
            let promised = source.size_hint().0;
            let wanted = promised.max(usize::from(even_unpromised)).min(most).min(MOST);
            while items.len() < wanted {
                match source.next() {
                    Some(item) => items.push(item),
                    None => return Filled { promised: 0, stop: Some(Stop::Ended) },
                }
            }
            Filled { promised: promised.saturating_sub(wanted), stop: None }
        }));
        filled.unwrap_or_else(|payload| Filled { promised: 0, stop: Some(Stop::Panicked(payload)) })
    }

    /// Whether the source says so. One that panics when it is asked does not.
    pub(crate) fn is_at_its_end(&self) -> bool {
        let Some(source) = &self.source else { return true };
        catch_unwind(AssertUnwindSafe(|| source.size_hint().1 == Some(0))).unwrap_or_else(
            |payload| {
                discard(payload);
                false
            },
        )
    }

    /// The place of so many items that were pulled. Fails if the consumer has gone.
    pub(crate) fn reserve(&mut self, items: usize) -> Result<Ticket, ReserveError> {
        let ticket = self.producer.reserve()?;
        self.pulled += items as u64;
        Ok(ticket)
    }

    /// The payload, if that panics.
    pub(crate) fn drop_source(&mut self) -> Option<Box<dyn Any + Send>> {
        let source = self.source.take();
        catch_unwind(AssertUnwindSafe(|| drop(source))).err()
    }

    /// Ends the stream in good order. Closing the ring may drop undelivered values.
    pub(crate) fn finish(self) {
        self.producer.finish();
    }
}
