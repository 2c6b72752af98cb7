//! Pulls the items of a batch from an iterator into the output buffer, block by block.
//!
//! A thread that has nothing to claim pulls the items of the next block. `io::pull` has the state
//! machine of the right to pull.

use std::ops::Range;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crossbeam_utils::CachePadded;

use crate::io::{Phase, PullLock, Puller, SourceEnd, never_blocks, pull};
use crate::map::blocks::BlockLayout;
use crate::map::output::Output;
use crate::primitive::AtomicUsize;
use crate::scheduler::{Look, SourceWatch};

/// The source of a batch, and the items that came from it and were not claimed.
///
/// Items get indices in the order of the source. Items below `taken` were claimed, and items below
/// `published` were written. While a thread pulls and is not blocked, no other thread claims the
/// items in between.
pub(crate) struct SharedSource<S> {
    lock: PullLock<SourceState<S>>,
    watch: SourceWatch,
    /// Threads that look for work do not read it while a thread pulls, so that its cache line stays
    /// with the puller.
    published: CachePadded<AtomicUsize>,
    taken: AtomicUsize,
}

/// The state of a source. Only the puller touches it, and the caller in the end.
pub(crate) struct SourceState<S> {
    pub(crate) source: Option<S>,
    /// The number of items that came.
    pub(crate) items: usize,
    /// The reason why the source is not asked again, or `None` if it brought an item for each
    /// place.
    pub(crate) end: Option<SourceEnd>,
}

/// Returns a source that is pulled block by block.
pub(crate) fn of_iterator<S>(source: S) -> SharedSource<S> {
    SharedSource::new(PullLock::new(SourceState { source: Some(source), items: 0, end: None }), 0)
}

/// Returns a source whose first `items` items are computed, so that no thread pulls. They are left
/// in `source`.
pub(crate) fn of_computed<S>(source: S, items: usize) -> SharedSource<S> {
    let state = SourceState { source: Some(source), items, end: None };
    SharedSource::new(PullLock::ended(state), items)
}

impl<S> SharedSource<S> {
    /// Returns a source of which `items` items were claimed.
    fn new(lock: PullLock<SourceState<S>>, items: usize) -> SharedSource<S> {
        SharedSource {
            lock,
            watch: SourceWatch::new(),
            published: CachePadded::new(AtomicUsize::new(items)),
            taken: AtomicUsize::new(items),
        }
    }

    /// Returns `true` if a thread could pull now.
    pub(crate) fn is_open(&self) -> bool {
        self.lock.is_open()
    }

    pub(crate) fn into_inner(self) -> SourceState<S> {
        self.lock.into_inner()
    }

    /// Returns the number of items that came, for users.
    pub(crate) fn published(&self) -> usize {
        // ORDERING: map_source:published: Relaxed; only shown to users.
        self.published.load(Relaxed)
    }

    /// Checks, for the monitor, whether the puller stays inside the source.
    pub(crate) fn look(&self) -> Look {
        self.watch.look()
    }

    /// Returns `true` if a thread could take over items of a blocked puller, or of a puller that
    /// had no place for them.
    pub(crate) fn has_items(&self) -> bool {
        // ORDERING: map_source:look: Relaxed; a guess. The fences in `idle` order it for a worker
        // that goes to sleep.
        !self.watch.is_moving() && self.taken.load(Relaxed) < self.published.load(Relaxed)
    }

    /// Claims up to `most` items that [`has_items`](Self::has_items) tells of.
    pub(crate) fn take_over(&self, most: usize) -> Option<Range<usize>> {
        if self.has_items() { self.claim(most) } else { None }
    }

    /// Claims up to `most` items that were written.
    fn claim(&self, most: usize) -> Option<Range<usize>> {
        // ORDERING: map_source:claim: Acquire pairs with `map_source:publish`: what the source did
        // for an item comes before its job.
        let published = self.published.load(Acquire);
        // ORDERING: map_source:taken: Relaxed; each item is claimed by one change of the number.
        let mut taken = self.taken.load(Relaxed);
        loop {
            let end = published.min(taken.saturating_add(most));
            if end <= taken {
                return None;
            }
            match self.taken.compare_exchange(taken, end, Relaxed, Relaxed) {
                Ok(_) => return Some(taken..end),
                Err(now) => taken = now,
            }
        }
    }

    /// Takes the right to pull.
    pub(crate) fn try_start(&self) -> Option<PullOfBlock<'_, S>> {
        let puller = self.lock.try_start()?;
        self.watch.enter();
        Some(PullOfBlock { source: self, puller })
    }
}

/// The right to pull the source of a batch.
pub(crate) struct PullOfBlock<'a, S> {
    source: &'a SharedSource<S>,
    puller: Puller<'a, SourceState<S>>,
}

impl<S: Iterator> PullOfBlock<'_, S> {
    /// Pulls items of the next block into their places, and claims up to `most` items that no other
    /// thread has claimed. Also returns the range of items that will never come, once that is
    /// known.
    pub(crate) fn pull<U>(
        mut self,
        layout: BlockLayout,
        output: &Output<S::Item, U>,
        most: usize,
    ) -> (Option<Range<usize>>, Range<usize>) {
        let SourceState { source, items, end } = &mut *self.puller.state;
        // The rest of the block, if an earlier puller was blocked in it.
        let places = *items..layout.items_of(layout.block_of(*items)).end;
        let SharedSource { published, watch, .. } = self.source;
        let (visit, mut next) = (watch.visit(), places.start);
        let mut write = |item| {
            // SAFETY: each index is pulled once.
            unsafe { output.write_item(next, item) };
            next += 1;
            next
        };
        // ORDERING: map_source:publish: Release pairs with `map_source:claim`.
        let publish = |written| published.store(written, Release);
        let wanted = |_: &S| places.len();
        if never_blocks::<S>() {
            // Other threads need not take over its items before the end of the pull.
            let mut written = places.start;
            *end = pull(source, wanted, |item| {
                written = write(item);
                true
            });
            publish(written);
        } else {
            *end = pull(source, wanted, |item| {
                publish(write(item));
                watch.last_blocked() != visit
            });
        }
        // ORDERING: map_source:pulled: Relaxed; written by this thread.
        *items = published.load(Relaxed);
        let never = if end.is_some() { *items..layout.items } else { 0..0 };
        let is_done = end.is_some() || *items == layout.items;
        watch.leave(true);
        let claimed = self.source.claim(most);
        self.puller.release(if is_done { Phase::Ended } else { Phase::Open });
        (claimed, never)
    }
}
