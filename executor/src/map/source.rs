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
pub(crate) fn of_iterator<S>(source: S) -> SharedSource<S> {
    PullLock::new(SourceState { source, items: 0, end: None })
}

/// Returns the source of `items` items that are nothing but their index. All of them are there, so
/// no thread pulls.
pub(crate) fn of_indices(items: usize) -> SharedSource<Empty<()>> {
    PullLock::ended(SourceState { source: empty(), items, end: None })
}

/// Pulls the items of the next block into their places.
pub(crate) fn pull_block<S: Iterator, U>(
    puller: Puller<'_, SourceState<S>>,
    layout: BlockLayout,
    output: &Output<S::Item, U>,
) -> PulledBlock {
    let mut pulled = puller.lock();
    let SourceState { source, items, end } = &mut *pulled.state;
    // The source is asked for the next block only if it filled all blocks before.
    let block = layout.block_of(*items);
    let places = layout.items_of(block);
    let filled = Cell::new(places.start);
    let mut reached = Reached { index: places.start, last: &filled };
    *end = pull(
        source,
        |_| places.len(),
        move |item| {
            // The whole of it, and not a copy of its index.
            let reached = &mut reached;
            // SAFETY: each block is pulled once, and its indices are in no other.
            unsafe { output.write_item(reached.index, item) };
            reached.index += 1;
        },
    );
    *items = filled.get();
    let is_last = end.is_some();
    let is_done = is_last || places.end == layout.items;
    pulled.release(if is_done { Phase::Ended } else { Phase::Open });
    PulledBlock { block, items: places.start..filled.get(), is_last }
}
