//! A ring with its handles, and the model. Each operation compares the two.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;
use std::vec::Vec;

use super::super::drop_counter::{Counted, DropCounter};
use super::super::try_hold;
use super::super::wake_counter::WakeCounter;
use super::Open;
use super::coverage::Coverage;
use super::model::{Cell, Model};
use super::ops::Op;
use crate::ring::slot::paused_write::PausedWrite;
use crate::ticket::issuer::Issuer;
use crate::{
    Batch, Canceller, Completer, Consumer, Gap, HeadOfLine, Permit, Producer, Reason, Refusals,
    Rejected, Ring, RingRef, Ticket, TryNextError,
};

pub(super) struct World<'r, R: RingRef<Value = Counted>> {
    pub(super) ring: &'r Ring<Counted>,
    open: Open<'r, R>,
    pub(super) sides: Sides<R>,
    pub(super) model: Model,
    pub(super) coverage: &'r mut Coverage,
    pub(super) counter: DropCounter,
    /// The first position of the batch that was opened last.
    pub(super) batch_base: u64,
    /// A ticket of another ring.
    foreign: Ticket,
    pub(super) tickets: Vec<Ticket>,
    permits: VecDeque<(Ticket, Permit<R>)>,
    cancellers: VecDeque<(u64, Canceller<R>)>,
    /// The completers, each with the number and the base of its batch.
    pub(super) completers: VecDeque<(u64, u64, Completer<R>)>,
    /// The stopped completers. The flag is set if the completer has taken the consumer's waker.
    held: VecDeque<(Ticket, PausedWrite<'r, Counted>, bool)>,
    wake_counter: Arc<WakeCounter>,
    pub(super) waker: Waker,
    /// The position whose next event calls the waker.
    pub(super) waited: Option<u64>,
    /// The number of calls of the waker that the model expects.
    wakes: usize,
    refusals: Refusals,
}

pub(super) enum Sides<R: RingRef> {
    Whole(Batch<R>),
    Split(Option<Producer<R>>, Option<Consumer<R>>),
}

impl<'r, R: RingRef<Value = Counted>> World<'r, R> {
    pub(super) fn new(
        ring: &'r Ring<Counted>,
        open: Open<'r, R>,
        model: Model,
        coverage: &'r mut Coverage,
    ) -> Self {
        let other = Ring::<Counted>::with_capacity(1).unwrap();
        let foreign = other.open().unwrap().reserve().unwrap();
        let (wake_counter, waker) = WakeCounter::new();
        World {
            ring,
            open,
            sides: Sides::Split(None, None),
            model,
            coverage,
            counter: DropCounter::default(),
            batch_base: 0,
            foreign,
            tickets: Vec::new(),
            permits: VecDeque::new(),
            cancellers: VecDeque::new(),
            completers: VecDeque::new(),
            held: VecDeque::new(),
            wake_counter,
            waker,
            waited: None,
            wakes: 0,
            refusals: Refusals::default(),
        }
    }

    /// Runs the sequence and drops all handles. The ring may still contain values.
    pub(super) fn play(mut self, ops: &[Op]) -> DropCounter {
        for &op in ops {
            self.step(op);
            let ready = self.model.ready();
            assert_eq!(self.counter.alive(), ready.len(), "values inside the ring after {op:?}");
            assert!(ready.iter().all(|&id| !self.counter.is_dropped(id)));
            assert_eq!(self.wake_counter.count(), self.wakes, "wakes after {op:?}");
        }
        assert_eq!(self.ring.refusals(), self.refusals);
        self.counter
    }

    fn step(&mut self, op: Op) {
        match op {
            Op::Open => self.open(),
            Op::Split => self.split(),
            Op::Reserve => self.reserve(),
            Op::ReserveMany(count) => self.reserve_many(count),
            Op::ReserveThrough(n) => self.reserve_through(n),
            Op::Permit => self.permit(),
            Op::PermitComplete(n) => self.permit_complete(n),
            Op::PermitDrop(n) => self.permit_drop(n),
            Op::Complete(ago) => self.ticket(ago, Self::complete),
            Op::CompleteForeign => self.refused("complete", self.foreign, Reason::Foreign),
            Op::CompleteFuture(n) => self.refused("complete", self.future(n), Reason::Unreserved),
            Op::CompleteIndex(n) => self.complete_index(n),
            Op::KeepCompleter => self.keep_completer(),
            Op::CompleteBy(n, index) => self.complete_by(n, index),
            Op::Evict(ago) => self.ticket(ago, Self::evict),
            Op::EvictForeign => self.evict_refused(self.foreign, Reason::Foreign),
            Op::EvictFuture(n) => self.evict_refused(self.future(n), Reason::Unreserved),
            Op::EvictHead => self.evict_index(None),
            Op::EvictIndex(index) => self.evict_index(Some(index)),
            Op::TryNext => _ = self.try_next(),
            Op::PollNext => self.poll_next(),
            Op::DrainReady => self.drain_ready(),
            Op::Finish => self.drop_producer(TryNextError::Ended),
            Op::DropProducer => self.drop_producer(TryNextError::Truncated),
            Op::DropConsumer => self.drop_consumer(),
            Op::KeepCanceller => self.keep_canceller(),
            Op::Cancel(n) => self.cancel(n),
            Op::ThroughBits(ago) => self.ticket(ago, Self::through_bits),
            Op::BadBits(bits) => self.bits_refused(u128::from(bits)),
            Op::FutureBits(ahead) => self.unreserved_bits(ahead),
            Op::Look => self.look(),
            Op::Hold(ago) => self.ticket(ago, Self::hold),
            Op::Publish(n) => self.publish(n, None),
            Op::OfPredecessor(how, n) => self.of_predecessor(how, n),
            Op::PublishGap(n) => {
                let gap = if n % 2 == 0 { Gap::Evicted } else { Gap::Abandoned };
                self.publish(n, Some(gap));
            }
        }
    }

    /// Expects a call of the waker if the consumer waits for this position.
    pub(super) fn event(&mut self, position: u64, event: &str) {
        if self.waited == Some(position) {
            self.waited = None;
            self.owe_wake(event);
        }
    }

    pub(super) fn owe_wake(&mut self, event: &str) {
        self.wakes += 1;
        self.coverage.met("wake", event);
    }

    fn ticket(&mut self, ago: usize, f: impl FnOnce(&mut Self, Ticket)) {
        if let Some(&ticket) = self.tickets.iter().rev().nth(ago) {
            f(self, ticket);
        }
    }

    /// Returns a forged ticket for which no slot is vacant.
    fn future(&self, ahead: u64) -> Ticket {
        let position = self.model.tail + self.ring.capacity() as u64 + ahead;
        Ticket { ring: self.ring.issuer, position }
    }

    fn open(&mut self) {
        let expected = self.model.open();
        let opened = (self.open)();
        self.coverage.answer("open", &opened);
        assert_eq!(opened.as_ref().err().copied(), expected.err());
        if let Ok(batch) = opened {
            self.batch_base = self.model.tail;
            self.sides = Sides::Whole(batch);
        }
    }

    fn split(&mut self) {
        let sides = std::mem::replace(&mut self.sides, Sides::Split(None, None));
        self.sides = match sides {
            Sides::Whole(batch) => {
                let (producer, consumer) = batch.split();
                Sides::Split(Some(producer), Some(consumer))
            }
            split @ Sides::Split(..) => split,
        };
    }

    fn reserve(&mut self) {
        let answer = match &mut self.sides {
            Sides::Whole(batch) => batch.reserve(),
            Sides::Split(Some(producer), _) => producer.reserve(),
            Sides::Split(None, _) => return,
        };
        self.coverage.answer("reserve", &answer);
        assert_eq!(answer.map(Ticket::position), self.model.reserve(1));
        self.tickets.extend(answer);
    }

    fn reserve_many(&mut self, count: usize) {
        let answer = match &mut self.sides {
            Sides::Whole(batch) => batch.reserve_many(count),
            Sides::Split(Some(producer), _) => producer.reserve_many(count),
            Sides::Split(None, _) => return,
        };
        self.coverage.answer("reserve_many", &answer);
        let expected = self.model.reserve(count as u64);
        assert_eq!(answer.as_ref().err().copied(), expected.err());
        let (Ok(tickets), Ok(first)) = (answer, expected) else { return };
        let expected = (0..count)
            .map(|offset| Ticket { ring: self.ring.issuer, position: first + offset as u64 });
        assert!(tickets.clone().eq(expected) && tickets.len() == count);
        self.tickets.extend(tickets);
    }

    fn permit(&mut self) {
        let index = self.model.tail - self.model.base;
        let answer = match &mut self.sides {
            Sides::Whole(batch) => batch.permit(),
            Sides::Split(Some(producer), _) => producer.permit(),
            Sides::Split(None, _) => return,
        };
        self.coverage.answer("permit", &answer);
        let expected = self.model.reserve(1);
        assert_eq!(answer.as_ref().err().copied(), expected.err());
        let (Ok(permit), Ok(position)) = (answer, expected) else { return };
        assert_eq!(permit.index(), index);
        let ticket = Ticket { ring: self.ring.issuer, position };
        self.tickets.push(ticket);
        self.permits.push_back((ticket, permit));
    }

    fn permit_complete(&mut self, n: usize) {
        let Some((ticket, permit)) = take(&mut self.permits, n) else { return };
        let value = self.counter.value();
        let id = value.id;
        let answer = permit.complete(value);
        self.coverage.answer("permit_complete", &answer.as_ref().map_err(|no| no.reason));
        self.completed(ticket, id, answer);
    }

    fn permit_drop(&mut self, n: usize) {
        let Some((ticket, permit)) = take(&mut self.permits, n) else { return };
        drop(permit);
        if self.model.change(ticket.position(), Cell::Gap(Gap::Abandoned)).is_ok() {
            self.event(ticket.position(), "abandon");
        }
    }

    fn complete(&mut self, ticket: Ticket) {
        let value = self.counter.value();
        let id = value.id;
        let answer = self.ring.complete(ticket, value);
        self.coverage.answer("complete", &answer.as_ref().map_err(|no| no.reason));
        self.completed(ticket, id, answer);
    }

    pub(super) fn completed(
        &mut self,
        ticket: Ticket,
        id: usize,
        answer: Result<(), Rejected<Counted>>,
    ) {
        let expected = self.model.change(ticket.position(), Cell::Ready(id));
        match answer {
            Ok(()) => {
                assert_eq!(expected, Ok(()));
                self.event(ticket.position(), "complete");
            }
            Err(rejected) => {
                assert_eq!(Err(rejected.reason), expected);
                self.count(rejected.reason);
                assert_eq!(rejected.into_inner().id, id, "another value came back");
            }
        }
    }

    /// Completes or evicts a position by a ticket of the ring's predecessor, or by the bits of one.
    fn of_predecessor(&mut self, how: usize, n: u64) {
        if !self.ring.issuer.is_resumed() {
            return;
        }
        let position = self.model.tail.saturating_sub(4).saturating_add(n);
        let ticket = Ticket { ring: Issuer::made(self.ring.id()), position };
        let is_reserved = position < self.model.tail;
        let bits = self.ring.ticket_from_bits(ticket.to_bits());
        assert_eq!(bits.ok(), is_reserved.then_some(ticket));
        match (how % 3, bits) {
            (0, Ok(ticket)) => self.complete(ticket),
            (1, _) if is_reserved => self.evict(ticket),
            (1, _) => self.evict_refused(ticket, Reason::Unreserved),
            _ if is_reserved => self.complete(ticket),
            _ => self.refused("complete", ticket, Reason::Unreserved),
        }
    }

    fn refused(&mut self, operation: &str, ticket: Ticket, reason: Reason) {
        let value = self.counter.value();
        let id = value.id;
        let answer = self.ring.complete(ticket, value);
        self.coverage.answer(operation, &answer.as_ref().map_err(|no| no.reason));
        let rejected = answer.unwrap_err();
        assert_eq!((rejected.reason, rejected.value.id), (reason, id));
        self.count(reason);
    }

    fn evict(&mut self, ticket: Ticket) {
        let answer = self.ring.evict(ticket);
        self.coverage.answer("evict", &answer);
        assert_eq!(answer, self.model.change(ticket.position(), Cell::Gap(Gap::Evicted)));
        match answer {
            Ok(()) => self.event(ticket.position(), "evict"),
            Err(reason) => self.count(reason),
        }
    }

    fn evict_refused(&mut self, ticket: Ticket, reason: Reason) {
        let answer = self.ring.evict(ticket);
        self.coverage.answer("evict", &answer);
        assert_eq!(answer, Err(reason));
        self.count(reason);
    }

    pub(super) fn count(&mut self, reason: Reason) {
        let count = match reason {
            Reason::Foreign => &mut self.refusals.foreign,
            Reason::Stale => &mut self.refusals.stale,
            Reason::Duplicate => &mut self.refusals.duplicate,
            Reason::Evicted => &mut self.refusals.evicted,
            Reason::Abandoned => &mut self.refusals.abandoned,
            Reason::Settled => &mut self.refusals.settled,
            Reason::Unreserved => &mut self.refusals.unreserved,
        };
        *count += 1;
    }

    /// Evicts by index, or evicts the head.
    fn evict_index(&mut self, index: Option<u64>) {
        let answer = match (&mut self.sides, index) {
            (Sides::Whole(batch), None) => batch.evict_head(),
            (Sides::Whole(batch), Some(index)) => {
                batch.evict_index(index).map_err(|error| error.reason)
            }
            (Sides::Split(_, Some(consumer)), None) => consumer.evict_head(),
            (Sides::Split(_, Some(consumer)), Some(index)) => {
                consumer.evict_index(index).map_err(|error| error.reason)
            }
            (Sides::Split(_, None), _) => return,
        };
        self.coverage.answer("evict_index", &answer);
        let index = index.unwrap_or(self.model.head - self.model.base);
        assert_eq!(answer, self.model.evict_index(index));
        match answer {
            Ok(()) => self.event(self.model.base + index, "evict"),
            Err(reason) => self.count(reason),
        }
    }

    fn hold(&mut self, ticket: Ticket) {
        let position = ticket.position();
        let held = try_hold(self.ring, ticket);
        let expected = self.model.change(position, Cell::Writing);
        assert_eq!(held.is_some(), expected.is_ok());
        if let Some(held) = held {
            let has_waker = self.waited == Some(position);
            self.waited = self.waited.filter(|_| !has_waker);
            self.held.push_back((ticket, held, has_waker));
        }
    }

    fn publish(&mut self, n: usize, gap: Option<Gap>) {
        let Some((ticket, held, has_waker)) = take(&mut self.held, n) else { return };
        let (to, kind) = match gap {
            None => {
                let value = self.counter.value();
                let id = value.id;
                held.publish(value);
                (Cell::Ready(id), "value")
            }
            Some(gap) => {
                held.publish_gap(gap);
                (Cell::Gap(gap), "gap")
            }
        };
        let orphaned = self.model.publish(ticket.position(), to);
        self.coverage.met("publish", kind);
        if orphaned {
            self.coverage.met("publish", &std::format!("orphan-{kind}"));
        }
        if has_waker {
            self.owe_wake("publish");
        }
    }

    fn keep_canceller(&mut self) {
        let canceller = match &self.sides {
            Sides::Whole(batch) => batch.canceller(),
            Sides::Split(_, Some(consumer)) => consumer.canceller(),
            Sides::Split(_, None) => return,
        };
        self.cancellers.push_front((self.model.batch_number, canceller));
    }

    fn cancel(&mut self, n: usize) {
        let Some((batch_number, canceller)) = pick(&self.cancellers, n) else { return };
        let (current, answer) = (*batch_number == self.model.batch_number, canceller.cancel());
        assert_eq!(answer, self.model.cancel(*batch_number));
        let kind = match (answer, current) {
            (true, _) => "true",
            (false, true) => "false-again",
            (false, false) => "false-stale",
        };
        self.coverage.met("cancel", kind);
        if answer && self.waited.take().is_some() {
            self.owe_wake("cancel");
        }
    }

    fn through_bits(&mut self, ticket: Ticket) {
        let answer = self.ring.ticket_from_bits(ticket.to_bits());
        self.coverage.answer("ticket_from_bits", &answer);
        assert_eq!(answer, Ok(ticket));
        self.complete(ticket);
    }

    fn look(&mut self) {
        let (view, reserved, delivered, space) = match &mut self.sides {
            Sides::Whole(batch) => {
                (Some(batch.head_of_line()), batch.reserved(), batch.delivered(), batch.space())
            }
            Sides::Split(Some(producer), consumer) => {
                let view = consumer.as_ref().map(Consumer::head_of_line);
                let delivered = view.map_or(0, |view| view.index);
                (view, producer.reserved(), delivered, producer.space())
            }
            Sides::Split(None, _) => return,
        };
        assert_eq!(space as u64, self.model.space());
        let Some(view) = view else { return };
        let Model { base, head, tail, .. } = self.model;
        assert_eq!((reserved, delivered), (tail - base, head - base));
        let state = self.model.head_state();
        let expected = HeadOfLine { index: head - base, reserved: tail - head, state };
        assert_eq!(view, expected);
        self.coverage.met("head_of_line", &std::format!("{state:?}"));
    }
}

pub(super) fn pick<T>(among: &VecDeque<T>, n: usize) -> Option<&T> {
    among.get(n.checked_rem(among.len())?)
}

fn take<T>(among: &mut VecDeque<T>, n: usize) -> Option<T> {
    among.remove(n.checked_rem(among.len())?)
}
