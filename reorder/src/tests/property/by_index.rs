//! The operations by index.

use super::super::drop_counter::Counted;
use super::world::{Sides, World, pick};
use crate::ring::tag::GENERATIONS;
use crate::{Reason, Rejected, ReserveError, ReserveThroughError, RingRef, Ticket};

impl<R: RingRef<Value = Counted>> World<'_, R> {
    /// Returns an index near the last reserved one, for a batch with this base.
    fn near(&self, base: u64, n: u64) -> u64 {
        (self.model.tail - base).saturating_sub(4).saturating_add(n)
    }

    pub(super) fn reserve_through(&mut self, n: u64) {
        let index = self.near(self.batch_base, n);
        let answer = match &mut self.sides {
            Sides::Whole(batch) => batch.reserve_through(index),
            Sides::Split(Some(producer), _) => producer.reserve_through(index),
            Sides::Split(None, _) => return,
        };
        self.coverage.answer("reserve_through", &answer);
        let first = self.model.tail;
        assert_eq!(answer, self.expected(index));
        let new = first..self.model.tail;
        self.tickets.extend(new.map(|position| Ticket { ring: self.ring.issuer, position }));
    }

    fn expected(&mut self, index: u64) -> Result<(), ReserveThroughError> {
        let (base, tail) = (self.batch_base, self.model.tail);
        if index < tail - base {
            return Ok(());
        }
        let count = (index - (tail - base)).saturating_add(1);
        let Err(error) = self.model.reserve(count) else { return Ok(()) };
        let end = GENERATIONS - self.ring.capacity() as u64;
        Err(if error == ReserveError::Cancelled {
            ReserveThroughError::Cancelled
        } else if tail.saturating_add(count) > end {
            ReserveThroughError::Exhausted { index, end: end - base }
        } else {
            ReserveThroughError::Full { index, end: tail + self.model.space() - base }
        })
    }

    pub(super) fn complete_index(&mut self, n: u64) {
        let index = self.near(self.batch_base, n);
        let value = self.counter.value();
        let id = value.id;
        let answer = match &self.sides {
            Sides::Whole(batch) => batch.complete_index(index, value),
            Sides::Split(Some(producer), _) => producer.complete_index(index, value),
            Sides::Split(None, _) => return,
        };
        self.completed_index(self.batch_base, index, id, answer);
    }

    pub(super) fn keep_completer(&mut self) {
        let completer = match &self.sides {
            Sides::Whole(batch) => batch.completer(),
            Sides::Split(Some(producer), _) => producer.completer(),
            Sides::Split(None, _) => return,
        };
        self.completers.push_front((self.model.batch_number, self.batch_base, completer));
    }

    pub(super) fn complete_by(&mut self, n: usize, index: u64) {
        let Some((batch_number, base, completer)) = pick(&self.completers, n) else { return };
        let (base, index) = (*base, self.near(*base, index));
        let is_over = *batch_number != self.model.batch_number || !self.model.is_open();
        let value = self.counter.value();
        let id = value.id;
        let answer = completer.complete_index(index, value);
        if is_over {
            self.refused_index(Reason::Stale, id, answer);
        } else {
            self.completed_index(base, index, id, answer);
        }
    }

    fn completed_index(
        &mut self,
        base: u64,
        index: u64,
        id: usize,
        answer: Result<(), Rejected<Counted>>,
    ) {
        match base.checked_add(index).filter(|&position| position < self.model.tail) {
            Some(position) => {
                self.coverage.answer("complete_index", &answer.as_ref().map_err(|no| no.reason));
                self.completed(Ticket { ring: self.ring.issuer, position }, id, answer);
            }
            None => self.refused_index(Reason::Unreserved, id, answer),
        }
    }

    fn refused_index(&mut self, reason: Reason, id: usize, answer: Result<(), Rejected<Counted>>) {
        self.coverage.answer("complete_index", &answer.as_ref().map_err(|no| no.reason));
        let rejected = answer.unwrap_err();
        assert_eq!((rejected.reason, rejected.value.id), (reason, id));
        self.count(reason);
    }
}
