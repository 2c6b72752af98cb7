//! Pulls the items of a batch from an iterator into the output buffer, block by block.
//!
//! A thread that has nothing to claim pulls the items of the next block. `io::pull` has the state
//! machine of the right to pull.

use std::cell::Cell;
use std::iter::{Empty, empty};
use std::ops::Range;

use crate::io::{Phase, PullLock, Puller, SourceEnd, pull};
use crate::map::blocks::BlockLayout;
use crate::map::output::{Output, Reached};

/// The source of a batch.
pub(crate) type SharedSource<S> = PullLock<SourceState<S>>;

/// The state of a source. Only the puller touches it, and the caller in the end.
pub(crate) struct SourceState<S> {
    pub(crate) source: S,
    /// The block that is pulled next.
    block: usize,
    /// The number of items that came.
    pub(crate) items: usize,
    /// The reason why the source is asked no more. `None` if it brought an item for each place.
    pub(crate) end: Option<SourceEnd>,
}

/// The items of a block that were pulled.
pub(crate) struct PulledBlock {
    pub(crate) block: usize,
    pub(crate) items: Range<usize>,
    /// `true` if no later block will be filled, because the source ended.
    pub(crate) is_last: bool,
}

/// Returns a source that is pulled block by block.
pub(crate) fn of_iterator<S: Iterator>(source: S) -> SharedSource<S> {
    PullLock::new(SourceState { source, block: 0, items: 0, end: None })
}

/// Returns the source of `items` items that are nothing but their index. All of them are there, so
/// no thread pulls.
pub(crate) fn of_indices(items: usize) -> SharedSource<Empty<()>> {
    PullLock::ended(SourceState { source: empty(), block: 0, items, end: None })
}

/// Pulls the items of the next block into their places.
pub(crate) fn pull_block<S: Iterator, U>(
    puller: Puller<'_, SourceState<S>>,
    layout: BlockLayout,
    output: &Output<S::Item, U>,
) -> PulledBlock {
    let mut pulled = puller.lock();
    let block = pulled.state.pull_block(layout, output);
    let is_done = block.is_last || pulled.state.block == layout.blocks();
    pulled.release(if is_done { Phase::Ended } else { Phase::Open });
    block
}

impl<S: Iterator> SourceState<S> {
    fn pull_block<U>(&mut self, layout: BlockLayout, output: &Output<S::Item, U>) -> PulledBlock {
        let (block, wanted) = (self.block, layout.items_of(self.block));
        let end = Cell::new(wanted.start);
        let mut reached = Reached { index: wanted.start, last: &end };
        self.end = pull(
            &mut self.source,
            |_| wanted.len(),
            move |item| {
                // The whole of it, and not a copy of its index.
                let reached = &mut reached;
                // SAFETY: each block is pulled once, and its indices are in no other.
                unsafe { output.write_item(reached.index, item) };
                reached.index += 1;
            },
        );
        self.block += 1;
        self.items = end.get();
        PulledBlock { block, items: wanted.start..end.get(), is_last: self.end.is_some() }
    }
}
