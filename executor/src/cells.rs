//! What of a batch is done: a position in its ring for each cell of neighbouring items.
//!
//! Several threads may have run items of one cell. Each counts what it ran, and the one that
//! counts the last completes the cell with a token: the ring validates that each cell is finished
//! once, orders the tokens, and wakes the caller that waits for them.

use std::ops::Range;
use std::sync::atomic::Ordering::Relaxed;

use reorder_ring::{Lease, Tickets};

use crate::primitive::AtomicUsize;
use crate::snapshot::{CallKind, Progress};

/// A finished cell. Results are where they belong already.
pub(crate) struct Token;

/// A cell has at least so many items, but for the last one.
const FINEST: usize = 64;
/// What is left of a cell whose items have not come.
const UNEXPECTED: usize = usize::MAX;
/// A batch has at most so many cells.
const MOST: usize = 1024;

/// How the items of a batch are cut: each cell has a power of two of them.
#[derive(Clone, Copy)]
pub(crate) struct Cut {
    items: usize,
    shift: u32,
}

impl Cut {
    /// `items` is not 0.
    pub(crate) fn new(items: usize) -> Cut {
        let per_cell = items.div_ceil(MOST).max(FINEST).next_power_of_two();
        Cut { items, shift: per_cell.trailing_zeros() }
    }

    pub(crate) fn items(self) -> usize {
        self.items
    }

    /// How many cells there are.
    pub(crate) fn cells(self) -> usize {
        ((self.items - 1) >> self.shift) + 1
    }

    pub(crate) fn items_of(self, cell: usize) -> Range<usize> {
        cell << self.shift..((cell + 1) << self.shift).min(self.items)
    }

    fn cell_of(self, item: usize) -> usize {
        item >> self.shift
    }
}

pub(crate) struct Cells<'a> {
    pub(crate) cut: Cut,
    /// How many items of each cell have not run.
    left: Box<[AtomicUsize]>,
    ring: &'a Lease<Token>,
    tickets: Tickets,
}

impl<'a> Cells<'a> {
    /// With a ticket for each cell.
    pub(crate) fn new(cut: Cut, ring: &'a Lease<Token>, tickets: Tickets) -> Cells<'a> {
        let left = (0..cut.cells()).map(|_| AtomicUsize::new(UNEXPECTED)).collect();
        Cells { cut, left, ring, tickets }
    }

    /// To be called once for each cell, before any of its items is counted.
    pub(crate) fn expect(&self, cell: usize, items: usize) {
        // ORDERING: cells:expect: Relaxed; who counts items of the cell has got them by
        // `shares:put`.
        self.left[cell].store(items, Relaxed);
        if items == 0 {
            self.complete(cell);
        }
    }

    /// Counts items that were run, each once, of one cell.
    pub(crate) fn ran(&self, items: Range<usize>) {
        let cell = self.cut.cell_of(items.start);
        debug_assert_eq!(cell, self.cut.cell_of(items.end - 1));
        // ORDERING: cells:count: Relaxed; the results are read when nobody visits any more, and the
        // visits are ordered by the gate.
        if self.left[cell].fetch_sub(items.len(), Relaxed) == items.len() {
            self.complete(cell);
        }
    }

    /// How far the batch has come, cell by cell.
    pub(crate) fn progress(&self) -> Progress {
        let (mut head, mut pulled, mut waiting) = (None, 0, 0);
        for (cell, left) in self.left.iter().enumerate() {
            let items = self.cut.items_of(cell);
            // ORDERING: cells:progress: Relaxed; told to those who ask.
            let left = left.load(Relaxed);
            if left != 0 {
                head = head.or(Some(items.start));
            }
            if left != UNEXPECTED {
                pulled = items.end;
                // A short last cell expects fewer than it has places.
                waiting += if head.is_some() { items.len().saturating_sub(left) } else { 0 };
            }
        }
        let head = head.unwrap_or(self.cut.items());
        Progress {
            kind: CallKind::Batch,
            head: head as u64,
            pulled: pulled as u64,
            waiting: waiting as u64,
        }
    }

    fn complete(&self, cell: usize) {
        let ticket = self.tickets.get(cell).expect("a ticket for each cell");
        let completed = self.ring.complete(ticket, Token);
        debug_assert!(completed.is_ok(), "each cell is finished once");
    }
}

/// Items that one thread ran and has not counted: neighbours are counted together, cell by cell.
pub(crate) struct Tally<'a> {
    cells: &'a Cells<'a>,
    items: Range<usize>,
}

impl<'a> Tally<'a> {
    pub(crate) fn new(cells: &'a Cells<'a>) -> Tally<'a> {
        Tally { cells, items: 0..0 }
    }

    /// To be called before `items` run, which may take long. They must have run when it is called again.
    pub(crate) fn add(&mut self, items: Range<usize>) {
        if self.items.is_empty() {
            self.items = items;
            return;
        }
        let cell = |item| self.cells.cut.cell_of(item);
        if items.start == self.items.end && cell(self.items.start) == cell(items.start) {
            self.items.end = items.end;
        } else {
            self.count();
            self.items = items;
        }
    }

    /// Counts all that was added, which must have run.
    pub(crate) fn count(&mut self) {
        let cut = self.cells.cut;
        while !self.items.is_empty() {
            let cell = cut.items_of(cut.cell_of(self.items.start));
            let end = cell.end.min(self.items.end);
            self.cells.ran(self.items.start..end);
            self.items.start = end;
        }
    }
}

impl Drop for Tally<'_> {
    fn drop(&mut self) {
        self.count();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_cover_all_items_and_are_not_too_many() {
        for items in [1, 63, 64, 65, 1000, 1 << 16, (1 << 16) + 1, 1_000_000, usize::MAX / 2] {
            let cut = Cut::new(items);
            let cells = cut.cells();
            assert!((1..=MOST).contains(&cells), "{items} items, {cells} cells");
            let last = cut.items_of(cells - 1);
            assert_eq!((last.end, last.is_empty()), (items, false));
            assert_eq!(cut.cell_of(last.start), cells - 1);
            assert!(cells == 1 || cut.items_of(cells - 2).end == last.start);
        }
    }

    #[test]
    fn a_cell_is_finished_when_its_last_item_is_counted() {
        let pool = reorder_ring::RingPool::new();
        let cut = Cut::new(3 * 64);
        let lease = pool.lease(cut.cells()).unwrap();
        let mut batch = lease.open().unwrap();
        let cells = Cells::new(cut, &lease, batch.reserve_many(cut.cells()).unwrap());
        cells.expect(0, 64);
        cells.expect(1, 2);
        let mut finished = || batch.drain_ready().count();
        cells.ran(1..64);
        cells.ran(64..65);
        assert_eq!(finished(), 0);
        cells.ran(0..1);
        assert_eq!(finished(), 1);
        cells.expect(2, 0);
        assert_eq!(finished(), 0, "the second cell is missing");
        cells.ran(65..66);
        assert_eq!(finished(), 2);
    }

    #[test]
    fn neighbours_are_counted_together_and_before_items_of_another_cell_run() {
        let pool = reorder_ring::RingPool::new();
        let cut = Cut::new(3 * 64);
        let lease = pool.lease(cut.cells()).unwrap();
        let mut batch = lease.open().unwrap();
        let cells = Cells::new(cut, &lease, batch.reserve_many(cut.cells()).unwrap());
        (0..3).for_each(|cell| cells.expect(cell, 64));
        let mut finished = || batch.drain_ready().count();
        let mut tally = Tally::new(&cells);
        tally.add(0..32);
        tally.add(32..64);
        assert_eq!(finished(), 0, "they may be running");
        tally.add(64..130);
        assert_eq!(finished(), 1);
        tally.count();
        assert_eq!(finished(), 1, "across a border");
        tally.add(140..192);
        tally.add(130..140);
        assert_eq!(finished(), 0);
        drop(tally);
        assert_eq!(finished(), 1);
    }
}
