//! A simple model of a ring for one thread.

use std::collections::HashMap;
use std::vec::Vec;

use crate::{Busy, Gap, HeadState, Reason, ReserveError, TryNextError};

/// The state of a reserved position. Values are identified by their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cell {
    Missing,
    Writing,
    /// An eviction or a drop has claimed the position, and publishes the gap next.
    #[allow(dead_code, reason = "only the specification of several threads has it")]
    Leaving(Gap),
    Ready(usize),
    Gap(Gap),
    Delivered,
}

impl Cell {
    /// Returns the reason why a position in this state refuses a completion, if it does.
    pub(super) fn refusal(self) -> Option<Reason> {
        match self {
            Cell::Missing => None,
            Cell::Writing | Cell::Ready(_) => Some(Reason::Duplicate),
            Cell::Gap(Gap::Evicted) | Cell::Leaving(Gap::Evicted) => Some(Reason::Evicted),
            // Other crates use this model, too. For them the enum is not exhaustive.
            Cell::Gap(_) | Cell::Leaving(_) => Some(Reason::Abandoned),
            Cell::Delivered => Some(Reason::Settled),
        }
    }

    /// Returns `true` if a thread has claimed the position, and has not published it.
    pub(super) fn is_claimed(self) -> bool {
        matches!(self, Cell::Writing | Cell::Leaving(_))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Model {
    capacity: u64,
    /// The first position of the ring's life.
    pub(super) first: u64,
    end: u64,
    /// The first position of the open batch. Earlier positions belong to closed batches.
    pub(super) base: u64,
    pub(super) head: u64,
    pub(super) tail: u64,
    /// The positions that are reserved and not delivered.
    cells: HashMap<u64, Cell>,
    pub(super) batch_number: u64,
    pub(super) producer: bool,
    pub(super) consumer: bool,
    cancelled: bool,
    /// The end of the batch, as the producer declared it.
    ended: Option<TryNextError>,
}

impl Model {
    pub(super) fn new(capacity: u64, first: u64, end: u64) -> Model {
        Model {
            capacity,
            end,
            first,
            base: first,
            head: first,
            tail: first,
            cells: HashMap::new(),
            batch_number: 0,
            producer: false,
            consumer: false,
            cancelled: false,
            ended: None,
        }
    }

    pub(super) fn cell(&self, position: u64) -> Cell {
        self.cells.get(&position).copied().unwrap_or(Cell::Delivered)
    }

    pub(super) fn set(&mut self, position: u64, cell: Cell) {
        self.cells.insert(position, cell);
    }

    pub(super) fn is_open(&self) -> bool {
        self.producer || self.consumer
    }

    pub(super) fn open(&mut self) -> Result<(), Busy> {
        if self.is_open() {
            return Err(Busy::Leased);
        }
        // The values that late completers have published are dropped now.
        self.sweep(0);
        if self.cells.values().any(|cell| cell.is_claimed()) {
            return Err(Busy::Orphaned);
        }
        self.batch_number += 1;
        (self.producer, self.consumer) = (true, true);
        (self.cancelled, self.ended) = (false, None);
        Ok(())
    }

    pub(super) fn space(&self) -> u64 {
        self.end.min(self.head + self.capacity) - self.tail
    }

    pub(super) fn reserve(&mut self, count: u64) -> Result<u64, ReserveError> {
        if self.is_cancelled() {
            return Err(ReserveError::Cancelled);
        }
        if count > self.capacity {
            return Err(ReserveError::TooMany);
        }
        if count > self.space() {
            let at_the_end = self.tail + count > self.end;
            return Err(if at_the_end { ReserveError::Exhausted } else { ReserveError::Full });
        }
        Ok(self.advance(count))
    }

    /// Reserves without a check.
    pub(super) fn advance(&mut self, count: u64) -> u64 {
        let first = self.tail;
        self.tail += count;
        (first..self.tail).for_each(|position| self.set(position, Cell::Missing));
        first
    }

    /// Changes a missing position, or returns the reason of the refusal.
    pub(super) fn change(&mut self, position: u64, to: Cell) -> Result<(), Reason> {
        match self.cell(position).refusal() {
            None => {
                self.set(position, to);
                Ok(())
            }
            Some(Reason::Settled) if position < self.base => Err(Reason::Stale),
            Some(reason) => Err(reason),
        }
    }

    pub(super) fn evict_index(&mut self, index: u64) -> Result<(), Reason> {
        match self.base.checked_add(index) {
            Some(position) if position < self.tail => {
                self.change(position, Cell::Gap(Gap::Evicted))
            }
            _ => Err(Reason::Unreserved),
        }
    }

    /// Publishes for a stopped completer. Returns `true` if its batch is closed.
    pub(super) fn publish(&mut self, position: u64, to: Cell) -> bool {
        assert!(self.cell(position).is_claimed());
        self.set(position, to);
        position < self.base
    }

    pub(super) fn next(&mut self) -> Result<(u64, Result<usize, Gap>), TryNextError> {
        let outcome = match self.cell(self.head) {
            Cell::Ready(id) if self.head < self.tail => Ok(id),
            Cell::Gap(gap) if self.head < self.tail => Err(gap),
            _ => {
                return Err(match self.ended {
                    Some(end) if self.head == self.tail => end,
                    _ if self.cancelled => TryNextError::Cancelled,
                    _ => TryNextError::Pending,
                });
            }
        };
        self.cells.remove(&self.head);
        self.head += 1;
        Ok((self.head - 1 - self.base, outcome))
    }

    pub(super) fn head_state(&self) -> HeadState {
        if self.head == self.tail {
            return HeadState::Unreserved;
        }
        match self.cell(self.head) {
            Cell::Missing => HeadState::Missing,
            Cell::Writing | Cell::Leaving(_) => HeadState::Writing,
            _ => HeadState::Ready,
        }
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.cancelled
    }

    pub(super) fn cancel(&mut self, batch_number: u64) -> bool {
        let cancels = self.is_open() && batch_number == self.batch_number && !self.cancelled;
        self.cancelled |= cancels;
        cancels
    }

    /// Declares the end of the batch.
    pub(super) fn declare(&mut self, end: TryNextError) {
        self.ended = Some(end);
    }

    pub(super) fn drop_producer(&mut self, end: TryNextError) {
        self.producer = false;
        self.declare(end);
        self.close_if_last();
    }

    pub(super) fn drop_consumer(&mut self) {
        self.consumer = false;
        self.cancelled = true;
        self.sweep(self.head);
        self.base = self.tail;
        self.close_if_last();
    }

    fn close_if_last(&mut self) {
        if !self.is_open() {
            self.sweep(self.head);
            (self.base, self.head) = (self.tail, self.tail);
        }
    }

    /// Ends every position from `start` on that no completer is writing.
    fn sweep(&mut self, start: u64) {
        self.cells.retain(|&position, cell| position < start || cell.is_claimed());
    }

    /// Returns the values that the ring contains.
    pub(super) fn ready(&self) -> Vec<usize> {
        let id = |cell: &Cell| match *cell {
            Cell::Ready(id) => Some(id),
            _ => None,
        };
        self.cells.values().filter_map(id).collect()
    }

    /// Returns the number of orphans.
    pub(super) fn orphans(&self) -> usize {
        let orphan = |&(&position, cell): &(&u64, &Cell)| position < self.base && cell.is_claimed();
        self.cells.iter().filter(orphan).count()
    }
}
