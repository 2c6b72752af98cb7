//! The sequential specification of a ring, as steps.
//!
//! A call that takes effect at one instant is one step. Other calls are several steps, and each of
//! them takes effect at some instant within the call:
//!
//! | call | steps |
//! |---|---|
//! | a completion or an eviction | it claims the position, and the ring refuses later claims; it publishes the result |
//! | a delivery | it takes the position, and the ring refuses later claims; it frees the slot for the producer |
//! | a reservation | it checks that the batch is not cancelled; it reserves |
//! | the end of the producer | it declares the end; it begins to leave; it has left |
//! | the end of the consumer | it cancels the batch; it begins to leave; it has left |

use std::collections::HashMap;

use crate::model::{Cell, Model};
use crate::{Busy, Gap, HeadState, Reason, ReserveError, TryNextError};

/// A step with its answer. Positions count from the first position of the ring, indices from the
/// first position of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Open(Result<(), Busy>),
    /// The first step of a reservation: the batch is not cancelled.
    CheckCancel,
    Reserve(Result<u64, ReserveError>),
    /// Builds a ticket of this position from bits. The flag is `true` if the ring accepts the bits.
    Rebuild(u64, bool),
    /// Claims a position: for a value (`Writing`), or for a gap (`Leaving`).
    Claim(u64, Cell, Result<(), Reason>),
    /// Publishes the result of a claimed position.
    Publish(u64, Cell),
    /// The claim by a dropped permit. The drop does not return whether the claim was in time.
    AbandonClaim(u64),
    /// The publication of the gap by a dropped permit.
    AbandonPublish(u64),
    /// The refusal to evict an index that is not reserved.
    Unreserved(u64),
    Take(u64, Result<usize, Gap>),
    /// The second step of a delivery: the producer may reuse the slot.
    Free,
    NoDelivery(TryNextError),
    Head(HeadState),
    Cancel(bool),
    DeclareEnd(TryNextError),
    /// The first step of a consumer that leaves: it cancels the batch of a producer that is still
    /// there. A reservation that has checked the cancellation before may follow.
    CancelToLeave,
    /// A side begins to leave.
    Leave(Side),
    /// A side has left.
    Left(Side),
}

/// The epoch of the first batch. Only its cancellers are used.
const FIRST_BATCH: u64 = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Producer(TryNextError),
    Consumer,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spec {
    model: Model,
    capacity: u64,
    /// The head that the producer knows. Slots below it are free.
    freed: u64,
    /// `true` after the first step of a reservation.
    cancel_checked: bool,
    /// `Some` while a permit is dropped: `true` if its claim was in time.
    abandon: Option<bool>,
    /// The positions that leaving sides are closing, with the state before.
    closing: HashMap<u64, Cell>,
    /// The number of sides that have begun to leave and have not left.
    leaving: u32,
}

impl Spec {
    pub(crate) fn new(capacity: u64) -> Spec {
        let model = Model::new(capacity, 0, u64::MAX >> 3);
        Spec {
            model,
            capacity,
            freed: 0,
            cancel_checked: false,
            abandon: None,
            closing: HashMap::new(),
            leaving: 0,
        }
    }

    /// Takes the step. Returns `false` if the step is impossible now.
    pub(crate) fn step(&mut self, step: Step) -> bool {
        match step {
            Step::Open(answer) if self.leaving > 0 => answer == Err(Busy::Leased),
            Step::Open(answer) => self.model.open() == answer,
            Step::CheckCancel => {
                self.cancel_checked = true;
                !self.model.is_cancelled()
            }
            Step::Reserve(answer) => self.reserve(answer),
            Step::Rebuild(position, is_ticket) => (position < self.model.tail) == is_ticket,
            Step::Claim(position, to, answer) => self.claim(position, to, answer),
            Step::Publish(position, cell) => {
                let is_claimed = self.model.cell(position).is_claimed();
                if is_claimed {
                    self.model.publish(position, cell);
                }
                is_claimed
            }
            Step::AbandonClaim(position) => {
                self.abandon = Some(self.change(position, Cell::Leaving(Gap::Abandoned)));
                true
            }
            Step::AbandonPublish(position) => {
                let abandon = self.abandon.take();
                if abandon == Some(true) {
                    self.change(position, Cell::Gap(Gap::Abandoned));
                }
                abandon.is_some()
            }
            Step::Unreserved(index) => self.model.evict_index(index) == Err(Reason::Unreserved),
            Step::Take(index, outcome) => self.model.next() == Ok((index, outcome)),
            Step::Free => {
                let is_taken = self.freed < self.model.head;
                self.freed = self.model.head;
                is_taken
            }
            Step::NoDelivery(error) => self.model.next() == Err(error),
            Step::Head(state) => self.model.head_state() == state,
            Step::Cancel(cancels) => self.model.cancel(FIRST_BATCH) == cancels,
            Step::DeclareEnd(end) => {
                self.model.declare(end);
                true
            }
            Step::CancelToLeave => {
                if self.model.producer {
                    self.model.cancel(self.model.batch_number);
                }
                true
            }
            // Only after the step `CancelToLeave`.
            Step::Leave(Side::Consumer) if self.model.producer && !self.model.is_cancelled() => {
                false
            }
            Step::Leave(side) => self.leave(side),
            Step::Left(_) => {
                let is_leaving = self.leaving > 0;
                self.leaving = self.leaving.saturating_sub(1);
                if self.leaving == 0 {
                    self.closing.clear();
                }
                is_leaving
            }
        }
    }

    fn reserve(&mut self, answer: Result<u64, ReserveError>) -> bool {
        let is_full = self.model.tail == self.freed + self.capacity;
        match answer {
            Err(ReserveError::Full) => is_full && !self.model.is_cancelled(),
            Err(_) => self.model.is_cancelled(),
            Ok(position) => {
                let cancel_checked = std::mem::take(&mut self.cancel_checked);
                cancel_checked && !is_full && self.model.advance(1) == position
            }
        }
    }

    fn claim(&mut self, position: u64, to: Cell, answer: Result<(), Reason>) -> bool {
        let closing = self.closing.get(&position).copied();
        if closing.is_some_and(|cell| cell.refusal() == answer.err()) {
            if answer.is_ok() {
                self.closing.remove(&position);
                self.model.set(position, to);
            }
            return true;
        }
        // A call has seen the position closed, and it stays closed.
        self.closing.remove(&position);
        if answer == Err(Reason::Stale) && self.is_left_behind(position) {
            self.model.set(position, Cell::Delivered);
        }
        let is_late = self.leaving > 0 && answer == Err(Reason::Settled);
        let expected = self.model.change(position, to);
        // A delivered position is stale once its batch closes, which is after the step `Leave`.
        // In between, the ring still answers `Settled`.
        expected == answer || is_late && expected == Err(Reason::Stale)
    }

    /// Returns `true` if the position was claimed and published while its batch closed. The close
    /// may have removed it with the others. Or it is an orphan that the next `open` removes.
    fn is_left_behind(&self, position: u64) -> bool {
        let cell = self.model.cell(position);
        position < self.model.base && matches!(cell, Cell::Ready(_) | Cell::Gap(_))
    }

    /// Changes a missing position to a claimed one, or a claimed position to another state.
    /// Returns `false` if the position is in another state.
    ///
    /// If a leaving side is closing the position, this changes the state before the close. The
    /// answer of the call does not show whether the change was before it.
    fn change(&mut self, position: u64, to: Cell) -> bool {
        let is_ready = |cell: Cell| match to {
            Cell::Writing | Cell::Leaving(_) => cell == Cell::Missing,
            _ => cell.is_claimed(),
        };
        if let Some(cell) = self.closing.get_mut(&position).filter(|cell| is_ready(**cell)) {
            *cell = to;
            return true;
        }
        let changes = is_ready(self.model.cell(position));
        if changes {
            self.model.set(position, to);
        }
        changes
    }

    fn leave(&mut self, side: Side) -> bool {
        let before = self.model.clone();
        match side {
            Side::Producer(end) => self.model.drop_producer(end),
            Side::Consumer => self.model.drop_consumer(),
        }
        for position in before.head..before.tail {
            let cell = before.cell(position);
            if cell != self.model.cell(position) {
                self.closing.insert(position, cell);
            }
        }
        self.freed = self.freed.max(self.model.head);
        self.leaving += 1;
        true
    }
}
