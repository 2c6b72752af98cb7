//! The source of a stream, and the ring positions of its items.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crossbeam_utils::CachePadded;

use crate::io::keyed::KeyOfItem;
use crate::io::output_ticket::{OutputProducer, OutputTicket};
use crate::io::pull::{SourceEnd, is_exhausted, pull};
use crate::limits::Budget;
use crate::outcome::{Failure, Panic};
use crate::primitive::{AtomicBool, AtomicU64, hints};
use crate::unwind::discard;

/// The source of a stream. Only the puller touches it.
pub(crate) struct LazySource<I> {
    /// `None` once it has been dropped.
    source: Option<I>,
    /// The number of items that were pulled.
    pub(crate) pulled: u64,
    /// The number of delivered items, when it was read last.
    delivered: u64,
    /// `true` if the last pull found no space.
    awaits_space: bool,
    /// Returns `false` if the next item has to wait for room in a budget.
    fits: Option<fn(&mut I) -> bool>,
    /// Returns the key of the last item.
    key: Option<fn(&mut I) -> Option<KeyOfItem>>,
}

/// A source with the right to reserve positions for its items.
pub(crate) struct OrderedSource<I, U, E> {
    source: LazySource<I>,
    producer: OutputProducer<U, E>,
}

/// The iterators of the standard library that run no code of a user: ranges, and the items of a
/// vector, an array or a slice.
const OF_STD: [&str; 6] = [
    "core::ops::range::Range<",
    "core::ops::range::RangeFrom<",
    "core::ops::range::RangeInclusive<",
    "core::slice::iter::Iter<",
    "core::array::iter::IntoIter<",
    "alloc::vec::into_iter::IntoIter<",
];

/// Returns `true` if the source is known never to block. It is a guess by the name of its type,
/// which may be `false` for such a source.
pub(crate) fn never_blocks<I: Iterator>() -> bool {
    let name = std::any::type_name::<I>();
    OF_STD.iter().any(|prefix| name.starts_with(prefix))
}

/// The result of a pull, besides items.
pub(crate) struct Filled {
    /// The number of further items that the source promises.
    pub(crate) promised: usize,
    /// The reason why the source is not asked again.
    pub(crate) end: Option<SourceEnd>,
}

/// The number of items that the consumer has taken, and the number of failures among the outcomes.
#[derive(Default)]
pub(crate) struct Delivered {
    taken: CachePadded<Taken>,
    /// It orders nothing, and models need not see it.
    failed: hints::AtomicU64,
    budget: Option<Arc<Budget>>,
}

/// The words that the consumer uses after each take.
#[derive(Default)]
struct Taken {
    /// Written by the consumer, read by pullers.
    items: AtomicU64,
    /// `true` if the last puller found no space. Written by the puller, read by the consumer.
    is_awaited: AtomicBool,
}

impl Delivered {
    pub(crate) fn new(budget: Option<Arc<Budget>>) -> Delivered {
        Delivered { budget, ..Delivered::default() }
    }

    /// Returns the budget that outstanding items take up, if there is one.
    pub(crate) fn budget(&self) -> Option<&Arc<Budget>> {
        self.budget.as_ref()
    }

    pub(crate) fn set(&self, items: u64) {
        if let Some(budget) = &self.budget {
            budget.take_to(items);
        }
        // ORDERING: stream:deliver: Release pairs with `stream:delivered`: a puller that sees the
        // space finds it in the ring, too. The fences `stream:full` and `stream:space` see to it
        // that a puller which finds the window full does not miss the space.
        self.taken.items.store(items, Release);
    }

    fn set_awaited(&self, is_awaited: bool) {
        // ORDERING: stream:await: Relaxed; ordered by the fences `stream:full` and `stream:space`.
        self.taken.is_awaited.store(is_awaited, Relaxed);
    }

    /// Returns `true` if the last puller found no space.
    pub(crate) fn is_awaited(&self) -> bool {
        // ORDERING: stream:awaited: Relaxed; as `stream:await`.
        self.taken.is_awaited.load(Relaxed)
    }

    /// Counts outcomes that are failures.
    pub(crate) fn note_failed(&self, outcomes: u64) {
        if outcomes > 0 {
            // ORDERING: stream:note_failed: Relaxed; only shown to users.
            self.failed.fetch_add(outcomes, Relaxed);
        }
    }

    /// Takes back a count of failures that came too late.
    pub(crate) fn forget_failed(&self, outcomes: u64) {
        if outcomes > 0 {
            // ORDERING: stream:forget_failed: Relaxed; as `stream:note_failed`.
            self.failed.fetch_sub(outcomes, Relaxed);
        }
    }

    pub(crate) fn failed(&self) -> u64 {
        // ORDERING: stream:failed: Relaxed; as `stream:note_failed`.
        self.failed.load(Relaxed)
    }

    pub(crate) fn get(&self) -> u64 {
        // ORDERING: stream:delivered: Acquire pairs with `stream:deliver`.
        self.taken.items.load(Acquire)
    }
}

impl<I: Iterator> LazySource<I> {
    pub(crate) fn new(source: I) -> Self {
        LazySource {
            source: Some(source),
            pulled: 0,
            delivered: 0,
            awaits_space: false,
            fits: None,
            key: None,
        }
    }

    /// Returns a source that is pulled one item at a time, if `fits` returns `true`. Calls
    /// of dispatchers have such sources also without a budget.
    pub(crate) fn within_budget(source: I, fits: fn(&mut I) -> bool) -> Self {
        LazySource { fits: Some(fits), ..LazySource::new(source) }
    }

    /// Returns the same source, whose items have keys. It is pulled one item at a time.
    pub(crate) fn with_keys(self, key: fn(&mut I) -> Option<KeyOfItem>) -> Self {
        LazySource { key: Some(key), ..self }
    }

    /// Returns `true` if items have keys.
    pub(crate) fn has_keys(&self) -> bool {
        self.key.is_some()
    }

    /// Returns the key of the item that was pulled last, if items have keys.
    pub(crate) fn take_key(&mut self) -> Option<KeyOfItem> {
        self.source.as_mut().and_then(self.key?)
    }

    /// Returns the iterator, unless it was dropped.
    pub(crate) fn iterator(&self) -> Option<&I> {
        self.source.as_ref()
    }

    /// Returns `true` if items may have to wait for room in a budget.
    pub(crate) fn has_budget(&self) -> bool {
        self.fits.is_some()
    }

    /// Returns `false` if the next item has to wait for room in a budget. Calls the source.
    pub(crate) fn next_fits(&mut self) -> bool {
        let Some(fits) = self.fits else { return true };
        self.source.as_mut().is_none_or(fits)
    }

    /// Returns the number of items that may be pulled now, up to `wanted`.
    pub(crate) fn free_space(
        &mut self,
        wanted: u32,
        delivered: &Delivered,
        window: usize,
    ) -> usize {
        let (wanted, window) = (wanted as usize, window as u64);
        let outstanding = |delivered| self.pulled.saturating_sub(delivered);
        let mut free = window.saturating_sub(outstanding(self.delivered));
        if free < wanted as u64 {
            let delivered = delivered.get();
            free = window.saturating_sub(outstanding(delivered));
            self.delivered = delivered;
        }
        wanted.min(usize::try_from(free).unwrap_or(usize::MAX))
    }

    /// Notes for the consumer whether this pull found no space. The puller calls it before it gives
    /// up the right to pull.
    pub(crate) fn await_space(&mut self, awaits_space: bool, delivered: &Delivered) {
        // A write that changes nothing would still take the line from the consumer.
        if self.awaits_space != awaits_space {
            self.awaits_space = awaits_space;
            delivered.set_awaited(awaits_space);
        }
    }

    /// Pulls up to `most` items, at least 1, and no more than the source promises. Hands each to
    /// `put`, until that returns `false`. A source that promises nothing is asked for one item.
    #[inline]
    pub(crate) fn fill(&mut self, most: usize, put: impl FnMut(I::Item) -> bool) -> Filled {
        let left = Cell::new(0);
        let wanted = |source: &I| {
            let promised = source.size_hint().0;
            let wanted = promised.clamp(1, most);
            left.set(promised.saturating_sub(wanted));
            wanted
        };
        let end = pull(&mut self.source, wanted, put);
        Filled { promised: if end.is_none() { left.get() } else { 0 }, end }
    }

    /// Returns `true` if the source says that it has no more items.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.source.as_ref().is_none_or(|source| is_exhausted(source))
    }

    /// Drops the source and returns the payload if that panics.
    fn drop_source(&mut self) -> Option<Box<dyn Any + Send>> {
        let source = self.source.take();
        catch_unwind(AssertUnwindSafe(|| drop(source))).err()
    }
}

impl<I: Iterator, U, E> OrderedSource<I, U, E> {
    pub(crate) fn new(source: LazySource<I>, producer: OutputProducer<U, E>) -> Self {
        OrderedSource { source, producer }
    }

    /// Pulls one item.
    pub(crate) fn pull_one(&mut self) -> (Option<I::Item>, Option<SourceEnd>) {
        let mut item = None;
        let Filled { end, .. } = self.source.fill(1, |pulled| {
            item = Some(pulled);
            true
        });
        (item, end)
    }

    /// Returns `false` if the next item has to wait for room in a budget. Calls the source.
    pub(crate) fn next_fits(&mut self) -> bool {
        self.source.next_fits()
    }

    /// Returns the key of the item that was pulled last, if items have keys.
    pub(crate) fn take_key(&mut self) -> Option<KeyOfItem> {
        self.source.take_key()
    }

    /// Returns `true` if the source says that it has no more items.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.source.is_exhausted()
    }

    /// Returns the ticket of the item at `index`, which was pulled. Returns `None` if the consumer
    /// has gone.
    pub(crate) fn reserve(&mut self, index: u64) -> Option<OutputTicket> {
        self.producer.reserve(index)
    }

    /// Reserves the position at `index`, the last of the stream, for a panic of the source. Returns
    /// what to complete it with.
    ///
    /// There is space for it, because the source was asked for an item. Returns `None` if the
    /// consumer has gone.
    pub(crate) fn reserve_panic(
        &mut self,
        index: u64,
        payload: Box<dyn Any + Send>,
    ) -> Option<(OutputTicket, Failure<E>)> {
        match self.producer.reserve(index) {
            Some(ticket) => Some((ticket, Failure::SourcePanicked(Panic::new(payload)))),
            None => {
                discard(payload);
                None
            }
        }
    }

    /// Ends the stream in good order, after `index` items.
    ///
    /// The source is dropped before the end is declared. So a consumer that sees the end sees what
    /// the `Drop` of the source does. If that `Drop` panics, `deliver` gets the panic as the last
    /// outcome, provided there is space for it.
    pub(crate) fn finish(mut self, index: u64, deliver: impl FnOnce(OutputTicket, Failure<E>)) {
        if let Some((ticket, failure)) =
            self.source.drop_source().and_then(|payload| self.reserve_panic(index, payload))
        {
            deliver(ticket, failure);
        }
        self.producer.finish();
    }

    /// Drops the source of a stream whose consumer wants no more.
    pub(crate) fn abandon(mut self) {
        self.source.drop_source().into_iter().for_each(discard);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of<I: IntoIterator>(_: I) -> bool {
        never_blocks::<I::IntoIter>()
    }

    #[test]
    fn iterators_without_user_code_are_known() {
        assert!(of(0..3_u64) && of(0..=3_u8) && of(0_u64..));
        assert!(of(vec![String::new()]) && of([1, 2]) && of([1, 2].iter()));
        assert!(!of((0..3).map(|n| n + 1)) && !of(std::iter::repeat_with(|| 1)));
        assert!(!of(std::sync::mpsc::channel::<u8>().1));
    }
}
