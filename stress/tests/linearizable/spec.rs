//! What a ring answers to one thread, as steps.
//!
//! A call is one step where it takes effect at one instant, and several where it does not; each lies
//! somewhere within the call:
//!
//! | call | steps |
//! |---|---|
//! | a completion or an eviction | the claim of the position, from when on others are refused; the result |
//! | a delivery | the take, from when on others are refused; the room for the producer |
//! | a reservation | a look whether the batch is cancelled; the reservation |
//! | the end of a side | the end is declared, by the producer; it begins to leave; it has left |

use std::collections::HashMap;

use crate::model::{Cell, Model};
use crate::{Busy, Gap, HeadState, Reason, ReserveError, TryNextError};
use stateright::semantics::SequentialSpec;

/// Positions are counted from the first of the ring, indices from the first of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Open(Result<(), Busy>),
    LookForCancel,
    Reserve(Result<u64, ReserveError>),
    /// Whether bits of this position were taken for a ticket.
    Rebuild(u64, bool),
    Claim(u64, Result<(), Reason>),
    Settle(u64, Cell),
    /// The same for a permit that is dropped, which does not tell whether it was in time.
    GiveUp(u64),
    GivenUp(u64),
    /// An index that cannot be evicted, for it is not reserved.
    Unreserved(u64),
    Take(u64, Result<usize, Gap>),
    MakeRoom,
    Nothing(TryNextError),
    Head(HeadState),
    Cancel(bool),
    Declare(TryNextError),
    Leave(Side),
    Left(Side),
}

/// The epoch of the only batch whose cancellers are used.
const FIRST_BATCH: u64 = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Producer(TryNextError),
    Consumer,
}

#[derive(Clone, Debug)]
pub(crate) struct Spec {
    model: Model,
    capacity: u64,
    /// The head, as far as the producer has been told.
    room: u64,
    is_looked: bool,
    /// Whether the permit that is just being dropped was in time.
    gives_up: Option<bool>,
    /// The positions whose slots are being taken back.
    doomed: HashMap<u64, Cell>,
    /// How many sides are about to leave.
    leaving: u32,
}

impl Spec {
    pub(crate) fn new(capacity: u64) -> Spec {
        let model = Model::new(capacity, 0, u64::MAX >> 3);
        let (room, is_looked, gives_up, doomed, leaving) = (0, false, None, HashMap::new(), 0);
        Spec { model, capacity, room, is_looked, gives_up, doomed, leaving }
    }

    /// Takes the step, if it can be now.
    fn step(&mut self, step: Step) -> bool {
        match step {
            Step::Open(answer) if self.leaving > 0 => answer == Err(Busy::Leased),
            Step::Open(answer) => self.model.open() == answer,
            Step::LookForCancel => {
                self.is_looked = true;
                !self.model.is_cancelled()
            }
            Step::Reserve(answer) => self.reserve(answer),
            Step::Rebuild(position, is_ticket) => (position < self.model.tail) == is_ticket,
            Step::Claim(position, answer) => self.claim(position, answer),
            Step::Settle(position, cell) => {
                let is_claimed = self.model.cell(position) == Cell::Writing;
                if is_claimed {
                    self.model.publish(position, cell);
                }
                is_claimed
            }
            Step::GiveUp(position) => {
                self.gives_up = Some(self.change(position, Cell::Writing));
                true
            }
            Step::GivenUp(position) => {
                let gives_up = self.gives_up.take();
                if gives_up == Some(true) {
                    self.change(position, Cell::Gap(Gap::Abandoned));
                }
                gives_up.is_some()
            }
            Step::Unreserved(index) => self.model.evict_index(index) == Err(Reason::Unreserved),
            Step::Take(index, outcome) => self.model.next() == Ok((index, outcome)),
            Step::MakeRoom => {
                let is_taken = self.room < self.model.head;
                self.room = self.model.head;
                is_taken
            }
            Step::Nothing(why) => self.model.next() == Err(why),
            Step::Head(state) => self.model.head_state() == state,
            Step::Cancel(cancels) => self.model.cancel(FIRST_BATCH) == cancels,
            Step::Declare(end) => {
                self.model.declare(end);
                true
            }
            Step::Leave(side) => self.leave(side),
            Step::Left(_) => {
                let is_leaving = self.leaving > 0;
                self.leaving = self.leaving.saturating_sub(1);
                if self.leaving == 0 {
                    self.doomed.clear();
                }
                is_leaving
            }
        }
    }

    fn reserve(&mut self, answer: Result<u64, ReserveError>) -> bool {
        let is_full = self.model.tail == self.room + self.capacity;
        match answer {
            Err(ReserveError::Full) => is_full && !self.model.is_cancelled(),
            Err(_) => self.model.is_cancelled(),
            Ok(position) => {
                let is_looked = std::mem::take(&mut self.is_looked);
                is_looked && !is_full && self.model.advance(1) == position
            }
        }
    }

    fn claim(&mut self, position: u64, answer: Result<(), Reason>) -> bool {
        let doomed = self.doomed.get(&position).copied();
        if doomed.is_some_and(|cell| cell.refusal() == answer.err()) {
            if answer.is_ok() {
                self.doomed.remove(&position);
                self.model.set(position, Cell::Writing);
            }
            return true;
        }
        // Once a slot was seen taken back, it stays so.
        self.doomed.remove(&position);
        if answer == Err(Reason::Stale) && self.is_left_behind(position) {
            self.model.set(position, Cell::Settled);
        }
        let is_late = self.leaving > 0 && answer == Err(Reason::Settled);
        let expected = self.model.change(position, Cell::Writing);
        // What was delivered is stale from when on the batch closes, which is not when its side began to leave.
        expected == answer || is_late && expected == Err(Reason::Stale)
    }

    /// Whether this was claimed in time, while its batch closed. It may have been taken back with the others, or
    /// be an orphan for the next batch to find.
    fn is_left_behind(&self, position: u64) -> bool {
        let cell = self.model.cell(position);
        position < self.model.base && matches!(cell, Cell::Ready(_) | Cell::Gap(_))
    }

    /// Moves a position that is missing, or that its permit is giving up, on. Of one that is being taken back
    /// nobody can tell whether it was in time.
    fn change(&mut self, position: u64, to: Cell) -> bool {
        let is_ready = |cell| match to {
            Cell::Writing => cell == Cell::Missing,
            _ => cell == Cell::Writing,
        };
        if let Some(cell) = self.doomed.get_mut(&position).filter(|cell| is_ready(**cell)) {
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
                self.doomed.insert(position, cell);
            }
        }
        self.room = self.room.max(self.model.head);
        self.leaving += 1;
        true
    }
}

/// A history holds what was answered, so that each step of it only has to be possible.
impl SequentialSpec for Spec {
    type Op = Step;
    type Ret = bool;

    fn invoke(&mut self, step: &Step) -> bool {
        self.step(*step)
    }
}
