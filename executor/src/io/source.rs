//! The source of a stream, and the ring positions of its items. Only the puller touches it.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering::{Acquire, Release};

use arrayvec::ArrayVec;
use crossbeam_utils::CachePadded;
use reorder_ring::{Producer, ReserveError, Ticket};

use crate::io::chunk::ChunkRing;
use crate::io::pull::{SourceEnd, is_exhausted, pull};
use crate::outcome::{Failure, Panic};
use crate::primitive::AtomicU64;
use crate::unwind::{catch_panic, discard};

pub(crate) struct OrderedSource<I, U, E> {
    /// `None` once it has been dropped.
    source: Option<I>,
    producer: Producer<ChunkRing<U, E>>,
    /// The number of items that have a position.
    pulled: u64,
    /// The bound of `pulled`, computed when the delivered items were counted last.
    limit: u64,
}

/// The result of a pull, besides items.
pub(crate) struct Filled {
    /// The number of further items that the source promises.
    pub(crate) promised: usize,
    /// The reason why the source is asked no more.
    pub(crate) end: Option<SourceEnd>,
}

/// The number of items that the consumer has taken. Written by the consumer, read by pullers.
#[derive(Default)]
pub(crate) struct Delivered(CachePadded<AtomicU64>);

impl Delivered {
    pub(crate) fn set(&self, items: u64) {
        // ORDERING: stream:deliver: Release pairs with `stream:delivered`: a puller that sees the
        // space finds it in the ring, too. The fences `stream:full` and `stream:space` see to it
        // that a puller which finds the window full does not miss the space.
        self.0.store(items, Release);
    }

    pub(crate) fn get(&self) -> u64 {
        // ORDERING: stream:delivered: Acquire pairs with `stream:deliver`.
        self.0.load(Acquire)
    }
}

impl<I: Iterator, U, E> OrderedSource<I, U, E> {
    pub(crate) fn new(source: I, producer: Producer<ChunkRing<U, E>>) -> Self {
        OrderedSource { source: Some(source), producer, pulled: 0, limit: 0 }
    }

    /// Returns the number of items that may be pulled now, up to `wanted`.
    pub(crate) fn free_space(&mut self, wanted: u32, delivered: &Delivered) -> usize {
        let wanted = u64::from(wanted);
        if self.limit - self.pulled < wanted {
            self.limit = delivered.get() + self.producer.ring().capacity() as u64;
        }
        (self.limit - self.pulled).min(wanted) as usize
    }

    /// Pulls up to `most` items, and no more than the source promises.
    ///
    /// An item that was pulled must not wait for a source that blocks. A source that promises
    /// nothing is asked for one item if `may_block`, and otherwise for none.
    #[inline]
    pub(crate) fn fill<const MOST: usize>(
        &mut self,
        items: &mut ArrayVec<I::Item, MOST>,
        most: usize,
        may_block: bool,
    ) -> Filled {
        let Some(source) = &mut self.source else {
            return Filled { promised: 0, end: Some(SourceEnd::Exhausted) };
        };
        let left = Cell::new(0);
        let wanted = |source: &I| {
            let promised = source.size_hint().0;
            let wanted = promised.max(usize::from(may_block)).min(most).min(MOST);
            left.set(promised.saturating_sub(wanted));
            wanted
        };
        let end = pull(source, wanted, |item| items.push(item));
        Filled { promised: if end.is_none() { left.get() } else { 0 }, end }
    }

    /// Returns `true` if the source says that it has no more items.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.source.as_ref().is_none_or(|source| is_exhausted(source))
    }

    /// Reserves the position of `items` items that were pulled. Fails if the consumer has gone.
    pub(crate) fn reserve(&mut self, items: usize) -> Result<Ticket, ReserveError> {
        let ticket = self.producer.reserve()?;
        self.pulled += items as u64;
        Ok(ticket)
    }

    /// Reserves the last position of the stream for a panic of the source, and returns what to
    /// complete it with.
    ///
    /// There is space for it, because the source was asked for an item. Returns `None` if the
    /// consumer has gone.
    pub(crate) fn reserve_panic(
        &mut self,
        payload: Box<dyn Any + Send>,
    ) -> Option<(Ticket, Failure<E>)> {
        match self.reserve(1) {
            Ok(ticket) => Some((ticket, Failure::SourcePanicked(Panic::new(payload)))),
            Err(_) => {
                discard(payload);
                None
            }
        }
    }

    /// Ends the stream in good order.
    ///
    /// The source is dropped before the end is declared. So a consumer that sees the end sees what
    /// the `Drop` of the source does. If that `Drop` panics, `deliver` gets the panic as the last
    /// outcome, provided there is space for it.
    pub(crate) fn finish(mut self, deliver: impl FnOnce(Ticket, Failure<E>)) {
        if let Some((ticket, failure)) =
            self.drop_source().and_then(|payload| self.reserve_panic(payload))
        {
            deliver(ticket, failure);
        }
        // Closing the ring may drop undelivered values.
        catch_panic(|| self.producer.finish());
    }

    /// Drops the source of a stream whose consumer wants no more.
    pub(crate) fn abandon(mut self) {
        self.drop_source().into_iter().for_each(discard);
        catch_panic(|| drop(self));
    }

    /// Drops the source and returns the payload if that panics.
    fn drop_source(&mut self) -> Option<Box<dyn Any + Send>> {
        let source = self.source.take();
        catch_unwind(AssertUnwindSafe(|| drop(source))).err()
    }
}
