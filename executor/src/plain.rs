//! A batch of known input, one result each, written in place.
//!
//! The items are cut into cells; a cell is a single item in a batch of fewer than 2,048 and at most
//! 32 items in one of up to 2^36. Threads share the cells as `shares` says. Each cell has a position
//! in the batch's own ring, and whoever ran it completes it with a token: the ring validates that
//! each cell is finished once, puts the tokens in order, and wakes the caller. The results
//! themselves never move.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use atomic_waker::AtomicWaker;
use reorder_ring::{Batch, Consumer, Ring, Tickets, TryNextError};

use crate::hub::{Hub, Turn};
use crate::in_place::{Input, Output};
use crate::lend::lend;
use crate::park;
use crate::shares::Shares;
use crate::work::Work;

/// Batches of up to this many items have a cell for each.
const FINE: usize = 1 << 10;
/// A slow item holds back at most this many neighbours.
const COARSEST: usize = 32;

/// A panicked item: its index and its payload.
pub(crate) type Panicked = (usize, Box<dyn Any + Send>);
/// What a finished cell says: the panics among its items, in order.
pub(crate) type Token = Option<Box<Vec<Panicked>>>;

struct Plain<'a, I, U, F> {
    job: &'a F,
    input: Input<I>,
    output: Output<U>,
    per_cell: usize,
    shares: Shares,
    ring: &'a Ring<Token>,
    tickets: Tickets,
    caller: AtomicWaker,
}

fn items_per_cell(items: usize) -> usize {
    let most_cells = u32::MAX as usize / 2;
    (items / FINE).clamp(1, COARSEST).max(items.div_ceil(most_cells))
}

/// Runs `job` on every item, with the caller's and the workers' hands. The result at an index is
/// that of the item at the index; if items panicked, only their panics are returned, in order.
///
/// # Panics
///
/// If memory is too short for the batch's ring or results.
pub(crate) fn run<I, U, F>(
    hub: &Arc<Hub>,
    items: impl IntoIterator<Item = I>,
    job: &F,
) -> Result<Vec<U>, Vec<Panicked>>
where
    I: Send,
    U: Send,
    F: Fn(I) -> U + Sync,
{
    // An ordinary vector first: it drops what it has if the source panics, or memory is too short.
    let items: Vec<I> = items.into_iter().collect();
    let count = items.len();
    if count == 0 {
        return Ok(Vec::new());
    }
    let per_cell = items_per_cell(count);
    let cells = count.div_ceil(per_cell);
    let ring = hub.tokens.lease(cells).expect("memory for the tokens of a batch");
    let (tickets, consumer) = whole_batch(ring.open().expect("a leased ring is free"), cells);
    let plain = Plain {
        job,
        output: Output::new(count),
        per_cell,
        shares: Shares::new(hub.seats(), cells as u32),
        ring: &ring,
        tickets,
        caller: AtomicWaker::new(),
        // Last, for it drops nothing by itself.
        input: Input::new(items),
    };
    let panics = lend(hub, &plain, || plain.see_through(&Turn::new(hub, 0, false), consumer));
    if panics.is_empty() {
        // SAFETY: every cell was delivered, so every item ran, and its result was written before
        // its cell was completed; nobody visits any more.
        return Ok(unsafe { plain.output.into_vec() });
    }
    let missing: Vec<usize> = panics.iter().map(|&(index, _)| index).collect();
    // SAFETY: as above, but for the items that panicked, which wrote nothing.
    unsafe { plain.output.drop_except(&missing) };
    Err(panics)
}

/// Reserves a position for each cell; the batch ends after them.
fn whole_batch(batch: Batch<&Ring<Token>>, cells: usize) -> (Tickets, Consumer<&Ring<Token>>) {
    let (mut producer, consumer) = batch.split();
    let tickets = producer.reserve_many(cells).expect("an empty ring of that capacity");
    producer.finish();
    (tickets, consumer)
}

impl<I, U, F> Plain<'_, I, U, F>
where
    I: Send,
    U: Send,
    F: Fn(I) -> U + Sync,
{
    /// The caller's part: helps until nothing is claimable, then waits for the cells of others.
    fn see_through(&self, turn: &Turn<'_>, mut consumer: Consumer<&Ring<Token>>) -> Vec<Panicked> {
        let mut panics = Vec::new();
        let mut collect = |token: Token| panics.extend(token.into_iter().flat_map(|token| *token));
        loop {
            self.work(turn, || false);
            let next = match consumer.try_next() {
                Ok(delivery) => Some(delivery),
                Err(TryNextError::Pending) => {
                    match park::until_settled(&mut consumer, &self.caller, || self.shares.any()) {
                        None => continue,
                        Some(next) => next.expect("the batch was finished"),
                    }
                }
                Err(_) => None,
            };
            match next {
                Some(delivery) => collect(delivery.outcome.expect("nobody evicts cells")),
                None => return panics,
            }
        }
    }

    /// Claims and runs cells until there are none or the turn is over. `false` if there were none.
    fn work(&self, turn: &Turn<'_>, is_over: impl Fn() -> bool) -> bool {
        let mut worked = false;
        while let Some(cell) = self.claim(turn, worked) {
            worked = true;
            self.run_cell(cell as usize);
            if is_over() {
                // What is left in this seat's range is out of nobody's reach, but the caller may
                // have gone to sleep while it was in good hands.
                self.caller.wake();
                break;
            }
        }
        worked
    }

    fn claim(&self, turn: &Turn<'_>, worked: bool) -> Option<u32> {
        if let Some(cell) = self.shares.claim(turn.seat) {
            if !worked {
                turn.claimed(self);
            }
            return Some(cell);
        }
        let (cell, more) = self.shares.take_over(turn.seat)?;
        turn.claimed(self);
        if more {
            self.caller.wake();
        }
        Some(cell)
    }

    fn run_cell(&self, cell: usize) {
        let start = cell * self.per_cell;
        let end = (start + self.per_cell).min(self.input.len());
        let token = self.run_items(start, end);
        let ticket = self.tickets.get(cell).expect("a ticket for each cell");
        let completed = self.ring.complete(ticket, token);
        debug_assert!(completed.is_ok(), "each cell is in one range, once");
    }

    fn run_items(&self, start: usize, end: usize) -> Token {
        let next = Cell::new(start);
        let mut panics: Token = None;
        while next.get() < end {
            let ran = catch_unwind(AssertUnwindSafe(|| {
                while next.get() < end {
                    let index = next.replace(next.get() + 1);
                    // SAFETY: each cell is run once, and visits each of its indices once.
                    let item = unsafe { self.input.take(index) };
                    let value = (self.job)(item);
                    // SAFETY: as above.
                    unsafe { self.output.put(index, value) };
                }
            }));
            if let Err(payload) = ran {
                panics.get_or_insert_default().push((next.get() - 1, payload));
            }
        }
        panics
    }
}

impl<I, U, F> Work for Plain<'_, I, U, F>
where
    I: Send,
    U: Send,
    F: Fn(I) -> U + Sync,
{
    fn turn(&self, turn: &Turn<'_>) -> bool {
        self.work(turn, || turn.is_over())
    }

    fn claimable(&self) -> bool {
        self.shares.any()
    }

    fn nudge(&self) {
        self.caller.wake();
    }
}
