//! Which blocks of a batch are finished. A block of neighbouring items has a position in the ring.
//!
//! Several threads may run items of one block. Each thread counts the items that it ran. The thread
//! that counts the last one completes the block's position. The ring checks that each block is
//! completed once, and wakes the caller that waits for the blocks in order.

use std::mem;
use std::ops::Range;
use std::sync::atomic::Ordering::Relaxed;

use reorder_ring::{Lease, Tickets};

use crate::primitive::AtomicUsize;
use crate::scheduler::{CallKind, Progress};

/// The minimum number of items of a block. The last block may have fewer.
const MIN_BLOCK: usize = 64;
/// The maximum number of blocks of a batch.
const MAX_BLOCKS: usize = 1024;

/// The division of a batch into blocks. Each block has the same power of two of items.
#[derive(Clone, Copy)]
pub(crate) struct BlockLayout {
    pub(crate) items: usize,
    shift: u32,
}

impl BlockLayout {
    /// Divides `items` items, at least 1.
    pub(crate) fn new(items: usize) -> BlockLayout {
        let per_block = items.div_ceil(MAX_BLOCKS).max(MIN_BLOCK).next_power_of_two();
        BlockLayout { items, shift: per_block.trailing_zeros() }
    }

    /// Returns the number of blocks.
    pub(crate) fn blocks(self) -> usize {
        ((self.items - 1) >> self.shift) + 1
    }

    pub(crate) fn items_of(self, block: usize) -> Range<usize> {
        block << self.shift..((block + 1) << self.shift).min(self.items)
    }

    pub(crate) fn block_of(self, item: usize) -> usize {
        item >> self.shift
    }
}

pub(crate) struct Blocks<'a> {
    pub(crate) layout: BlockLayout,
    /// The number of items of each block that have not run, or have not come.
    left: Box<[AtomicUsize]>,
    ring: &'a Lease<()>,
    tickets: Tickets,
}

impl<'a> Blocks<'a> {
    /// Takes a ticket for each block.
    pub(crate) fn new(layout: BlockLayout, ring: &'a Lease<()>, tickets: Tickets) -> Blocks<'a> {
        let left = (0..layout.blocks()).map(|block| AtomicUsize::new(layout.items_of(block).len()));
        let left = left.collect();
        Blocks { layout, left, ring, tickets }
    }

    /// Counts items of one block that have run or will never come. Each item is counted once.
    pub(crate) fn count_finished(&self, items: Range<usize>) {
        let block = self.layout.block_of(items.start);
        debug_assert_eq!(block, self.layout.block_of(items.end - 1));
        // ORDERING: blocks:count: Relaxed; the caller reads the results when no visitor is left,
        // and `borrowed` orders the visits.
        if self.left[block].fetch_sub(items.len(), Relaxed) == items.len() {
            self.complete(block);
        }
    }

    /// Does the same as `count_finished`, for items of several blocks.
    pub(crate) fn count_all(&self, mut items: Range<usize>) {
        while !items.is_empty() {
            let block = self.layout.items_of(self.layout.block_of(items.start));
            let end = block.end.min(items.end);
            self.count_finished(items.start..end);
            items.start = end;
        }
    }

    /// Returns how far the batch has come, block by block. `pulled` items have come.
    pub(crate) fn progress(&self, pulled: usize) -> Progress {
        let (mut head, mut waiting) = (None, 0);
        for (block, left) in self.left.iter().enumerate() {
            let items = self.layout.items_of(block);
            // ORDERING: blocks:progress: Relaxed; only shown to users.
            let left = left.load(Relaxed);
            if left != 0 {
                head = head.or(Some(items.start));
            }
            if items.start < pulled {
                // The last block of a source that ended early has fewer items than places.
                waiting += if head.is_some() { items.len().saturating_sub(left) } else { 0 };
            }
        }
        let head = head.unwrap_or(self.layout.items);
        Progress {
            kind: CallKind::Batch,
            head: head as u64,
            pulled: pulled as u64,
            waiting: waiting as u64,
            failed: None,
        }
    }

    fn complete(&self, block: usize) {
        let ticket = self.tickets.get(block).expect("a ticket for each block");
        let completed = self.ring.complete(ticket, ());
        debug_assert!(completed.is_ok(), "each block is finished once");
    }
}

/// The items that one thread ran and has not counted. It counts neighbours of a block together.
pub(crate) struct CompletionCounter<'a> {
    blocks: &'a Blocks<'a>,
    items: Range<usize>,
}

impl<'a> CompletionCounter<'a> {
    pub(crate) fn new(blocks: &'a Blocks<'a>) -> CompletionCounter<'a> {
        CompletionCounter { blocks, items: 0..0 }
    }

    /// Adds items that are about to run. They must have run before the next call.
    ///
    /// Counts the earlier items if these are not their neighbours, because these may run for long.
    pub(crate) fn add(&mut self, items: Range<usize>) {
        let block = |item| self.blocks.layout.block_of(item);
        if items.start == self.items.end && block(self.items.start) == block(items.start) {
            self.items.end = items.end;
        } else {
            self.count();
            self.items = items;
        }
    }

    /// Counts all added items. They must have run.
    pub(crate) fn count(&mut self) {
        self.blocks.count_all(mem::take(&mut self.items));
    }
}

impl Drop for CompletionCounter<'_> {
    fn drop(&mut self) {
        self.count();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_cover_all_items_and_are_not_too_many() {
        for items in [1, 63, 64, 65, 1000, 1 << 16, (1 << 16) + 1, 1_000_000, usize::MAX / 2] {
            let layout = BlockLayout::new(items);
            let blocks = layout.blocks();
            assert!((1..=MAX_BLOCKS).contains(&blocks), "{items} items, {blocks} blocks");
            let last = layout.items_of(blocks - 1);
            assert_eq!((last.end, last.is_empty()), (items, false));
            assert_eq!(layout.block_of(last.start), blocks - 1);
            assert!(blocks == 1 || layout.items_of(blocks - 2).end == last.start);
        }
    }

    #[test]
    fn a_block_is_finished_when_its_last_item_is_counted() {
        let pool = reorder_ring::RingPool::new();
        let layout = BlockLayout::new(3 * 64);
        let lease = pool.lease(layout.blocks()).unwrap();
        let mut batch = lease.open().unwrap();
        let blocks = Blocks::new(layout, &lease, batch.reserve_many(layout.blocks()).unwrap());
        blocks.count_all(64 + 2..128);
        let mut finished = || batch.drain_ready().count();
        blocks.count_finished(1..64);
        blocks.count_finished(64..65);
        assert_eq!(finished(), 0);
        blocks.count_finished(0..1);
        assert_eq!(finished(), 1);
        blocks.count_all(128..192);
        assert_eq!(finished(), 0, "the second block is missing");
        blocks.count_finished(65..66);
        assert_eq!(finished(), 2);
    }

    #[test]
    fn neighbours_are_counted_together_and_before_items_of_another_block_run() {
        let pool = reorder_ring::RingPool::new();
        let layout = BlockLayout::new(3 * 64);
        let lease = pool.lease(layout.blocks()).unwrap();
        let mut batch = lease.open().unwrap();
        let blocks = Blocks::new(layout, &lease, batch.reserve_many(layout.blocks()).unwrap());
        let mut finished = || batch.drain_ready().count();
        let mut counter = CompletionCounter::new(&blocks);
        counter.add(0..32);
        counter.add(32..64);
        assert_eq!(finished(), 0, "they may be running");
        counter.add(64..130);
        assert_eq!(finished(), 1);
        counter.count();
        assert_eq!(finished(), 1, "across a border");
        counter.add(140..192);
        counter.add(130..140);
        assert_eq!(finished(), 0);
        drop(counter);
        assert_eq!(finished(), 1);
    }
}
