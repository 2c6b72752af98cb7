//! The operations of the sides that take, wait and end.

use core::task::{Context, Poll};

use super::super::drop_counter::Counted;
use super::world::{Sides, World};
use crate::{Consumer, Delivery, Gap, NextError, Producer, RingRef, TicketError, TryNextError};

impl<R: RingRef<Value = Counted>> World<'_, R> {
    /// Takes once. Returns `false` if nothing is ready.
    pub(super) fn try_next(&mut self) -> bool {
        let (answer, unsplit) = match &mut self.sides {
            Sides::Whole(batch) => (batch.try_next(), true),
            Sides::Split(_, Some(consumer)) => (consumer.try_next(), false),
            Sides::Split(_, None) => return false,
        };
        let is_over = self.model.head == self.model.tail && !self.model.is_cancelled();
        let expected =
            if unsplit && is_over { Err(TryNextError::Ended) } else { self.model.next() };
        self.delivered(answer, expected)
    }

    fn delivered(
        &mut self,
        answer: Result<Delivery<Counted>, TryNextError>,
        expected: Result<(u64, Result<usize, Gap>), TryNextError>,
    ) -> bool {
        let met = match &answer {
            Ok(Delivery { outcome: Ok(_), .. }) => "Value",
            Ok(Delivery { outcome: Err(Gap::Evicted), .. }) => "Evicted",
            Ok(Delivery { outcome: Err(Gap::Abandoned), .. }) => "Abandoned",
            Err(TryNextError::Pending) => "Pending",
            Err(TryNextError::Ended) => "Ended",
            Err(TryNextError::Truncated) => "Truncated",
            Err(TryNextError::Cancelled) => "Cancelled",
        };
        self.coverage.met("next", met);
        let answer = answer.map(|d| (d.index, d.outcome.map(|value| value.id)));
        assert_eq!(answer, expected);
        answer.is_ok()
    }

    pub(super) fn drain_ready(&mut self) {
        loop {
            // Each delivery borrows the side again, so each is compared immediately.
            let delivery = match &mut self.sides {
                Sides::Whole(batch) => batch.drain_ready().next(),
                Sides::Split(_, Some(consumer)) => consumer.drain_ready().next(),
                Sides::Split(_, None) => return,
            };
            let expected = self.model.next();
            let Some(delivery) = delivery else {
                assert!(expected.is_err(), "drain_ready left {expected:?} behind");
                return;
            };
            self.delivered(Ok(delivery), expected);
        }
    }

    pub(super) fn poll_next(&mut self) {
        let Sides::Split(_, Some(consumer)) = &mut self.sides else { return };
        let answer = match consumer.poll_next(&mut Context::from_waker(&self.waker)) {
            Poll::Ready(Ok(Some(delivery))) => Ok(delivery),
            Poll::Ready(Ok(None)) => Err(TryNextError::Ended),
            Poll::Ready(Err(NextError::Truncated)) => Err(TryNextError::Truncated),
            Poll::Ready(Err(NextError::Cancelled)) => Err(TryNextError::Cancelled),
            Poll::Pending => Err(TryNextError::Pending),
        };
        let pending = matches!(answer, Err(TryNextError::Pending));
        let expected = self.model.next();
        self.delivered(answer, expected);
        if !pending {
            return;
        }
        let head = self.model.head;
        if head < self.model.tail && self.model.cell(head).is_claimed() {
            self.owe_wake("self");
        } else {
            self.waited = Some(head);
        }
    }

    pub(super) fn drop_producer(&mut self, end: TryNextError) {
        let drop_side = |producer: Producer<R>| match end {
            TryNextError::Ended => producer.finish(),
            _ => drop(producer),
        };
        match &mut self.sides {
            Sides::Split(producer @ Some(_), _) => producer.take().into_iter().for_each(drop_side),
            Sides::Whole(_) => return self.drop_whole(),
            Sides::Split(None, _) => return,
        }
        self.model.drop_producer(end);
        let event = if end == TryNextError::Ended { "finish" } else { "truncate" };
        self.event(self.model.tail, event);
        self.note_close("consumer-first");
    }

    pub(super) fn drop_consumer(&mut self) {
        match &mut self.sides {
            Sides::Split(_, consumer @ Some(_)) => drop::<Option<Consumer<R>>>(consumer.take()),
            Sides::Whole(_) => return self.drop_whole(),
            Sides::Split(_, None) => return,
        }
        // Only the end of the producer can call the waker now, and only for an unreserved position.
        self.waited = self.waited.filter(|&position| position == self.model.tail);
        self.model.drop_consumer();
        self.note_close("producer-first");
    }

    fn drop_whole(&mut self) {
        self.sides = Sides::Split(None, None);
        self.model.drop_producer(TryNextError::Truncated);
        self.model.drop_consumer();
        self.note_close("whole");
    }

    fn note_close(&mut self, order: &str) {
        if !self.model.is_open() {
            self.waited = None;
            self.coverage.met("close", order);
            if self.model.orphans() != 0 {
                self.coverage.met("close", "orphaned");
            }
        }
    }

    /// Converts bits with a wrong identity.
    pub(super) fn bits_refused(&mut self, bits: u128) {
        let own = u64::from(self.ring.id());
        for ring in [0, !own, own ^ 1] {
            let answer = self.ring.ticket_from_bits(u128::from(ring) << 64 | bits);
            self.coverage.answer("ticket_from_bits", &answer);
            assert_eq!(answer, Err(TicketError::Foreign { given: ring, own }));
        }
    }

    /// Converts bits of an unreserved position: `n` after the tail, or `n` before the first
    /// position.
    pub(super) fn unreserved_bits(&mut self, distance: u64) {
        let (first, tail) = (self.model.first, self.model.tail);
        let behind = first.checked_sub(distance.saturating_add(1));
        for position in [Some(tail.saturating_add(distance)), behind].into_iter().flatten() {
            let bits = u128::from(u64::from(self.ring.id())) << 64 | u128::from(position);
            let answer = self.ring.ticket_from_bits(bits);
            self.coverage.answer("ticket_from_bits", &answer);
            assert_eq!(answer, Err(TicketError::Unreserved { position, first, tail }));
        }
    }
}
